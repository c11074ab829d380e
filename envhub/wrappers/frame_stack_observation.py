"""The last observations as one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.spaces._trees import space_of, tree_of, zero_of
from envhub.wrappers._frames import FramesWrapper
from envhub.wrappers._observation import mapped
from envhub.wrappers._options import check_count


def _check_padding_type(name: str, value: Any) -> None:
    if value is None or (isinstance(value, str) and value not in ("reset", "zero")):
        raise InvalidOptionError(
            f"{name} must be 'reset', 'zero' or an observation, got {value!r}."
        )


class FrameStackObservation(FramesWrapper):
    """Shows the last observations of the episode on a new leading axis, the oldest first.

    Observations may be arrays of any shape and dtype, or any structure of such. Of several agents,
    the new axis comes after that of the agents. The state holds `stack_size - 1` observations in
    their own dtype, and not the stack: what is shown is made of them and of the newest one, on the
    device.

    An episode begins with a stack of its own: the observation that an `AutoReset` gives as
    `info["final_obs"]` is the last stack of the episode that ended.

    Args:
        env: the environment.
        stack_size: how many observations are shown, at least 1.
        padding_type: what stands for those before the first: `"reset"`, the first one itself;
            `"zero"`, the observation that is nearest to zero; or an observation.

    Raises:
        InvalidOptionError: if an option is none of these; and as `EpisodeWrapper`.

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
        if self.num_agents == 1:
            return frames
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), frames)

    def observation_space(self, params: Any = None) -> spaces.Space:
        stacked = spaces.batch(self.env.observation_space(params), self.stack_size)
        if self.num_agents == 1:
            return stacked

        def agents_first(leaf: spaces.Box) -> spaces.Box:
            return mapped(leaf, lambda bound: bound.swapaxes(0, 1))

        return space_of(jax.tree.map(agents_first, tree_of(stacked)))


def _padding(space: spaces.Space, padding_type: Any) -> Any:
    if isinstance(padding_type, str):
        return None if padding_type == "reset" else jax.tree.map(zero_of, tree_of(space))
    if not space.contains(padding_type):
        raise InvalidOptionError(
            f"padding_type must be 'reset', 'zero' or an observation in {space}, got "
            f"{padding_type!r}."
        )
    return padding_type
