"""Rewards clipped to bounds."""

from __future__ import annotations

import jax.numpy as jnp

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._options import or_none, to_float
from envhub.wrappers.transform_reward import TransformReward


def _check_bounds(_: tuple[str, str], bounds: tuple[float | None, float | None]) -> None:
    low, high = bounds
    if low is None and high is None:
        raise InvalidOptionError("ClipReward needs min_reward or max_reward.")
    if low is not None and high is not None and not low <= high:
        raise InvalidOptionError(f"min_reward={low} is above max_reward={high}.")


class ClipReward(TransformReward):
    """Clips rewards to bounds.

    Rewards are float32[], for several agents float32[num_agents]. The reward of the last step of an
    episode is changed like any other.

    Args:
        env: the environment.
        min_reward, max_reward: the bounds; `None` for no bound.

    Raises:
        InvalidOptionError: if both bounds are `None`, or the bounds are not in order.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[ClipReward(max_reward=0.5)])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).reward)
        0.5
    """

    checks = {  # noqa: RUF012
        "min_reward": or_none(to_float),
        "max_reward": or_none(to_float),
        ("min_reward", "max_reward"): _check_bounds,
    }

    def __init__(
        self, env: Environment, min_reward: float | None = None, max_reward: float | None = None
    ) -> None:
        bounds = [None if bound is None else float(bound) for bound in (min_reward, max_reward)]
        super().__init__(env, lambda reward: jnp.clip(reward, *bounds))
