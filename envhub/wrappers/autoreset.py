"""Episodes that follow each other."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._base import Wrapper, arranged, layers_of

Mode = Literal["same_step", "next_step"]


class Waiting(NamedTuple):
    """The state in `next_step` mode.

    Attributes:
        env: the state of the environment inside.
        done: bool[], whether its episode ended, so that the next step resets it.
    """

    env: Any
    done: jax.Array


def _check_mode(name: str, mode: Any) -> None:
    if mode not in ("same_step", "next_step"):
        raise InvalidOptionError(f"{name} must be 'same_step' or 'next_step', got {mode!r}.")


class AutoReset(Wrapper):
    """Starts the next episode when one ends, each from a key of its own.

    It costs what the ended episodes cost: under `vmap` a reset is computed for the lanes that ended
    and for no others, or on a GPU for as many as take no longer. The params in force are those of
    the call, in the reset as well. `step` splits its key in two, the first for the step and the
    second for a reset.

    Args:
        env: the environment.
        mode: `"same_step"`: where an episode ends, `obs` and `state` are those of the next one, and
            `info["final_obs"]` is the last observation of the one that ended; it equals `obs`
            elsewhere. `"next_step"`, Gymnasium's: the step after the end ignores its action and
            returns the observation of the reset, with reward 0 and both flags false.

    Raises:
        InvalidOptionError: if there is no such mode, a wrapper inside spans episodes, or there is
            an `AutoReset` inside already, of which this one would not see the ends of episodes.

    Examples:
        >>> options = {"max_steps_in_episode": 2, "wrappers": [AutoReset]}
        >>> env, params = envhub.make("gymnax::Pendulum-v1", **options)
        >>> envhub.rollout(env, params, None, jax.random.key(0), 5).truncated.tolist()
        [False, True, False, True, False]
    """

    checks = {"mode": _check_mode}  # noqa: RUF012

    def __init__(self, env: Environment, mode: Mode = "same_step") -> None:
        super().__init__(env)
        self.mode = mode
        inside = layers_of(env)
        if any(isinstance(layer, AutoReset) for layer in inside):
            raise InvalidOptionError(
                f"{env} already has an AutoReset. A second one would take the first "
                f"observation of an episode for the final one: {arranged(map(name_of, inside))}."
            )
        spanning = [name_of(layer) for layer in inside if layer.spans_episodes]
        if spanning:
            others = [name_of(layer) for layer in inside if not layer.spans_episodes]
            raise InvalidOptionError(
                f"put {' and '.join(spanning)} outside AutoReset, because it remembers more than "
                "one "
                f"episode: {arranged([*others, name_of(self), *spanning])}."
            )

    def inner_state(self, state: Any) -> Any:
        return state if self.mode == "same_step" else state.env

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        return obs, state if self.mode == "same_step" else Waiting(state, jnp.bool_(False))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        if self.mode == "same_step":
            result, last_obs = self.env.step_then_reset(key, state, action, params)
            return result._replace(info={**result.info, "final_obs": last_obs})
        result = self.env.step_or_reset(state.done, key, state.env, action, params)
        return result._replace(state=Waiting(result.state, jnp.all(result.done)))


def name_of(layer: Wrapper) -> str:
    """How `wrappers=` gives it, but for options other than this mode."""
    is_other = isinstance(layer, AutoReset) and layer.mode != "same_step"
    return type(layer).__name__ + ("(mode='next_step')" if is_other else "")
