"""Copies of live instances: a cache in front of replays, which never leaves its process."""

from __future__ import annotations

import collections
import copy
import pickle
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

from envhub.host.logs import Key, Log

CACHE = 64 * 2**20  # bytes, where nobody says
KINDS = ("pickle", "deepcopy")


class Copies:
    """The least recently used copies go first. A copy is found by the log that led to it.

    Pickled, it is empty: what another process made is never loaded.

    Args:
        limit: the most bytes of all copies together.

    Attributes:
        kind: how copies are made: `"pickle"`, `"deepcopy"`, or `None` for not at all.
    """

    _measure_at: int  # steps of a log

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kind: str | None = KINDS[0] if limit else None
        self._lock = threading.Lock()
        self._clear()

    def __len__(self) -> int:
        return len(self._held)

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit, "kind": self.kind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        self._clear()

    def switch(self, kind: str | None) -> None:
        """Make copies in this way from now on, and forget those that there are."""
        with self._lock:
            self.kind = kind
            self._clear()

    def put(self, log: Log, live: Any) -> None:
        """Keep a copy of what a log led to. What cannot be copied switches copying off."""
        kind = self.kind
        if kind is None:
            return
        key = log.key(log.count)
        try:
            taken, size = _pickled(live) if kind == "pickle" else self._copied(live, log.count)
        except Exception:  # anything may come from the code of an environment
            self.switch(None)
            return
        size += len(key[-1])
        with self._lock:
            if size > self.limit or key in self._held or kind != self.kind:
                return
            self._held[key] = (log.count, taken, size)
            self._lengths[log.seed][log.count] += 1
            self._size += size
            while self._size > self.limit:
                self._drop()

    def nearest(self, log: Log) -> tuple[int, Any] | None:
        """Return the copy that a log goes on from at the latest step, and that step.

        Returns:
            The step, and what was given to `put`, copied; `None` if there is no copy.
        """
        with self._lock:
            counts = [each for each in self._lengths.get(log.seed, ()) if each <= log.count]
            for count in sorted(counts, reverse=True):
                key = log.key(count)
                if key in self._held:
                    self._held.move_to_end(key)
                    taken = self._held[key][1]
                    break
            else:
                return None
        try:
            return count, taken()
        except Exception:
            self.switch(None)
            return None

    def _copied(self, live: Any, count: int) -> tuple[Callable[[], Any], int]:
        if count >= self._measure_at:  # to measure takes long, and an instance may grow
            self._measure_at, self._estimate = 2 * count, _size_of_copy(live)
        taken = copy.deepcopy(live)
        return lambda: copy.deepcopy(taken), self._estimate

    def _drop(self) -> None:
        (seed, *_), (count, _, size) = self._held.popitem(last=False)
        self._size -= size
        self._lengths[seed][count] -= 1
        if not self._lengths[seed][count]:
            del self._lengths[seed][count]
        if not self._lengths[seed]:
            del self._lengths[seed]

    def _clear(self) -> None:
        self._held: collections.OrderedDict[Key, Any] = collections.OrderedDict()
        self._lengths: collections.defaultdict[int, collections.Counter[int]]
        self._lengths = collections.defaultdict(collections.Counter)
        self._size = self._estimate = self._measure_at = 0


def _pickled(live: Any) -> tuple[Callable[[], Any], int]:
    data = pickle.dumps(live, pickle.HIGHEST_PROTOCOL)
    return lambda: pickle.loads(data), len(data)


def _size_of_copy(live: Any) -> int:
    """The bytes of a copy that Python and NumPy allocate."""
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        taken = copy.deepcopy(live)
        size = tracemalloc.get_traced_memory()[0] - before
        del taken
    finally:
        if not was_tracing:
            tracemalloc.stop()
    return max(size, 1024)
