"""What the future is worth after a step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub.environment import Environment, StepResult
from envhub.wrappers._base import Wrapper
from envhub.wrappers._options import check_discount


class EpisodeDiscount(Wrapper):
    """Adds `info["discount"]`, as dm_env's steps have it: the factor of the value that follows.

    It is 0 where the step terminated, and `gamma` elsewhere, where a limit truncated the episode as
    well: float32[], or of several agents float32[num_agents]. It takes the place of an entry of
    this name that the suite has (gymnax's is 0 at a limit too). There is no memory, so it may be
    inside or outside of `AutoReset`; of a `"next_step"` one it belongs outside, because the `info`
    of the step that resets is zeros.

    Args:
        env: the environment.
        gamma: from 0 to 1.

    Raises:
        InvalidOptionError: if `gamma` is not.

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
