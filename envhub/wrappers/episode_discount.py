"""The discount after each step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub.environment import Environment, StepResult
from envhub.wrappers._base import Wrapper
from envhub.wrappers._options import check_discount


class EpisodeDiscount(Wrapper):
    """Adds `info["discount"]`, as in dm_env: the factor for the value of the next state.

    It is 0 if the step terminated, and `gamma` otherwise, also if a limit truncated the episode:
    float32[], or for several agents float32[num_agents]. It replaces the suite's own entry of this
    name (gymnax's is also 0 at a limit). The wrapper has no memory, so it may be inside or outside
    `AutoReset`. With mode `"next_step"` put it outside, because the `info` of a step that resets is
    zeros.

    Args:
        env: the environment.
        gamma: the discount, from 0 to 1.

    Raises:
        InvalidOptionError: if `gamma` is not from 0 to 1.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[EpisodeDiscount(gamma=0.5)])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).info["discount"])
        0.5
    """

    checks = {"gamma": check_discount}  # noqa: RUF012

    def __init__(self, env: Environment, gamma: float = 1.0) -> None:
        super().__init__(env)
        self.gamma = gamma

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state, action, params)
        discount = jnp.where(result.terminated, 0, self.gamma).astype(jnp.float32)
        return result._replace(info={**result.info, "discount": discount})
