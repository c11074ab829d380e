"""Stacks of the last observations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.spaces._trees import space_of, tree_of, zero_of
from envhub.wrappers._frames import FramesWrapper
from envhub.wrappers._masks import with_newest_mask
from envhub.wrappers._observation import mapped
from envhub.wrappers._options import check_count


def _check_padding_type(name: str, value: Any) -> None:
    if value is None or (isinstance(value, str) and value not in ("reset", "zero")):
        raise InvalidOptionError(
            f"{name} must be 'reset', 'zero' or an observation, got {value!r}."
        )


class FrameStackObservation(FramesWrapper):
    """Stacks the last observations of the episode on a new leading axis, the oldest first.

    Observations may be arrays of any shape and dtype, or any structure of arrays. Where agents
    are the leading axis, the new axis follows it. A mask of legal actions (`action_mask`) is not
    stacked: it is that of the newest observation. The state does not hold the stack, but only
    `stack_size - 1` observations in their own dtype; the stack is made from them and the newest
    observation, on the device.

    Each episode begins with a new stack. The `info["final_obs"]` of an `AutoReset` is the last
    stack of the episode that ended.

    Args:
        env: the environment.
        stack_size: the number of stacked observations, at least 1.
        padding_type: the observations before the first one: `"reset"`, copies of the first one;
            `"zero"`, the observation nearest to zero; or an observation.

    Raises:
        InvalidOptionError: if an option is none of these; and the errors of `EpisodeWrapper`.

    Examples:
        >>> wrappers = [FrameStackObservation(stack_size=3)]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> env.observation_space().shape
        (3, 4)
    """

    checks = {"stack_size": check_count, "padding_type": _check_padding_type}  # noqa: RUF012

    def __init__(self, env: Environment, stack_size: int, padding_type: Any = "reset") -> None:
        with jax.ensure_compile_time_eval():
            padding = _padding(env.observation_space(env.default_params), padding_type)
        super().__init__(env, int(stack_size) - 1, padding)
        self.stack_size = int(stack_size)

    def shown(self, frames: Any) -> Any:
        if self.observation_agents != "leading":
            return frames
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), frames)

    def observation_space(self, params: Any = None) -> spaces.Space:
        inside = self.env.observation_space(params)
        stacked = spaces.batch(inside, self.stack_size)
        if self.observation_agents == "leading":
            stacked = space_of(jax.tree.map(_agents_first, tree_of(stacked)))
        made: Any = with_newest_mask(self, stacked, inside)
        return made if isinstance(made, spaces.Space) else spaces.Dict(made)


def _agents_first(leaf: spaces.Box) -> spaces.Box:
    return mapped(leaf, lambda bound: bound.swapaxes(0, 1))


def _padding(space: spaces.Space, padding_type: Any) -> Any:
    if isinstance(padding_type, str):
        return None if padding_type == "reset" else jax.tree.map(zero_of, tree_of(space))
    if not space.contains(padding_type):
        raise InvalidOptionError(
            f"padding_type must be 'reset', 'zero' or an observation in {space}, got "
            f"{padding_type!r}."
        )
    return padding_type
