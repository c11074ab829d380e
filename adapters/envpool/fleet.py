"""Pools as a fleet: what is sent to several pools is done at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.errors import HostEnvError, MissingCapabilityError
from envhub.host.fleet import Fleet
from envhub.host.outcomes import Outcomes

from .facts import NEEDS_OPENGL
from .pools import Pool, Recipe
from .specs import Array


class PoolFleet(Fleet):
    """Environments in pools of EnvPool's, which step any subset of theirs.

    EnvPool takes seeds at construction alone. So with exact seeding a reset makes a pool of its
    lanes, and an episode is a function of its seed. Otherwise an instance goes on with its own
    generator, and `seed`, or the seed of the very first reset, decides the seeds of all instances:
    a program that is run anew does the same again.

    An environment whose episode ended is never stepped: EnvPool would reset it.

    Args:
        recipe: makes pools.
        is_exact: whether an episode is to be a function of its seed.
        seed: of all instances, without exact seeding.

    Raises:
        HostEnvError: if a second thread calls it meanwhile, for EnvPool hangs then.
    """

    takes_columns = True

    def __init__(self, recipe: Recipe, *, is_exact: bool, seed: int | None = None) -> None:
        self._recipe, self._is_exact = recipe, is_exact
        self._pools: dict[int, Pool] = {}
        self._users: dict[int, int] = {}  # how many instances live in a pool
        self._next = 0
        self._seeds = None if seed is None else np.random.default_rng(seed)
        self._alone = Alone()
        self._home = np.full(1, -1)  # the pool of each instance; -1 before its first reset
        self._place = np.zeros(1, np.int32)
        self._elapsed = np.zeros(1, np.int32)

    def grow(self, count: int) -> None:
        self._home = np.concatenate([self._home, np.full(count, -1)])
        self._place = np.concatenate([self._place, np.zeros(count, np.int32)])
        self._elapsed = np.concatenate([self._elapsed, np.zeros(count, np.int32)])

    def reset(self, numbers: Any, seeds: Sequence[int]) -> Outcomes:
        with self._alone:
            return self._reset(np.asarray(numbers), seeds)

    def step(self, numbers: Any, actions: Any) -> Outcomes:
        with self._alone:
            return self._step(np.asarray(numbers), np.asarray(actions))

    def _reset(self, numbers: Array, seeds: Sequence[int]) -> Outcomes:
        if self._is_exact:
            self._settle(numbers, seeds)
        elif len(new := numbers[self._home[numbers] < 0]):
            self._settle(new, self._drawn(seeds[0], len(new)))
        parts = self._parts(numbers)
        sent = [self._pools[pool].begin(self._place[numbers[lanes]]) for pool, lanes in parts]
        self._elapsed[numbers] = 0
        obs = self._recipe.reader.obs(_joined(sent, parts, len(numbers)))
        return Outcomes(obs, (), (), (), (), ())

    def _step(self, numbers: Array, actions: Array) -> Outcomes:
        recipe, reader = self._recipe, self._recipe.reader
        parts = self._parts(numbers)
        for pool, lanes in parts:
            self._pools[pool].send(self._place[numbers[lanes]], actions[lanes])
        sent = [self._pools[pool].finish() for pool, _ in parts]
        columns = _joined(sent, parts, len(numbers))
        elapsed = self._elapsed[numbers] + 1
        self._elapsed[numbers] = elapsed
        terminated = recipe.terminated(reader, columns)
        truncated = reader.column(columns, "trunc") | (reader.column(columns, "done") & ~terminated)
        if recipe.limit:
            truncated = truncated | (elapsed >= recipe.limit)
        if reader.agents > 1:  # EnvPool ends an episode for all of them at once
            terminated, truncated = (
                np.repeat(flag[:, None], reader.agents, axis=1) for flag in (terminated, truncated)
            )
        rewards = reader.column(columns, "reward")
        info = reader.info(columns, elapsed)
        return Outcomes(reader.obs(columns), rewards, terminated, truncated, info, ())

    def render(self, number: int) -> Any:
        if self._recipe.drawn == NEEDS_OPENGL:
            raise MissingCapabilityError(NEEDS_OPENGL)
        with self._alone:
            return self._pools[self._home[number]].picture(self._place[number])

    def restore(self, numbers: Any, saved: Any, obs: Sequence[Any]) -> None:
        raise NotImplementedError

    def set_params(self, numbers: Any, values: Array) -> None:
        raise NotImplementedError

    def replace(self, number: int) -> None:
        self._leave(np.array([number]))

    def close(self) -> None:
        self._pools.clear()
        self._users.clear()
        self._home[:] = -1

    def _drawn(self, seed: int, count: int) -> list[int]:
        """Seeds of new instances."""
        if self._seeds is None:
            self._seeds = np.random.default_rng(seed)
        drawn: list[int] = self._seeds.integers(2**31, size=count).tolist()
        return drawn

    def _settle(self, numbers: Array, seeds: Sequence[int]) -> None:
        """Make a pool of these instances."""
        self._leave(numbers)
        self._pools[self._next] = self._recipe.make(seeds)
        self._users[self._next] = len(numbers)
        self._home[numbers], self._place[numbers] = self._next, np.arange(len(numbers))
        self._next += 1

    def _leave(self, numbers: Array) -> None:
        """Take instances out of their pools; a pool without any goes."""
        left = self._home[numbers]
        for pool, count in zip(*np.unique(left[left >= 0], return_counts=True), strict=True):
            self._users[int(pool)] -= int(count)
            if not self._users[int(pool)]:
                del self._users[int(pool)], self._pools[int(pool)]
        self._home[numbers] = -1

    def _parts(self, numbers: Array) -> list[tuple[int, Any]]:
        """The pools of these instances, each with its lanes."""
        if len(self._pools) == 1:
            return [(next(iter(self._pools)), slice(None))]
        homes = self._home[numbers]
        if (homes == homes[0]).all():
            return [(int(homes[0]), slice(None))]
        order = np.argsort(homes, kind="stable")
        edges = np.flatnonzero(np.diff(homes[order])) + 1
        return [(int(homes[lanes[0]]), lanes) for lanes in np.split(order, edges)]


class Alone:
    """Lets one thread in, and refuses a second one, with which EnvPool hangs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise HostEnvError(
                "two threads call one pool of EnvPool's at once. Let them take turns, or make an "
                "environment for each."
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _joined(
    sent: Sequence[Sequence[Array]], parts: Sequence[tuple[int, Any]], size: int
) -> Sequence[Array]:
    """What several pools sent, in the order of the lanes."""
    if len(sent) == 1:
        return sent[0]
    back = np.empty(size, np.intp)
    back[np.concatenate([lanes for _, lanes in parts])] = np.arange(size)
    return [np.concatenate(column)[back] for column in zip(*sent, strict=True)]
