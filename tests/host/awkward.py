"""Environments of Gymnasium's interface that are awkward to fork, each in one way."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class Drift(gymnasium.Env[Any, Any]):
    """A place on a line, which a generator moves too. It goes on for 80 steps."""

    observation_space = gymnasium.spaces.Box(-999, 999, (1,), np.float32)
    action_space: Any = gymnasium.spaces.Discrete(3, start=-1)
    length = 80

    def __init__(self) -> None:
        self.place, self.steps = 0.0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.place, self.steps = self.drawn(), 0
        return self.seen(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        self.place += float(np.sum(action)) + self.drawn()
        return self.seen(), self.place, False, self.steps >= self.length, {}

    def drawn(self) -> float:
        return float(self.np_random.random())

    def seen(self) -> Any:
        return np.array([self.place], np.float32)


class Pulled(Drift):
    """It is pulled by a keyword, and without one by a generator of the process."""

    def __init__(self, pull: float | None) -> None:
        super().__init__()
        self._pull = pull

    def step(self, action: Any) -> Any:
        obs, reward, *rest = super().step(action)
        return obs, reward + (np.random.rand() if self._pull is None else self._pull), *rest


class Global(Drift):
    """Draws from NumPy's generator of the process."""

    def drawn(self) -> float:
        return float(np.random.random())


class Remembers(Drift):
    """A reset leaves something of the episodes before, which matters from step 60 on."""

    before = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        self.before += 1
        return super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        obs, reward, *rest = super().step(action)
        return obs, reward + (self.before if self.steps >= 60 else 0), *rest


class Wears(Remembers):
    """Its rewards are others after 25 resets, as its observations are not."""

    def step(self, action: Any) -> Any:
        obs, reward, *rest = Drift.step(self, action)
        return obs, reward + (self.before > 25), *rest


class Shared(Drift):
    """All of them move one thing, as with a simulator of the module."""

    simulator = Drift()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        return self.simulator.reset(seed=seed)

    def step(self, action: Any) -> Any:
        return self.simulator.step(action)


class Rebuilt(Drift, gymnasium.utils.EzPickle):
    """A pickle of it is a new one, as with `EzPickle`."""

    def __init__(self) -> None:
        gymnasium.utils.EzPickle.__init__(self)
        Drift.__init__(self)


class Holds(Drift):
    """A function of its own, which cannot be pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.function = lambda: self.place


class Forgets(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A time limit whose copies start to count again."""

    def __init__(self, env: Any, limit: int = 70) -> None:
        super().__init__(env)
        self.limit, self.count = limit, 0

    def reset(self, **how: Any) -> Any:
        self.count = 0
        return self.env.reset(**how)

    def step(self, action: Any) -> Any:
        self.count += 1
        obs, reward, terminated, _, info = self.env.step(action)
        return obs, reward, terminated, self.count >= self.limit, info

    def __getstate__(self) -> Any:
        return {**vars(self), "count": 0}


class Scaled(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Rewards times a number."""

    def __init__(self, env: Any, factor: float) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, factor=factor)
        gymnasium.Wrapper.__init__(self, env)
        self.factor = factor

    def step(self, action: Any) -> Any:
        obs, reward, *rest = self.env.step(action)
        return obs, reward * self.factor, *rest


class Bends(Drift):
    """Its actions are arrays, and its episodes may go on for longer than anybody says."""

    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float64)
    length = 10**6
