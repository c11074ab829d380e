"""One environment of bsuite, whose seed decides an episode, and whose limit truncates."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from envhub.host import InstanceStep
from envhub.host.dm_env import DmEnvInstance

START = 0.05  # where a cart-pole starts, at most: `init_range`, which no id changes


class BsuiteInstance(DmEnvInstance):
    """One environment of bsuite.

    bsuite 0.3.6 ends an episode at its time limit with the discount of a termination, 0.

    Args:
        bsuite_id: as bsuite has it, such as `"catch/0"`.
        limit: after how many steps an episode is truncated; `None` for bsuite's own limit.
    """

    def __init__(self, bsuite_id: str, limit: int | None = None) -> None:
        super().__init__(functools.partial(create, bsuite_id))
        self._own = getattr(self.env, "raw_env", self.env)  # without what changes its rewards
        layers = [self._own, *([] if self._own is self.env else [self.env])]
        self._generators = [vars(each)["_rng"] for each in layers if "_rng" in vars(each)]
        self._tallies = self.env.bsuite_info()  # which go on over episodes
        if limit is not None:
            set_limit(self._own, limit)
        self.episode_limit = limit_of(self._own)

    def reset(self, seed: int) -> Any:
        self._count = 0
        for place, generator in enumerate(self._generators):
            # bsuite would give the noise of rewards the numbers that decide the episode.
            generator.seed([seed, place] if place else seed)
        for name, first in self._tallies.items():
            setattr(self._own, f"_{name}", first)
        if hasattr(self._own, "_init_fn"):
            # bsuite 0.3.6: that of a copy is the original's, and draws from its generator.
            self._own._init_fn = functools.partial(self._own._rng.uniform, -START, START)
        return super().reset(seed)

    def step(self, action: Any) -> InstanceStep:
        step = super().step(action)
        self._count += 1
        is_cut = self._count == self.episode_limit
        return step._replace(
            terminated=step.terminated and not (is_cut and not is_over(self._own)),
            truncated=is_cut,
            info={**step.info, **self.env.bsuite_info()},
        )


def create(bsuite_id: str) -> Any:
    """Make an environment of bsuite, without the line that `load_from_id` prints."""
    import bsuite
    from bsuite import sweep
    from bsuite.utils import datasets

    if not hasattr(datasets.load_mnist, "cache_info"):
        # bsuite 0.3.6 reads 60,000 images, 55 MB, for each environment.
        datasets.load_mnist = functools.cache(datasets.load_mnist)
    experiment = bsuite_id.partition("/")[0]
    return bsuite.load(experiment, sweep.SETTINGS[bsuite_id])


def limit_of(own: Any) -> int | None:
    """Return after how many steps an environment ends an episode, whatever happened."""
    if not hasattr(own, "_max_time"):
        return getattr(own, "_max_steps", None)
    steps, time = 0, 0.0
    while time <= own._max_time:  # bsuite adds seconds, too, and counts no steps
        steps, time = steps + 1, time + own._timescale
    return steps


def set_limit(own: Any, steps: int) -> None:
    """Change the limit of an environment that has one; it shows the time as a part of it."""
    if hasattr(own, "_max_time"):
        own._max_time = (steps - 0.5) * own._timescale
    else:
        own._max_steps = steps


def is_over(own: Any) -> bool:
    """Tell whether an episode that reached its limit would have ended without one."""
    if hasattr(own, "_goal_pos"):  # a mountain car
        return bool(own._position >= own._goal_pos)
    place, edge = abs(own._state.x), own._x_threshold
    if hasattr(own, "_theta_dot_threshold"):  # a swing-up, in which the pole may fall
        return bool(place > edge)
    return not (place < edge and np.cos(own._state.theta) > own._height_threshold)
