"""How a pool of EnvPool's is made, and what is sent to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.flags import Claim

from .specs import Array, Reader, terminated_by


class Recipe:
    """How to make pools of one environment.

    Args:
        spec, pool: EnvPool's classes.
        family: the module of `envpool` that has them.
        config: EnvPool's keywords, checked.
        limit: of steps of an episode, which the fleet counts; 0 for none.
        num_threads: of a pool; 0 for as many as there are cores, and at most one a lane.
        drawn: whether pools can be drawn, or why not.
    """

    def __init__(
        self,
        spec: Any,
        pool: Any,
        family: str,
        config: dict[str, Any],
        limit: int,
        num_threads: int,
        drawn: Claim,
    ) -> None:
        self._spec, self._pool, self._config = spec, pool, config
        self.drawn = drawn
        self.family, self.limit, self._threads = family, limit, num_threads
        self.spec = spec(spec.gen_config(**config))
        self.reader = Reader(self.spec)
        self.terminated = terminated_by(family, self.reader)

    def make(self, seeds: Sequence[int]) -> Pool:
        """Make a pool with an environment for each seed, each about to begin an episode."""
        threads = self._threads or min(len(seeds), os.cpu_count() or 1)
        config = {
            **self._config,
            "num_envs": len(seeds),
            "batch_size": len(seeds),
            "env_seed": list(seeds),
            "num_threads": min(threads, len(seeds)),
        }
        return Pool(self._pool(self._spec(self._spec.gen_config(**config))), self.reader)


class Pool:
    """A pool, all of whose lanes are known by their place in it.

    It is used by one thread at a time.
    """

    def __init__(self, pool: Any, reader: Reader) -> None:
        self._pool, self._dtype = pool, reader.action_dtype

    def begin(self, places: Array) -> list[Array]:
        """Start episodes; `finish` is not needed."""
        self._pool._reset(places)
        sent: list[Array] = self._pool._recv()
        return sent

    def send(self, places: Array, actions: Array) -> None:
        """Have lanes step; places are int32[n]."""
        self._pool._send([places, places, np.ascontiguousarray(actions, self._dtype)])

    def finish(self) -> list[Array]:
        """What the lanes that were sent to have become, in their order."""
        sent: list[Array] = self._pool._recv()
        return sent

    def picture(self, place: int) -> Array:
        """Draw a lane: uint8[H, W, 3]."""
        frames: Array = self._pool._render(np.array([place], np.int32), 0, 0, -1)
        picture: Array = frames[0]
        return picture
