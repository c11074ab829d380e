"""States that are values, and the instances behind them: answers the calls of compiled programs.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import StaleStateError
from envhub.host.crew import Crew, Layout
from envhub.host.fleet import Fleet
from envhub.host.interrupts import deferred
from envhub.host.snapshot import TERMINATED, TRUNCATED

# How many instances may live where nobody says. States that are gone for good need many; snapshots
# need a few, and making an instance may cost more than restoring one (ALE: 80 ms, and 0.1 ms).
OPAQUE_INSTANCES, FORKABLE_INSTANCES = 256, 16
GONE = "the environment was closed, or is gone."
FORKABLE = "With forkable=True, where it can be had, any state can be stepped at any time."

_pools: weakref.WeakValueDictionary[int, Pool] = weakref.WeakValueDictionary()


class Call(NamedTuple):
    """A method of a pool as a hashable value.

    What is traced has this one, and JAX's caches may hold that for ever: it does not keep the pool
    alive. What is compiled has what `bind` gives, and does: nobody may have waited for its results
    when the environment goes.
    """

    nonce: int
    method: str

    def bind(self) -> functools.partial[None]:
        """The function itself.

        Raises:
            StaleStateError: if the environment is closed or gone.
        """
        pool = _pools.get(self.nonce)
        if pool is None:
            raise StaleStateError(GONE)
        return functools.partial(pool.serve, self.method)


class Given(NamedTuple):
    """What a step is asked to do, lane by lane."""

    handles: Any  # uint32[size, 3]
    snapshots: Any  # uint8[size, K], if there are any
    chosen: Sequence[Any]  # the leaves of the actions as arrays
    actions: Sequence[Any]
    params: Any  # uint32[size, P], the bits of the params; or [1, P], the same for all

    def choice(self, lane: int) -> list[Any]:
        """What decides, with its state, where a lane goes: its action and its params."""
        return [*(leaf[lane] for leaf in self.chosen), _rows(self.params, [lane])[0]]


class Pool:
    """All instances of one environment.

    Args:
        name: of the environment, for errors.
        fleet: runs the instances; it has one.
        layout: of the environment.
        max_instances: how many may live; `None` for 256, or 16 with snapshots, or as many as two of
            the largest batches need.
    """

    def __init__(self, name: str, fleet: Fleet, layout: Layout, max_instances: int | None) -> None:
        self.name = name
        self.nonce = _new_nonce()
        self.error: BaseException | None = None  # of the last call that failed
        self._crew = Crew(name, self.nonce, fleet, layout)
        self._table = self._crew.table
        self._form, self._actions = layout.form, layout.actions
        self._observations, self._num_params = layout.observations, layout.num_params
        self._first_flag = bool(layout.form) + len(layout.observations) + 1
        self._max_instances = max_instances
        self._largest_batch = 1
        self._lock = threading.RLock()
        _pools[self.nonce] = self

    @property
    def num_steps(self) -> int:
        """The steps of all instances together."""
        return self._crew.num_steps

    @property
    def num_instances(self) -> int:
        """How many live."""
        return len(self._table)

    def expect(self, size: int) -> None:
        """Learn of a batch that arrives in several calls: it counts as one that is as large."""
        self._largest_batch = max(self._largest_batch, size)

    def serve(self, method: str, inputs: Sequence[Any], outputs: Sequence[Any], size: int) -> None:
        """Answer one call from a compiled program; what goes wrong is kept in `error` too."""
        with self._lock, deferred():  # or instances might have moved, and nobody have noted it
            self.expect(size)
            self._table.now += 1
            try:
                self._require_open()
                getattr(self, method)(list(inputs), outputs, size)
            except BaseException as error:
                self.error = error
                raise

    def reset(self, inputs: list[Any], outputs: Sequence[Any], size: int) -> None:
        """Start episodes, each in an instance of its own.

        Inputs are seeds and, where there are any, params.
        """
        params, seeds = self._params(inputs), _stretch(inputs[0], size)
        lanes = np.arange(size)
        while len(lanes):  # once, unless a call on forkable states has more lanes than instances
            self._table.flush()
            slots = self._crew.claim(len(lanes), [], self._capacity)
            now, lanes = lanes[: len(slots)], lanes[len(slots) :]
            self._crew.apply(slots, _rows(params, now))
            batch = self._crew.reset(slots, seeds[now].tolist())
            self._table.hold(batch)
            self._show(outputs, now, batch.handles, batch.shown)

    def step(self, inputs: list[Any], outputs: Sequence[Any], size: int) -> None:
        """Advance states; either all handles and actions are good, or nothing moves.

        Inputs are handles, snapshots if there are any, the leaves of the actions, and params.
        """
        params = self._params(inputs)
        handles = _stretch(inputs.pop(0), size)
        snapshots = _stretch(inputs.pop(0), size) if self._form else None
        chosen = [_stretch(leaf, size) for leaf in inputs]
        given = Given(handles, snapshots, chosen, self._actions.read(chosen), params)
        slots = self._continued(handles)
        if slots is not None:
            self._advance(outputs, slice(None), slots, given)
            return
        self._check(given)
        lanes: Sequence[int] = range(size)
        while lanes:
            lanes = self._wave(outputs, lanes, given)

    def step_then_reset(self, inputs: list[Any], outputs: Sequence[Any], size: int) -> None:
        """Advance states, and start new episodes where they end.

        Inputs are seeds, and those of `step`; outputs are those of `step`, of the new episode where
        there is one, and the leaves of the observation before that.
        """
        seeds, *others = inputs
        params = inputs[-1:] if self._num_params else []
        num_obs, reset_outputs = len(self._observations), outputs[: self._first_flag]
        stepped, final_obs = outputs[:-num_obs], outputs[-num_obs:]
        self.step(others, stepped, size)
        for final, leaf in zip(final_obs, reset_outputs[-num_obs:], strict=True):
            final[:] = leaf
        terminated, truncated = stepped[self._first_flag + 1 : self._first_flag + 3]
        ended = (terminated | truncated).reshape(size, -1).all(-1)
        self._on_lanes("reset", [seeds, *params], reset_outputs, np.flatnonzero(ended), size)

    def step_or_reset(self, inputs: list[Any], outputs: Sequence[Any], size: int) -> None:
        """Start new episodes in some lanes, and advance the states of the others.

        Inputs are flags for the lanes to reset, seeds, and those of `step`; outputs are those of
        `step`.
        """
        flags, seeds, *others = inputs
        params = inputs[-1:] if self._num_params else []
        is_reset = _stretch(flags, size)
        lanes = np.flatnonzero(is_reset)
        self._on_lanes("step", others, outputs, np.flatnonzero(~is_reset), size)
        for output in outputs[self._first_flag :]:
            output[lanes] = 0
        self._on_lanes("reset", [seeds, *params], outputs[: self._first_flag], lanes, size)

    def _on_lanes(
        self, method: str, inputs: Sequence[Any], outputs: Sequence[Any], lanes: Any, size: int
    ) -> None:
        """Call a method for some lanes."""
        if len(lanes) == size:
            getattr(self, method)(list(inputs), outputs, size)
        elif len(lanes):
            some = [_stretch(each, size)[lanes] for each in inputs]
            given = [np.empty((len(lanes), *each.shape[1:]), each.dtype) for each in outputs]
            getattr(self, method)(some, given, len(lanes))
            for output, part in zip(outputs, given, strict=True):
                output[lanes] = part

    def render(self, handle: Sequence[int], row: Any) -> Any:
        """The picture of a state, of which `row` is the snapshot if there is one."""
        with self._lock:
            self._require_open()
            self._table.flush()
            slot = self._find(handle)
            if slot < 0 or self._table.generation[slot] != handle[1]:
                if self._form is None:
                    raise StaleStateError(f"{self.name}: {self._why_gone(handle)}. {FORKABLE}")
                self._form.check(row[None])
                slot = int(self._crew.claim(1, [], self._capacity)[0])
                self._crew.restore([slot], [row])
            return self._crew.render(slot)

    def close(self) -> None:
        """Close every instance; states of this pool are stale from now on."""
        with self._lock:
            _pools.pop(self.nonce, None)
            self._crew.fleet.close()

    def _require_open(self) -> None:
        if self.nonce not in _pools:
            raise StaleStateError(f"{self.name}: {GONE}")

    # The lanes of a step.

    def _continued(self, handles: Any) -> Any:
        """The slots of the lanes, if each continues the state of an instance of its own.

        Nearly always, and then most often just as the last call left them.
        """
        table = self._table
        newest = table.newest
        if newest and handles.tobytes() == newest.handles.tobytes() and not newest.ended.any():
            return newest.slots
        table.flush()
        slots, generations = handles[:, 0].astype(np.intp), handles[:, 1]
        if (handles[:, 2] != self.nonce).any() or (slots >= len(table)).any():
            return None
        current = (table.generation[slots] == generations) & ~table.ended[slots]
        distinct = len(set(generations.tolist())) == len(slots)
        return slots if distinct and current.all() else None

    def _advance(self, outputs: Sequence[Any], lanes: Any, slots: Any, given: Given) -> None:
        """Step instances in place."""
        is_all = isinstance(lanes, slice)
        actions = given.actions if is_all else [given.actions[lane] for lane in lanes]
        chosen = [leaf[lanes] for leaf in given.chosen]
        self._crew.apply(slots, _rows(given.params, lanes))
        batch = self._crew.step(slots, given.handles[lanes, 1], chosen, actions)
        self._table.hold(batch)
        self._show(outputs, lanes, batch.handles, batch.shown)

    def _wave(self, outputs: Sequence[Any], lanes: Sequence[int], given: Given) -> list[int]:
        """Answer the lanes that can be answered together; those that are left are returned."""
        self._table.flush()
        stepped: list[int] = []
        slots: list[int] = []
        lost: list[int] = []
        later: list[int] = []
        for lane in lanes:
            slot = self._find(given.handles[lane].tolist())
            if slot in slots:
                later.append(lane)
            elif slot < 0 or not self._continues(slot, lane, given):
                if not self._show_end(outputs, lane, given):
                    lost.append(lane)
            elif self._table.ended[slot] or self._has_left(slot, lane, given):
                self._show_again(outputs, lane, slot, given)
            else:
                stepped.append(lane)
                slots.append(slot)
        free = self._crew.claim(len(lost), slots, self._capacity).tolist() if lost else []
        if free:
            back, later = lost[: len(free)], later + lost[len(free) :]
            self._crew.restore(free, [given.snapshots[lane] for lane in back])
            stepped, slots = stepped + back, slots + free
        else:
            later += lost
        if stepped:
            self._advance(outputs, stepped, np.array(slots), given)
        return later

    def _find(self, handle: Sequence[int]) -> int:
        """The slot whose instance is in this state, or has just left it; -1 if none."""
        (slot, generation, nonce), table = handle, self._table
        if nonce != self.nonce or slot >= len(table) or not generation:
            return -1
        return slot if generation in (table.generation[slot], table.before[slot]) else -1

    def _has_left(self, slot: int, lane: int, given: Given) -> bool:
        """Whether the instance is not in the lane's state, but in the next."""
        return bool(self._table.generation[slot] != given.handles[lane, 1])

    def _continues(self, slot: int, lane: int, given: Given) -> bool:
        """Whether the instance is in the state, or came from it by this very transition."""
        columns: list[Any] = [*self._table.chosen, self._table.params]
        pairs = zip([column[slot] for column in columns], given.choice(lane), strict=True)
        return not self._has_left(slot, lane, given) or all(np.array_equal(a, b) for a, b in pairs)

    def _show_again(self, outputs: Sequence[Any], lane: int, slot: int, given: Given) -> None:
        """Answer with what is there: of the same transition again, or of a state that ended.

        Such a state stays as it is, so lanes may overrun in a `while`.
        """
        table = self._table
        handle = [slot, table.generation[slot], self.nonce]
        self._show(outputs, lane, handle, [column[slot] for column in table.shown])
        table.touch(slot)
        if not self._has_left(slot, lane, given):
            self._without_reward(outputs, lane)

    def _show_end(self, outputs: Sequence[Any], lane: int, given: Given) -> bool:
        """Answer for a snapshot of a state that ended, which needs no instance."""
        assert self._form is not None
        row = given.snapshots[lane]
        _, packed, flags = self._form.unpack(row)
        if not flags:
            return False
        ends = bool(flags & TERMINATED), bool(flags & TRUNCATED)
        shown = [row, *self._observations.unpack(packed), 0, *ends]
        self._show(outputs, lane, given.handles[lane], shown)
        self._without_reward(outputs, lane)
        return True

    def _show(self, outputs: Sequence[Any], lanes: Any, handles: Any, shown: Sequence[Any]) -> None:
        outputs[0][lanes] = handles
        for output, column in zip(outputs[1:], shown, strict=False):  # a reset shows the first few
            output[lanes] = column

    def _without_reward(self, outputs: Sequence[Any], lane: int) -> None:
        _, *shown = outputs
        for output in (shown[self._first_flag - 1], *shown[self._first_flag + 2 :]):
            output[lane] = 0

    def _check(self, given: Given) -> None:
        """Refuse damaged snapshots; an opaque state is stepped once, or the same way again."""
        if self._form:
            self._form.check(given.snapshots)
            return
        first: dict[int, int] = {}
        for lane, handle in enumerate(given.handles.tolist()):
            slot = self._find(handle)
            if slot < 0:
                raise StaleStateError(f"{self.name}: {self._why_gone(handle)}. {FORKABLE}")
            other = first.setdefault(handle[1], lane)
            pairs = zip(given.choice(other), given.choice(lane), strict=True)
            twice = not all(np.array_equal(a, b) for a, b in pairs)
            if twice or not self._continues(slot, lane, given):
                raise StaleStateError(
                    f"{self.name}: one state was stepped with two different actions, and without "
                    f"a snapshot it names one live instance. {FORKABLE}"
                )

    def _why_gone(self, handle: Sequence[int]) -> str:
        if handle[2] != self.nonce:
            return "this state was made by another environment, or in another process"
        return (
            "this state's instance has moved on: it was stepped further, or so many others were "
            f"reset since that it was recycled (max_instances={self._capacity})"
        )

    def _params(self, inputs: list[Any]) -> Any:
        """The bits of the params, taken from the end of the inputs: uint32[size or 1, P]."""
        return inputs.pop().view(np.uint32) if self._num_params else np.zeros((1, 0), np.uint32)

    @property
    def _capacity(self) -> int:
        least = FORKABLE_INSTANCES if self._form else OPAQUE_INSTANCES
        return self._max_instances or max(least, 2 * self._largest_batch)


def _new_nonce() -> int:
    """A number that no other pool has, here and most likely elsewhere."""
    nonce = 0
    while not nonce or nonce in _pools:
        nonce = int.from_bytes(os.urandom(4), "little")
    return nonce


def _stretch(array: Any, size: int) -> Any:
    """One row for all lanes, or one for each."""
    return array if len(array) == size else np.broadcast_to(array, (size, *array.shape[1:]))


def _rows(params: Any, lanes: Any) -> Any:
    """The params of some lanes; of one row for all, that one."""
    return params if len(params) == 1 else params[lanes]
