"""An environment of dm_env; other processes import this, and no more."""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np
from dm_env import specs


class Fall(dm_env.Environment):  # type: ignore[misc]
    """A ball falls four rows, and the pad below moves by `push - 1`."""

    def __init__(self, start: Any = lambda: 3, last_discount: float = 0.0) -> None:
        self.start, self.last_discount = start, last_discount

    def reset(self) -> Any:
        self.ball, self.pad, self.row = self.start(), 2, 0
        return dm_env.restart(self.seen())

    def step(self, action: Any) -> Any:
        self.action_spec()["push"].validate(action["push"])
        for spec, force in zip(self.action_spec()["forces"], action["forces"], strict=True):
            spec.validate(force)
        self.pad, self.row = self.pad + int(action["push"]) - 1, self.row + 1
        reward, kind = float(action["forces"][0].sum()), dm_env.StepType
        if self.row < 4:
            return dm_env.transition(reward, self.seen(), discount=0.5)
        return dm_env.TimeStep(kind.LAST, reward, self.last_discount, self.seen())

    def seen(self) -> Any:
        places = [np.float64(self.ball) / 3, self.pad]  # one of them a plain number
        return {"places": places, "row": np.uint8(self.row)}

    def observation_spec(self) -> Any:
        places = [specs.Array((), np.float64), specs.Array((), np.int64)]
        return {"row": specs.Array((), np.uint8), "places": places}

    def action_spec(self) -> Any:
        force = specs.BoundedArray((2,), np.float64, [-1, 0], [1, 2])
        return {"push": specs.DiscreteArray(3, np.int64), "forces": [force]}
