"""Rewards times a number."""

from __future__ import annotations

import math

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers.transform_reward import TransformReward


class ScaleReward(TransformReward):
    """Multiplies rewards.

    Rewards are float32[], of several agents float32[num_agents]; that of the last step of an
    episode is changed like any other.

    Args:
        env: the environment.
        scale: what they are multiplied by.

    Raises:
        InvalidOptionError: if that is no finite number.
    """

    def __init__(self, env: Environment, scale: float) -> None:
        if not (isinstance(scale, (int, float)) and math.isfinite(scale)):
            raise InvalidOptionError(f"scale is a finite number, got {scale!r}.")
        super().__init__(env, lambda reward: reward * scale)
