"""Environments such as users have them, for `pufferlib::tests.quirks.puffer_envs:Name`.

To be imported after PufferLib, which the adapter imports without its side effects.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
import pufferlib


class Walkers(pufferlib.PufferEnv):
    """A native environment of several agents, each on a line, with episodes of its own."""

    closed: ClassVar[list[int]] = []

    def __init__(self, num_envs: int = 7, length: int = 3, buf: Any = None, seed: int = 0) -> None:
        self.single_observation_space = gymnasium.spaces.Box(-99, 99, (2,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(3)
        self.num_agents = num_envs
        self.length = length
        super().__init__(buf)

    def reset(self, seed: int | None = None) -> Any:
        self.observations[:, 0] = np.random.default_rng(seed).integers(0, 3)
        self.observations[:, 1] = np.arange(self.num_agents)
        return self.observations, []

    def step(self, actions: Any) -> Any:
        self.actions[:] = actions
        self.observations[:, 0] += self.actions
        self.rewards[:] = self.actions
        self.terminals[:] = self.observations[:, 0] >= self.length
        self.observations[self.terminals, 0] = 0
        infos = [{"walked": 1}]
        return self.observations, self.rewards, self.terminals, self.truncations, infos

    def close(self) -> None:
        self.closed.append(id(self))


class Nested(gymnasium.Env[Any, Any]):
    """Of Gymnasium, with a dict to see and a tuple to do."""

    observation_space = gymnasium.spaces.Dict(
        {
            "near": gymnasium.spaces.Box(0, 9, (2,), np.float32),
            "far": gymnasium.spaces.Box(0, 9, (3,), np.float32),
        }
    )
    action_space = gymnasium.spaces.Tuple(
        [gymnasium.spaces.Discrete(2), gymnasium.spaces.Discrete(3)]
    )

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        first, second = action
        return self._observe(), float(10 * first + second), False, self.time == 4, {"time": 0.5}

    def _observe(self) -> Any:
        return {"near": np.full(2, self.time, np.float32), "far": np.ones(3, np.float32)}


class Pair:
    """A parallel environment as PettingZoo has them."""

    possible_agents: ClassVar[list[str]] = ["left", "right"]
    agents: ClassVar[list[str]] = ["left", "right"]

    def observation_space(self, agent: str) -> Any:
        return gymnasium.spaces.Box(0, 1, (1,), np.float32)

    def action_space(self, agent: str) -> Any:
        return gymnasium.spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        return self._all(np.zeros(1, np.float32)), self._all({})

    def step(self, actions: Any) -> Any:
        obs = {agent: np.full(1, action, np.float32) for agent, action in actions.items()}
        rewards = {agent: float(action) for agent, action in actions.items()}
        return obs, rewards, self._all(False), self._all(False), self._all({})

    def close(self) -> None:
        pass

    def _all(self, value: Any) -> dict[str, Any]:
        return dict.fromkeys(self.agents, value)


def nothing() -> object:
    return object()
