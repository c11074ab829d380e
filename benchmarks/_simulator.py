"""An instance that takes a given time for a step: processes and actors import this module."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from envhub import spaces
from envhub.host import Instance, InstanceStep


class Simulator(Instance):
    """It sleeps, so that many of them fit on few cores, and returns a picture.

    Args:
        seconds: what a step takes.
        side: the height and the width of the picture, of four frames.
    """

    action_space = spaces.Discrete(2)

    def __init__(self, seconds: float, side: int) -> None:
        self.seconds, self.count = seconds, 0
        self.picture = np.zeros((4, side, side), np.uint8)
        self.observation_space = spaces.Box(0, 255, self.picture.shape, np.uint8)

    def reset(self, seed: int) -> Any:
        self.count = 0
        return self.picture.copy()

    def step(self, action: Any) -> InstanceStep:
        if self.seconds:
            time.sleep(self.seconds)
        self.count += 1
        return InstanceStep(np.full_like(self.picture, self.count % 256), 0.0, False, False, {})
