"""Observations with the previous reward."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub import spaces
from envhub.environment import StepResult
from envhub.wrappers._added_observation import AddedObservation


class AddRewardToObservation(AddedObservation):
    """Adds the last reward to the observation: a `Dict` of `obs`, `reward` and `start`.

    `reward`, float32[] (for several agents float32[num_agents]), is the reward of the inner
    environment. After the reset it is zero, and `start`, bool[], is true. With
    `AddActionToObservation`, in either order, all entries are in one `Dict`. The state is that of
    the inner environment.

    The final observation of an episode has its last reward; the next episode begins with zero.

    Raises:
        InvalidOptionError: if the observation already has the reward; and the errors of
            `InsideAutoReset`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[AddRewardToObservation])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).obs["reward"])
        1.0
    """

    name = "reward"

    def added_space(self, params: Any) -> spaces.Space:
        if self.observation_agents == "by_name":
            one = spaces.Box(-np.inf, np.inf, (), np.float32)
            return spaces.Dict(dict.fromkeys(self.agents, one))
        agents = () if self.num_agents == 1 else (self.num_agents,)
        return spaces.Box(-np.inf, np.inf, agents, np.float32)

    def added(self, action: Any, result: StepResult) -> Any:
        is_by_name = self.observation_agents == "by_name"
        return self.by_agent(result.reward) if is_by_name else result.reward
