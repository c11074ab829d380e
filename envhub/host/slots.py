"""What is known of each live instance: the state that it is in, and what that state shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Form = tuple[tuple[int, ...], Any]  # a shape and a dtype

UNKNOWN = 0xFFFFFFFF  # bits of no sensible param: none were put in force yet


class Batch(NamedTuple):
    """States that instances are in after a call.

    Attributes:
        slots: the numbers of the instances, int[n].
        handles: uint32[n, 3], which name the states: slot, generation, and that of the pool.
        before: uint32[n], the generations of the states from which steps led there, or 0.
        ended: bool[n], whether the episode ended.
        shown: the columns of what the states show.
        chosen: the columns of the actions that led there; empty after a reset.
        call: in which call that was.
    """

    slots: Array
    handles: Array
    before: Any
    ended: Array
    shown: Sequence[Any]
    chosen: Sequence[Any]
    call: int


class Slots:
    """A table with a row for each instance.

    Handles name states by slot and generation. Generations are unique in a table, so a handle fits
    a row exactly or not at all; generation 0 is that of no state.

    A batch is held back until something else has to be known, because most are continued as they
    are by the next call: `flush` before reading.

    Args:
        shown: the columns of what a state shows.
        chosen: the columns of the action that led to a state.
        num_params: how many numbers the params are.

    Attributes:
        generation: uint32[n], the state that the instance is in.
        before: uint32[n], the one from which a step led there.
        ended: bool[n], whether its episode ended; true where there is no state.
        shown: what the state shows, by column.
        chosen: the action that led there, by column.
        params: uint32[n, P], the bits of the params in force in the instance.
        newest: the batch that is held back.
        now: the number of this call.
    """

    def __init__(self, shown: Sequence[Form], chosen: Sequence[Form], num_params: int) -> None:
        self.generation, self.before = np.zeros((2, 0), np.uint32)
        self.ended = np.zeros(0, np.bool_)
        self.shown = [np.zeros((0, *shape), dtype) for shape, dtype in shown]
        self.chosen = [np.zeros((0, *shape), dtype) for shape, dtype in chosen]
        self.params = np.zeros((0, num_params), np.uint32)
        self.newest: Batch | None = None
        self.now = 1  # so that nothing was used in the last call yet
        self._used = np.zeros(0, np.int64)  # in which call
        self._next = 1  # generation

    def __len__(self) -> int:
        return len(self.generation)

    def grow(self, count: int) -> None:
        """Add rows that hold no state."""
        for name in ("generation", "before", "ended", "params", "_used"):
            setattr(self, name, _longer(getattr(self, name), count))
        self.shown = [_longer(column, count) for column in self.shown]
        self.chosen = [_longer(column, count) for column in self.chosen]
        self.ended[-count:] = True
        self.params[-count:] = UNKNOWN

    def generations(self, count: int) -> Array:
        """Names for that many states: uint32[count]."""
        start = self._next
        self._next += count
        if self._next > UNKNOWN:  # after four billion states; none of the first ones is left
            start, self._next = 1, 1 + count
        return np.arange(start, start + count, dtype=np.uint32)

    def hold(self, batch: Batch) -> None:
        """Note a batch, in place of the one that was continued."""
        self.newest = batch

    def flush(self) -> None:
        """Write the batch that was held back."""
        batch, self.newest = self.newest, None
        if batch is None:
            return
        slots = batch.slots
        self.generation[slots] = batch.handles[:, 1]
        self.before[slots], self.ended[slots] = batch.before, batch.ended
        self._used[slots] = batch.call
        for column, value in zip(self.shown, batch.shown, strict=True):
            column[slots] = value
        for column, value in zip(self.chosen, batch.chosen, strict=False):
            column[slots] = value

    def touch(self, slots: Any) -> None:
        """Note that the states of these slots are used in this call."""
        self._used[slots] = self.now

    def forget(self, slots: Any) -> None:
        """These hold no state from now on."""
        self.generation[slots] = self.before[slots] = 0
        self.ended[slots] = True

    def candidates(self, busy: Any, *, keep_used: bool) -> tuple[Array, Array]:
        """The slots that may be given up, each group in the order in which to do so.

        Args:
            busy: those that may not.
            keep_used: whether to keep those that were used in this call, unless their episode
                ended: an automatic reset takes over these if there are no others.

        Returns:
            Those whose episode ended, and not just now: under `vmap` the lanes of a `while` ask for
            these again. And the others.
        """
        free = np.ones(len(self), np.bool_)
        free[busy] = False
        if keep_used:
            free &= self.ended | (self._used < self.now)
        idle = free & self.ended & (self._used < self.now - 1)
        return self._by_age(idle), self._by_age(free & ~idle)

    def _by_age(self, chosen: Array) -> Array:
        numbers = np.flatnonzero(chosen)
        oldest_first: Array = numbers[np.argsort(self._used[numbers], kind="stable")]
        return oldest_first


def _longer(column: Array, count: int) -> Array:
    return np.concatenate([column, np.zeros((count, *column.shape[1:]), column.dtype)])
