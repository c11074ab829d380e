"""A limit on the length of episodes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub._tracing import numpy_for
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._episode import EpisodeWrapper


def check_limit(name: str, value: Any) -> None:
    """Refuse a value that is not a positive integer.

    Raises:
        InvalidOptionError: naming the option.
    """
    if type(value) is not int or not 1 <= value < 2**31:
        raise InvalidOptionError(f"{name} must be a positive integer, got {value!r}.")


class Counted(NamedTuple):
    """A state and the number of steps since the reset, int32[]."""

    env: Any
    steps: jax.Array


class TimeLimit(EpisodeWrapper):
    """Truncates an episode after a number of steps.

    `truncated` is true from the step that reaches the limit, and whenever the environment itself
    truncates; `terminated` and `obs` are unchanged. If the step that reaches the limit terminates
    too, both flags are true. Of several agents, the limit truncates those that have not terminated.

    Args:
        env: the environment.
        max_episode_steps: the limit, at least 1.

    Raises:
        InvalidOptionError: if the limit is not a positive integer; and the errors of
        `EpisodeWrapper`.

    Examples:
        >>> wrappers = [TimeLimit(max_episode_steps=3)]
        >>> env, params = envhub.make("gymnax::Pendulum-v1", wrappers=wrappers)
        >>> envhub.rollout(env, params, None, jax.random.key(0), 3).truncated.tolist()
        [False, False, True]
    """

    checks = {"max_episode_steps": check_limit}  # noqa: RUF012

    def __init__(self, env: Environment, max_episode_steps: int) -> None:
        super().__init__(env)
        self.max_episode_steps = max_episode_steps

    def limit(self, params: Any) -> Any:
        inside = self.env.limit(params)
        own = self.max_episode_steps
        return own if inside is None else numpy_for((inside, own)).minimum(inside, own)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        return obs, Counted(state, jnp.int32(0))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, params)
        steps = state.steps + 1
        is_cut = steps >= self.max_episode_steps
        if self.num_agents > 1:
            is_cut &= ~result.terminated
        return result._replace(
            state=Counted(result.state, steps), truncated=result.truncated | is_cut
        )
