"""Automatic resets: each episode follows another."""

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
        env: the state of the inner environment.
        done: bool[], whether its episode ended, so that the next step resets it.
    """

    env: Any
    done: jax.Array


def _check_mode(name: str, mode: Any) -> None:
    if mode not in ("same_step", "next_step"):
        raise InvalidOptionError(f"{name} must be 'same_step' or 'next_step', got {mode!r}.")


class AutoReset(Wrapper):
    """Starts the next episode when one ends, each with its own key.

    Only ended episodes cost a reset: `vmap` computes resets for the lanes that ended, and on a GPU
    for others only if this takes no longer. The reset uses the params of the call. `step`
    splits its key in two: the first half is for the step, the second for a reset.

    Args:
        env: the environment.
        mode: `"same_step"`: if a step ends the episode, `obs` and `state` are those of the next
            episode, and `info["final_obs"]` is the final observation of the ended one; otherwise
            `info["final_obs"]` equals `obs`. `"next_step"`, Gymnasium's mode: the step after the
            end ignores its action and returns the observation of the reset, with reward 0 and both
            flags false.

    Raises:
        InvalidOptionError: if the mode is unknown, an inner wrapper spans episodes, or there is
            an `AutoReset` inside already, which would hide the ends of episodes.

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
    """Return the entry of `wrappers=` for it, without options other than this mode."""
    is_other = isinstance(layer, AutoReset) and layer.mode != "same_step"
    return type(layer).__name__ + ("(mode='next_step')" if is_other else "")
