"""How a pool of EnvPool's is made, and what is sent to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.flags import Claim

from .specs import Array, Reader, terminated_by
from .turns import reader_of


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
        self.reader = reader_of(self.spec)
        self.terminated = terminated_by(family, self.reader)

    def make(self, seeds: Sequence[int]) -> Pool:
        """Make a pool with an environment for each seed, each about to begin an episode."""
        threads = self._threads or min(len(seeds), os.cpu_count() or 1)
        several = self.reader.agents > 1
        config = {
            **self._config,
            "num_envs": len(seeds),
            "batch_size": 1 if several else len(seeds),
            "env_seed": list(seeds),
            "num_threads": min(threads, len(seeds)),
        }
        made = self._pool(self._spec(self._spec.gen_config(**config)))
        return (SharedPool if several else Pool)(made, self.reader)


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


class SharedPool(Pool):
    """A pool whose environments have several agents each.

    There EnvPool answers in the order in which the environments finish, and a batch that is smaller
    than the pool hangs (envpool 1.2.7). So a batch is one environment.
    """

    def __init__(self, pool: Any, reader: Reader) -> None:
        super().__init__(pool, reader)
        self._reader = reader

    def begin(self, places: Array) -> list[Array]:
        self._pool._reset(places)
        return self._answers(places)

    def send(self, places: Array, actions: Array) -> None:
        self._sent = places
        whose = np.repeat(places, self._reader.actors)
        each = np.ascontiguousarray(actions, self._dtype).reshape(len(whose), *actions.shape[2:])
        self._pool._send([places, whose, each])

    def finish(self) -> list[Array]:
        return self._answers(self._sent)

    def _answers(self, places: Array) -> list[Array]:
        """One answer for each of these environments, in their order."""
        found: dict[int, list[Array]] = {}
        for _ in places:
            answer = self._pool._recv()
            found[int(self._reader.column(answer, "info:env_id")[0])] = answer
        return self._reader.stacked([found[place] for place in places.tolist()])
