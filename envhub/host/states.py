"""The table of the states that handles name, with the instance that is in each state.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from envhub.host.protocol import TERMINATED, TRUNCATED, Array, Columns, Form, Given, rows_of
from envhub.host.snapshot import SnapshotForm

UNSET = 0xFFFFFFFF  # the bits of a NaN: no params were set in the instance yet

STEP, AGAIN, ENDED, LOST, STALE = range(5)
"""The kinds of lanes of a step.

`STEP`: an instance is in the state. `AGAIN`: an instance left the state by this same transition, so
its result is known. `ENDED`: the episode ended, and the state stays as it is. `LOST`: no instance
is in the state, which can continue from its snapshot. `STALE`: the state also has no snapshot.
"""


class Batch(NamedTuple):
    """The states in which instances are after a call.

    Attributes:
        slots: int[n], the numbers of the instances.
        handles: uint32[n, 3], the names of the states: slot, generation, and number of the pool.
        before: int[n], the generations of the states before the steps; -1 after a reset.
        ended: bool[n], whether the episode ended.
        shown: the columns that the states show, see `Protocol.shown`; after a reset, those of
            `Protocol.start`.
        chosen: the columns of the actions of the steps; empty after a reset.
        call: the number of the call.
    """

    slots: Array
    handles: Array
    before: Any
    ended: Array
    shown: Columns
    chosen: Columns
    call: int

    def at(self, lanes: Array) -> Batch:
        """Return some of the states, after a step."""
        slots, handles, before, ended = (column[lanes] for column in self[:4])
        shown, chosen = (
            {name: column[lanes] for name, column in columns.items()}
            for columns in (self.shown, self.chosen)
        )
        return Batch(slots, handles, before, ended, shown, chosen, self.call)

    def renew(self, lanes: Array, by: Batch) -> None:
        """Put the states of another batch, after a reset, into some lanes."""
        self.handles[lanes], self.before[lanes], self.ended[lanes] = by.handles, by.before, by.ended
        for name, rows in by.shown.items():
            self.shown[name] = self.shown[name].copy()  # it may belong to a fleet
            self.shown[name][lanes] = rows


class Rows:
    """A row for the state of each instance, and n further rows for states that ended.

    If an episode starts in the instance in which the last one ended, row n + i has the state in
    which instance i ended, so that the step to it can be answered again.

    Attributes:
        generation: int[2 n], the generation of the state of the instance; -1 for no state.
        before: int[2 n], the generation of the state before the last step; -1 after a reset.
        ended: bool[2 n], whether the episode ended; true if there is no state.
        shown: the columns that the state shows, see `Protocol.shown`.
        chosen: the columns of the action of the last step.
        params: uint32[2 n, P], the bits of the params that are set in the instance.
        used: int[2 n], the number of the call that last used the instance.
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
        """Add `count` instances without a state."""
        self.generation = _longer(self.generation, count, -1)
        self.before = _longer(self.before, count, -1)
        self.ended, self.used = _longer(self.ended, count, 1), _longer(self.used, count)
        self.params = _longer(self.params, count, UNSET)
        self.shown = {name: _longer(column, count) for name, column in self.shown.items()}
        self.chosen = {name: _longer(column, count) for name, column in self.chosen.items()}

    def write(self, batch: Batch) -> None:
        """Write the states of a batch into its rows."""
        slots = batch.slots
        self.generation[slots], self.before[slots] = batch.handles[:, 1], batch.before
        self.ended[slots], self.used[slots] = batch.ended, batch.call
        for name, column in batch.shown.items():
            self.shown[name][slots] = column
        for name, column in batch.chosen.items():
            self.chosen[name][slots] = column


class States:
    """The table of the states in which the instances of a pool are. The pool alone changes it.

    Handles name states by slot and generation. Generations are unique in a table, so a handle fits
    a row exactly or not at all.

    The newest batch is not written at once, because the next call mostly continues it as a whole,
    and then nothing reads its rows. The property `rows` writes it before it returns the rows.

    Args:
        nonce: the number of the pool in handles.
        rows: a table without rows.
        snapshots: the form of snapshots; `None` for opaque states.

    Attributes:
        now: the number of the current call.
        last_step: the number of the last call that stepped.
    """

    def __init__(self, nonce: int, rows: Rows, snapshots: SnapshotForm | None) -> None:
        self.now = self.last_step = 1  # rows start with 0, which must not be the number of a call
        self._rows, self._snapshots = rows, snapshots
        self._newest: Batch | None = None
        self._nonce = nonce
        self._next = 1  # the next generation
        self.grow(1)

    def __len__(self) -> int:
        return len(self._rows.generation) // 2

    @property
    def rows(self) -> Rows:
        """The rows of all instances, up to date."""
        if self._newest is not None:
            self._rows.write(self._newest)
            self._newest = None
        return self._rows

    def grow(self, count: int) -> None:
        """Add `count` instances without a state."""
        self.rows.grow(count)

    def record(
        self, slots: Array, before: Any, shown: Columns, chosen: Columns, within: Any = None
    ) -> Batch:
        """Record the states in which instances are now, under new names, and keep the arrays.

        Args:
            slots: the numbers of the instances.
            before: as in `Batch`.
            shown: as in `Batch`.
            chosen: as in `Batch`.
            within: the lanes of the newest batch, if `restart` returned the slots.

        Returns:
            These states.
        """
        count = len(slots)
        if self._next + count >= 2**32:  # the first generations are not in use any more
            self._next = 1
        handles = np.empty((count, 3), np.uint32)
        handles[:, 0], handles[:, 2] = slots, self._nonce
        handles[:, 1] = np.arange(self._next, self._next + count, dtype=np.uint32)
        self._next += count
        ended = np.zeros(count, np.bool_)
        if TERMINATED in shown:
            ended = shown[TERMINATED] | shown[TRUNCATED]
            if ended.ndim > 1:
                ended = ended.all(-1)  # an episode ends when it has ended for all agents
        batch, newest = Batch(slots, handles, before, ended, shown, chosen, self.now), self._newest
        if within is not None and newest is not None:
            newest.renew(within, batch)
            return batch
        if newest is not None and newest.slots is not slots:
            self._rows.write(newest)
        self._newest = batch
        return batch

    def put(self, batch: Batch) -> None:
        """Have a batch as the newest, whose states have names already."""
        if self._newest is not None:
            self._rows.write(self._newest)
        self._newest = batch

    def new_generation(self) -> int:
        """Return the generation of a new state, which is not written down."""
        if self._next + 1 >= 2**32:
            self._next = 1
        self._next += 1
        return self._next - 1

    def restart(self, handles: Array, lanes: Array) -> Any:
        """Give up the states of lanes whose episodes ended in this call, for new episodes.

        Without snapshots, the states that ended are kept until the next such end.

        Args:
            handles: uint32[n, 3], the states of all lanes of the call.
            lanes: int[m], those that ended.

        Returns:
            The slots of the instances; `None` if the states are not the newest batch of this call.
        """
        newest = self._newest
        if newest is None or newest.call != self.now:
            return None
        if handles.tobytes() != newest.handles.tobytes():
            return None
        slots: Array = newest.slots[lanes]
        if self._snapshots is None:
            lasts = slots + len(self)
            self._rows.write(newest.at(lanes)._replace(slots=lasts))
            self._rows.params[lasts] = self._rows.params[slots]
        return slots

    def continued(self, handles: Array) -> Any:
        """Return the slots of the newest batch if these are its states and none of them ended.

        This is nearly always the case, and then nothing has to be looked up.

        Args:
            handles: uint32[n, 3].

        Returns:
            int[n], or `None`.
        """
        newest = self._newest
        if newest is None or handles.tobytes() != newest.handles.tobytes() or newest.ended.any():
            return None
        return newest.slots

    def classify(self, given: Given) -> tuple[Array, Array]:
        """Return the kind of each lane of a step, and the slot of its instance; -1 for none."""
        rows = self.rows
        slots, is_known = self._slots(given.handles)
        generations = given.handles[:, 1]
        is_here = is_known & (rows.generation[slots] == generations)
        kinds = rows.ended[slots] * ENDED
        if not is_here.all():
            lasts = slots + len(self)
            is_last = (rows.generation[lasts] == generations) | (rows.before[lasts] == generations)
            slots = np.where(is_known & ~is_here & is_last, lasts, slots)
            is_here = is_known & (rows.generation[slots] == generations)
            kinds = rows.ended[slots] * ENDED
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
        """Return the slot of the instance that is in a state; -1 if there is none."""
        (slot,), (is_known,) = self._slots(handle[None])
        return int(slot) if is_known and self.rows.generation[slot] == handle[1] else -1

    def why_stale(self, handle: Array, capacity: int) -> str:
        """Return why a state without a snapshot cannot be stepped.

        Args:
            handle: uint32[3].
            capacity: the most live instances.
        """
        (slot,), (is_known,) = self._slots(handle[None])
        rows, places = self.rows, [slot, slot + len(self)]
        if handle[2] != self._nonce:
            return "this state was made by another environment, or in another process"
        if is_known and handle[1] in (*rows.generation[places], *rows.before[places]):
            return (
                "one state was stepped with two different actions, and without a snapshot it names "
                "one live instance"
            )
        return (
            "the instance of this state has moved on: it was stepped further, or so many others "
            f"were reset since that it was recycled, of {capacity}. Make the environment with "
            f"max_instances={2 * capacity} to keep instances longer"
        )

    def handles(self, slots: Array) -> Array:
        """Return the handles of the states in these rows: uint32[n, 3]."""
        handles = np.empty((len(slots), 3), np.uint32)
        handles[:, 0], handles[:, 2] = slots % len(self), self._nonce
        handles[:, 1] = self.rows.generation[slots]
        return handles

    def _slots(self, handles: Array) -> tuple[Array, Array]:
        """Return the slots in handles, and whether the handles belong to this pool.

        Whether an instance is in the state depends on the generation as well.
        """
        return np.minimum(handles[:, 0], len(self) - 1).astype(np.intp), handles[
            :, 2
        ] == self._nonce

    def touch(self, slots: Any) -> None:
        """Record that the current call uses the states of these slots."""
        self.rows.used[slots] = self.now

    def forget(self, slots: Any) -> None:
        """Remove the states of these slots."""
        rows = self.rows
        rows.generation[slots] = rows.before[slots] = -1
        rows.ended[slots] = True

    def candidates(self, busy: Any, *, keep_used: bool) -> tuple[Array, Array]:
        """Return the slots whose states may be given up, the least recently used first.

        Args:
            busy: the slots whose states must stay.
            keep_used: whether to keep states that the current call uses, unless their episode
                ended. An automatic reset takes these slots if there are no others.

        Returns:
            Two groups of slots. The first has the states whose episode ended before the last call,
            and before the last step, which several resets may follow, each a call; under `vmap`,
            the lanes of a `while` ask again for those that ended in it. The second has the other
            slots.
        """
        count = len(self)
        ended, used = self.rows.ended[:count], self.rows.used[:count]
        free = np.ones(count, np.bool_)
        free[busy] = False
        if keep_used:
            free &= ended | (used < self.now)
        idle = free & ended & (used < min(self.now - 1, self.last_step))
        return self._by_age(idle), self._by_age(free & ~idle)

    def _by_age(self, chosen: Array) -> Array:
        numbers = np.flatnonzero(chosen)
        oldest_first: Array = numbers[np.argsort(self._rows.used[numbers], kind="stable")]
        return oldest_first


def _in_two_ways(given: Given) -> Array:
    """Return whether each lane steps a state that another lane steps with another action."""
    first = firsts(given.handles[:, 1])
    differs = np.zeros(len(first), np.bool_)
    for column in (*given.chosen.values(), given.params):
        if len(column) > 1:
            differs |= ~_equal(column, column[first])
    return differs


def are_distinct(keys: Array) -> bool:
    """Tell whether no two keys are equal; this is faster than `firsts`."""
    return len(set(keys.tolist())) == len(keys)


def firsts(keys: Array) -> Array:
    """Return for each lane the first lane with the same key: int[n]."""
    _, places, of_lane = np.unique(keys, return_index=True, return_inverse=True)
    found: Array = places[of_lane]
    return found


def _equal(one: Array, other: Any) -> Array:
    """Return whether two columns are equal, row by row."""
    same: Array = (one == other).reshape(len(one), -1).all(1)
    return same


def _longer(column: Array, count: int, value: int = 0) -> Array:
    """Add that many rows to both halves of a column."""
    added = np.full((count, *column.shape[1:]), value, column.dtype)
    half = len(column) // 2
    return np.concatenate([column[:half], added, column[half:], added])
