"""Rewards transformed by a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from envhub.environment import Environment, StepResult
from envhub.wrappers._base import Wrapper
from envhub.wrappers._options import check_function


class TransformReward(Wrapper):
    """Applies a function to each reward.

    The reward of the last step of an episode is changed like any other.

    Args:
        env: the environment.
        func: a function from a reward, float32[] (for several agents float32[num_agents]), to the
            new reward.

    Examples:
        >>> doubled = TransformReward(func=lambda reward: 2 * reward)
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[doubled])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).reward)
        2.0
    """

    checks = {"func": check_function}  # noqa: RUF012

    def __init__(self, env: Environment, func: Callable[[jax.Array], Any]) -> None:
        super().__init__(env)
        self._func = func

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state, action, params)
        return result._replace(reward=self._func(result.reward))
