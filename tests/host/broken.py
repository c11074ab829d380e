"""Gymnasium environments that go wrong, registered when this module is imported."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envhub.errors import InvalidActionError


class Broken(gymnasium.Env[Any, Any]):
    """Counts its steps, and at the seventh does what it is told to.

    If that is to interrupt, only after nothing but ones: what `make` tries out at random goes on.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.count = self.ones = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = self.ones = 0
        if self.fault == "reset" and seed is not None and seed > 100_000:
            raise OSError("seed 0 alone")
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.count, self.ones = self.count + 1, self.ones + int(np.any(action))
        obs = np.full(2, self.count, np.float32)
        if self.count == 7:
            obs = self._misbehave(obs)
        return obs, 1.0, False, False, {"count": self.count, "text": "dropped"}

    def _misbehave(self, obs: Any) -> Any:
        if self.fault == "raise":
            raise OSError("the seventh step")
        if self.fault == "raise envhub's":
            raise InvalidActionError("another environment, which this one plays, said so")
        if self.fault == "interrupt":
            if self.ones == 7:
                raise KeyboardInterrupt
            return obs
        return {"nan": obs * np.nan, "shape": obs[:1], "dtype": obs.astype(complex)}[self.fault]


gymnasium.register("Broken-v0", Broken)


class Wordy(Broken):
    """Observes text."""

    observation_space = gymnasium.spaces.Text(5)


gymnasium.register("Wordy-v0", Wordy)


class Talking(gymnasium.Env[Any, Any]):
    """Says more and more, in characters of two bytes, and too much in the second step."""

    observation_space = gymnasium.spaces.Text(5, charset="é")
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.said = 1
        return "é" * self.said, {}

    def step(self, action: Any) -> Any:
        self.said *= 4
        return "é" * self.said, 0.0, self.said > 5, False, {}


gymnasium.register("Talking-v0", Talking)


class Nested(Broken):
    """Every space that JAX can hold, in one."""

    observation_space = gymnasium.spaces.Dict(
        {
            "b": gymnasium.spaces.Tuple(
                (gymnasium.spaces.Discrete(3, start=-1), gymnasium.spaces.MultiBinary(4))
            ),
            "a": gymnasium.spaces.Box(0, 255, (2, 2), np.uint8),
        }
    )
    action_space = gymnasium.spaces.Dict(
        {
            "turn": gymnasium.spaces.MultiDiscrete([2, 3]),
            "go": gymnasium.spaces.Discrete(4, start=2),
        }
    )

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._obs({"turn": np.zeros(2, int), "go": 2}), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        return self._obs(action), 0.5, False, False, {}

    def _obs(self, action: Any) -> Any:
        go = int(action["go"])
        turned = np.array([*action["turn"], 0, 1], np.int8)
        return {"b": (go - 3, turned), "a": np.full((2, 2), go, np.uint8)}


gymnasium.register("Nested-v0", Nested)


class Odd(Broken):
    """Returns what a script of values says, one after another, and then the last again.

    Args:
        obs, reward, info: of the steps, each a list.
        space: of the observation.
    """

    def __init__(
        self, *, space: Any = None, obs: Any = None, reward: Any = None, info: Any = None
    ) -> None:
        super().__init__()
        self.observation_space = space or Broken.observation_space
        self.script = (obs or [np.zeros(2, np.float32)], reward or [1.0], info or [{}])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.script[0][0], {}

    def step(self, action: Any) -> Any:
        self.count += 1
        obs, reward, info = (column[min(self.count, len(column) - 1)] for column in self.script)
        return obs, reward, False, False, info


gymnasium.register("Odd-v0", Odd)


class Illegal(Broken):
    """Refuses what is not legal: 1, 2, 0 by turns; and says so where it is told to."""

    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, says: str = "") -> None:
        super().__init__()
        self.says = says
        if says == "method":
            self.action_masks = self._mask

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        obs, info = super().reset(seed=seed)
        return obs, self._info(info)

    def step(self, action: Any) -> Any:
        if not self._mask()[action]:
            raise ValueError(f"{action} is illegal")
        obs, *others, info = super().step(action)
        return obs, *others, self._info(info)

    def _mask(self) -> Any:
        return np.arange(3) == (self.count + 1) % 3

    def _info(self, info: Any) -> Any:
        return info | {"action_mask": self._mask()} if self.says == "info" else info


gymnasium.register("Illegal-v0", Illegal)


class Paired(Broken):
    """Its actions have parts, of which one value each is legal: the number of the step."""

    action_space = gymnasium.spaces.Dict(
        move=gymnasium.spaces.MultiDiscrete([5, 6]),
        tools=gymnasium.spaces.Tuple([gymnasium.spaces.MultiBinary(6)]),
        force=gymnasium.spaces.Box(-1, 1),
    )

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        obs, info = super().reset(seed=seed)
        return obs, info | {"action_mask": self._mask()}

    def step(self, action: Any) -> Any:
        legal = self._mask()
        chosen = [row[value] for row, value in zip(legal["move"], action["move"], strict=True)]
        if not all(chosen) or (action["tools"][0] != legal["tools"][0]).any():
            raise ValueError(f"{action} is illegal")
        obs, *others, info = super().step(action["move"])
        return obs, *others, info | {"action_mask": self._mask()}

    def _mask(self) -> Any:
        here = self.count % 5
        move = tuple(np.int8(np.arange(size) == here) for size in (5, 6))
        return {"move": move, "tools": (np.int8(np.arange(6) == here),)}


gymnasium.register("Paired-v0", Paired)
