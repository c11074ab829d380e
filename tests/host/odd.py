"""Environments of Gymnasium as people write them: each has something that is not as it should be.

`gymnasium::tests.host.odd:FourValues-v0` imports this module.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

LENGTH = 4
PICTURE = np.zeros((3, 5, 3), np.uint8)


class Odd(gymnasium.Env[Any, Any]):
    """Nothing is odd yet: it counts its steps."""

    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.count, self.start = 0, float((options or {}).get("start", 0))
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.count += 1
        return self._seen(), 1.0, self.count >= LENGTH, False, {}

    def render(self) -> Any:
        return PICTURE

    def _seen(self) -> Any:
        return np.array([self.start, self.count], np.float32)


class FourValues(Odd):
    def step(self, action: Any) -> Any:
        return self._seen(), 1.0, False, {}


class VectorReward(Odd):
    def step(self, action: Any) -> Any:
        obs, _, *others = super().step(action)
        return obs, np.ones(2), *others


class ExitsInit(Odd):
    def __init__(self) -> None:
        raise SystemExit("enough")


class ExitsReset(Odd):
    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        raise SystemExit("enough")


class Panic(BaseException):
    """As `pyo3_runtime.PanicException` is, of a library in Rust."""


class PanicsStep(Odd):
    def step(self, action: Any) -> Any:
        raise Panic("enough")


class PanicsLater(Odd):
    armed = False

    def step(self, action: Any) -> Any:
        if action == 1 and self.armed:
            raise Panic("enough")
        return super().step(action)


class NeedsDisplay(Odd):
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        if render_mode:
            raise RuntimeError("there is no display")


class TakesNoMode(Odd):
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012


class ModesNone(Odd):
    metadata = {"render_modes": None}  # noqa: RUF012


for kind in Odd.__subclasses__():
    gymnasium.register(f"{kind.__name__}-v0", entry_point=kind)
gymnasium.register("Plain-v0", entry_point=Odd)
