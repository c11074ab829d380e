"""An instance that does what its actions say; other processes import this, and no more."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
from typing import Any

import numpy as np

from envhub.host import Instance, InstanceStep

STEP, RAISE, ODDLY, INTERRUPT, SIGNAL, STUCK, KILL, EXIT, CRASH, LOOK = range(10)


def loaded(*_: Any) -> list[str]:
    """The modules of JAX in this process, and the hub itself, whose parts import JAX."""
    return sorted(sys.modules.keys() & {"jax", "jaxlib", "envhub.hub", "envhub.environment"})


class OddError(Exception):
    """Cannot be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


class Toy(Instance):
    """Counts, draws, and does what the action says."""

    def __init__(self, nested: bool = False, side: int = 4) -> None:
        self.nested, self.side = nested, side
        self.closed = False
        self.gain = 1.0

    def reset(self, seed: int) -> Any:
        self.rng, self.count = np.random.default_rng(seed), 0
        return self._obs()

    def step(self, action: Any) -> InstanceStep:
        self.count += 1
        _do(int(action))
        drawn = self.rng.random() * self.gain
        info = {"count": self.count, "drawn": np.float32(drawn), "text": "x"}
        return InstanceStep(self._obs(), np.float64(drawn), self.count > 3, False, info)

    def save(self) -> bytes:
        return pickle.dumps((self.rng, self.count)) + b"." * self.count

    def restore(self, saved: bytes, obs: Any) -> None:
        self.rng, self.count = pickle.loads(saved)
        assert np.array_equal(self._picture(), obs["b"][1] if self.nested else obs)

    def set_params(self, values: Any) -> None:
        self.gain = float(values[0])

    def render(self) -> Any:
        return np.full((64, 64, 3), self.count, np.uint8)

    def close(self) -> None:
        self.closed = True

    def _obs(self) -> Any:
        picture = self._picture()
        return {"b": (self.count, picture), "a": np.float32(self.count)} if self.nested else picture

    def _picture(self) -> Any:
        return np.full((self.side, self.side), self.count % 256, np.uint8)


def _do(action: int) -> None:
    if action == RAISE:
        raise OSError("told to")
    if action == ODDLY:
        raise OddError("told", "to")
    if action == INTERRUPT:
        raise KeyboardInterrupt
    if action == SIGNAL:  # as Ctrl-C does, while everybody waits for this step
        time.sleep(0.1)
        in_process = threading.current_thread() is threading.main_thread()
        os.kill(os.getppid() if in_process else os.getpid(), signal.SIGINT)
        time.sleep(0.3)
    if action == STUCK:
        time.sleep(60)
    if action == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    if action == EXIT:
        os._exit(3)
    if action == CRASH:
        ctypes.string_at(0)
    if action == LOOK:
        raise LookupError(loaded())
