"""Rewards between bounds."""

from __future__ import annotations

import jax.numpy as jnp

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._options import to_float
from envhub.wrappers.transform_reward import TransformReward


class ClipReward(TransformReward):
    """Clips rewards.

    Rewards are float32[], of several agents float32[num_agents]; that of the last step of an
    episode is changed like any other.

    Args:
        env: the environment.
        min_reward, max_reward: the bounds; `None` for none.

    Raises:
        InvalidOptionError: if there is no bound, or they are not in order.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[ClipReward(max_reward=0.5)])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).reward)
        0.5
    """

    def __init__(
        self, env: Environment, min_reward: float | None = None, max_reward: float | None = None
    ) -> None:
        if min_reward is None and max_reward is None:
            raise InvalidOptionError("ClipReward needs min_reward or max_reward.")
        if min_reward is not None:
            min_reward = to_float("min_reward", min_reward)
        if max_reward is not None:
            max_reward = to_float("max_reward", max_reward)
        if min_reward is not None and max_reward is not None and not min_reward <= max_reward:
            raise InvalidOptionError(f"min_reward={min_reward} is above max_reward={max_reward}.")
        super().__init__(env, lambda reward: jnp.clip(reward, min_reward, max_reward))
