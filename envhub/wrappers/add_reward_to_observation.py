"""Observations with the reward before them."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub import spaces
from envhub.environment import StepResult
from envhub.wrappers._added_observation import AddedObservation


class AddRewardToObservation(AddedObservation):
    """Shows the last reward too: a `Dict` of `obs`, `reward` and `start`.

    `reward`, float32[] (of several agents float32[num_agents]), is that of the environment inside,
    and zero after the reset; `start`, bool[], tells it from a reward of zero. With
    `AddActionToObservation`, in either order, all of them are in one `Dict`. The state is that of
    the environment inside.

    An episode's last observation has its last reward; the next episode begins with zero.

    Raises:
        InvalidOptionError: if the reward is shown already; and as `InsideAutoReset`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[AddRewardToObservation])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).obs["reward"])
        1.0
    """

    name = "reward"

    def added_space(self, params: Any) -> spaces.Space:
        return spaces.Box(-np.inf, np.inf, self.agents, np.float32)

    def added(self, action: Any, result: StepResult) -> Any:
        return result.reward
