"""What is known of the states that handles name: which instance is where, and what a step finds.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from envhub.host.protocol import Array, Columns, Form, Given, rows_of
from envhub.host.snapshot import SnapshotForm

UNSET = 0xFFFFFFFF  # bits of no sensible param: none were put in force yet

STEP, AGAIN, ENDED, LOST, STALE = range(5)
"""What a lane of a step finds.

`STEP`: its instance is in the state. `AGAIN`: it came from it by this very transition, so the
answer is there. `ENDED`: the episode ended, and the state stays as it is. `LOST`: no instance is in
the state, which goes on from its snapshot. `STALE`: nor is there a snapshot.
"""


class Batch(NamedTuple):
    """States that instances are in after a call.

    Attributes:
        slots: the numbers of the instances, int[n].
        handles: uint32[n, 3], which name the states: slot, generation, and that of the pool.
        before: the generations of the states from which steps led there, int[n], or -1.
        ended: bool[n], whether the episode ended.
        shown: what the states show.
        chosen: the actions that led there; empty after a reset.
        call: in which call that was.
    """

    slots: Array
    handles: Array
    before: Any
    ended: Array
    shown: Columns
    chosen: Columns
    call: int


class Rows:
    """A row for each instance.

    Attributes:
        generation: int[n], the state that the instance is in; -1 is no state.
        before: int[n], the one from which a step led there, or -1.
        ended: bool[n], whether its episode ended; true where there is no state.
        shown: what the state shows.
        chosen: the action that led there.
        params: uint32[n, P], the bits of the params in force in the instance.
        used: in which call it was last used.
    """

    def __init__(
        self, shown: Mapping[str, Form], chosen: Mapping[str, Form], num_params: int
    ) -> None:
        self.generation, self.before = np.zeros((2, 0), np.int64)
        self.ended = np.zeros(0, np.bool_)
        self.shown = {name: np.zeros((0, *form.shape), form.dtype) for name, form in shown.items()}
        self.chosen = {
            name: np.zeros((0, *form.shape), form.dtype) for name, form in chosen.items()
        }
        self.params = np.zeros((0, num_params), np.uint32)
        self.used = np.zeros(0, np.int64)

    def grow(self, count: int) -> None:
        """Add rows that hold no state."""
        self.generation, self.before = _longer(self.generation, count), _longer(self.before, count)
        self.ended, self.used = _longer(self.ended, count), _longer(self.used, count)
        self.params = _longer(self.params, count)
        self.shown = {name: _longer(column, count) for name, column in self.shown.items()}
        self.chosen = {name: _longer(column, count) for name, column in self.chosen.items()}
        self.generation[-count:] = self.before[-count:] = -1
        self.ended[-count:] = True
        self.params[-count:] = UNSET

    def write(self, batch: Batch) -> None:
        """Note what a batch says."""
        slots = batch.slots
        self.generation[slots], self.before[slots] = batch.handles[:, 1], batch.before
        self.ended[slots], self.used[slots] = batch.ended, batch.call
        for name, column in batch.shown.items():
            self.shown[name][slots] = column
        for name, column in batch.chosen.items():
            self.chosen[name][slots] = column


class States:
    """The table of the states that the instances of a pool are in. The pool alone changes it.

    Handles name states by slot and generation. Generations are unique in a table, so a handle fits
    a row exactly or not at all.

    The newest batch is held back, because most are continued as they are by the next call, and then
    nobody reads it: `rows` writes it before it gives the rows to anybody.

    Args:
        nonce: what handles name the pool by.
        rows: without any.
        snapshots: their form; `None` for opaque states.

    Attributes:
        now: the number of this call.
    """

    def __init__(self, nonce: int, rows: Rows, snapshots: SnapshotForm | None) -> None:
        self.now = 1  # so that nothing was used in the last call yet
        self._rows, self._snapshots = rows, snapshots
        self._newest: Batch | None = None
        self._nonce = nonce
        self._next = 1  # generation
        self.grow(1)

    def __len__(self) -> int:
        return len(self._rows.generation)

    @property
    def rows(self) -> Rows:
        """All that is known."""
        if self._newest is not None:
            self._rows.write(self._newest)
            self._newest = None
        return self._rows

    def grow(self, count: int) -> None:
        """Add instances that are in no state."""
        self.rows.grow(count)

    def record(self, slots: Array, before: Any, shown: Columns, chosen: Columns) -> Batch:
        """Note the states that instances are in now, under new names; the arrays are kept."""
        count = len(slots)
        if self._next + count >= 2**32:  # none of the first ones is left
            self._next = 1
        handles = np.empty((count, 3), np.uint32)
        handles[:, 0], handles[:, 2] = slots, self._nonce
        handles[:, 1] = np.arange(self._next, self._next + count, dtype=np.uint32)
        self._next += count
        ended = shown["terminated"] | shown["truncated"]
        if ended.ndim > 1:
            ended = ended.all(-1)  # of all agents
        if self._newest is not None and self._newest.slots is not slots:
            self._rows.write(self._newest)
        self._newest = Batch(slots, handles, before, ended, shown, chosen, self.now)
        return self._newest

    def continued(self, handles: Array) -> Any:
        """The slots of the newest batch, if these are its states and none of them ended.

        Nearly always, and then nothing has to be looked up.
        """
        newest = self._newest
        if newest is None or handles.tobytes() != newest.handles.tobytes() or newest.ended.any():
            return None
        return newest.slots

    def classify(self, given: Given) -> tuple[Array, Array]:
        """What each lane of a step finds, and the slot of its instance; -1 if it has none."""
        rows = self.rows
        slots, is_known = self._slots(given.handles)
        generations = given.handles[:, 1]
        is_here = is_known & (rows.generation[slots] == generations)
        kinds = rows.ended[slots] * ENDED
        if not is_here.all():
            kinds[~is_here] = LOST
            lanes = np.flatnonzero(is_known & (rows.before[slots] == generations))
            if len(lanes):
                there = slots[lanes]
                same = _equal(rows.params[there], rows_of(given.params, lanes))
                for name, column in given.chosen.items():
                    same &= _equal(rows.chosen[name][there], column[lanes])
                kinds[lanes[same]] = AGAIN
            is_lost = kinds == LOST
            slots[is_lost] = -1
            if self._snapshots is None:
                kinds[is_lost] = STALE
            else:
                kinds[is_lost & self._snapshots.ends(given.snapshots)] = ENDED
        if self._snapshots is None and not are_distinct(generations):
            kinds[_in_two_ways(given)] = STALE
        return kinds, slots

    def find(self, handle: Array) -> int:
        """The slot of the instance that is in a state; -1 if none is."""
        (slot,), (is_known,) = self._slots(handle[None])
        return int(slot) if is_known and self.rows.generation[slot] == handle[1] else -1

    def why_stale(self, handle: Array, capacity: int) -> str:
        """Why a state without a snapshot cannot be stepped, where so many instances may live."""
        (slot,), (is_known,) = self._slots(handle[None])
        rows = self.rows
        if handle[2] != self._nonce:
            return "this state was made by another environment, or in another process"
        if is_known and handle[1] in (rows.generation[slot], rows.before[slot]):
            return (
                "one state was stepped with two different actions, and without a snapshot it names "
                "one live instance"
            )
        return (
            "the instance of this state has moved on: it was stepped further, or so many others "
            "were "
            f"reset since that it was recycled (max_instances={capacity})"
        )

    def handles(self, slots: Array) -> Array:
        """The names of the states that instances are in: uint32[n, 3]."""
        handles = np.empty((len(slots), 3), np.uint32)
        handles[:, 0], handles[:, 2] = slots, self._nonce
        handles[:, 1] = self.rows.generation[slots]
        return handles

    def _slots(self, handles: Array) -> tuple[Array, Array]:
        """The slots that handles name, if they are of this pool: the generations decide."""
        return np.minimum(handles[:, 0], len(self) - 1).astype(np.intp), handles[
            :, 2
        ] == self._nonce

    def touch(self, slots: Any) -> None:
        """Note that the states of these slots are used in this call."""
        self.rows.used[slots] = self.now

    def forget(self, slots: Any) -> None:
        """These hold no state from now on."""
        rows = self.rows
        rows.generation[slots] = rows.before[slots] = -1
        rows.ended[slots] = True

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
        rows = self.rows
        free = np.ones(len(self), np.bool_)
        free[busy] = False
        if keep_used:
            free &= rows.ended | (rows.used < self.now)
        idle = free & rows.ended & (rows.used < self.now - 1)
        return self._by_age(idle), self._by_age(free & ~idle)

    def _by_age(self, chosen: Array) -> Array:
        numbers = np.flatnonzero(chosen)
        oldest_first: Array = numbers[np.argsort(self._rows.used[numbers], kind="stable")]
        return oldest_first


def _in_two_ways(given: Given) -> Array:
    """Lanes whose state another lane steps with another action."""
    first = firsts(given.handles[:, 1])
    differs = np.zeros(len(first), np.bool_)
    for column in (*given.chosen.values(), given.params):
        if len(column) > 1:
            differs |= ~_equal(column, column[first])
    return differs


def are_distinct(keys: Array) -> bool:
    """Whether no two are equal, which is quicker than to find which are."""
    return len(set(keys.tolist())) == len(keys)


def firsts(keys: Array) -> Array:
    """For each lane the first with the same key: int[n]."""
    _, places, of_lane = np.unique(keys, return_index=True, return_inverse=True)
    found: Array = places[of_lane]
    return found


def _equal(one: Array, other: Any) -> Array:
    """Whether they are, row by row."""
    same: Array = (one == other).reshape(len(one), -1).all(1)
    return same


def _longer(column: Array, count: int) -> Array:
    return np.concatenate([column, np.zeros((count, *column.shape[1:]), column.dtype)])
