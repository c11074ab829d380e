"""Rewards multiplied by a number."""

from __future__ import annotations

from envhub.environment import Environment
from envhub.wrappers._options import check_number
from envhub.wrappers.transform_reward import TransformReward


class ScaleReward(TransformReward):
    """Multiplies rewards by a number.

    Rewards are float32[], for several agents float32[num_agents]. The reward of the last step of an
    episode is changed like any other.

    Args:
        env: the environment.
        scale: the factor.

    Raises:
        InvalidOptionError: if `scale` is not a finite number.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[ScaleReward(scale=0.5)])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).reward)
        0.5
    """

    checks = {"scale": check_number}  # noqa: RUF012

    def __init__(self, env: Environment, scale: float) -> None:
        factor = float(scale)
        super().__init__(env, lambda reward: reward * factor)
