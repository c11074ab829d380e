"""Live instances in slots, behind states that are values.

A handle names a slot, the generation of the state in it and the pool. Generations are unique in a
pool, so a handle fits a live instance exactly or not at all. NumPy only: this runs inside callbacks
of compiled programs, where touching JAX deadlocks.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import EnvHubError, HostEnvError, StaleStateError
from envhub.host.instance import Instance
from envhub.host.layout import Actions, Observations
from envhub.host.snapshot import TERMINATED, TRUNCATED, Form

DEFAULT_INSTANCES = 256

_nonces = itertools.count(int.from_bytes(np.random.default_rng().bytes(3), "little") << 8)
_pools: weakref.WeakValueDictionary[int, Pool] = weakref.WeakValueDictionary()


class Call(NamedTuple):
    """A method of a pool as a hashable value, which does not keep the pool alive."""

    nonce: int
    method: str

    def __call__(self, inputs: Sequence[Any], outputs: Sequence[Any], size: int) -> None:
        """See `envhub.host.transport.HostFunction`."""
        pool = _pools.get(self.nonce)
        if pool is None:
            raise StaleStateError("the environment of this program was closed or is gone.")
        pool.serve(self.method, inputs, outputs, size)


class Result(NamedTuple):
    """What a state shows: the outcome of the transition into it."""

    obs: list[Any]  # leaves
    reward: float
    terminated: bool
    truncated: bool
    info: Sequence[Any]  # the declared entries
    snapshot: bytes


class Slot:
    """One live instance, the state that it is in, and the transition that led there."""

    __slots__ = ("action", "before", "generation", "index", "instance", "last_call", "params", "result")

    def __init__(self, index: int, instance: Instance) -> None:
        self.index = index
        self.instance = instance
        self.params: bytes | None = None
        self.last_call = 0
        self.forget()

    def forget(self) -> None:
        """Hold no state: no handle fits generation 0."""
        self.generation = self.before = 0
        self.action: Any = None
        self.result: Result | None = None

    @property
    def ended(self) -> bool:
        """Whether the episode in it is over, or it holds none."""
        return self.result is None or self.result.terminated or self.result.truncated


class Pool:
    """All instances of one environment.

    Args:
        name: of the environment, for errors.
        construct: makes an instance.
        first: an instance that is there already.
        observations: the layout of observations.
        actions: the layout of actions.
        info: names, shapes and dtypes of the entries of `info`.
        form: of the snapshots; `None` for an opaque environment.
        has_params: whether instances take params.
        max_instances: how many may live; `None` for 256, or as many as two batches need.
    """

    def __init__(
        self,
        name: str,
        construct: Callable[[], Instance],
        first: Instance,
        observations: Observations,
        actions: Actions,
        info: Sequence[tuple[str, tuple[int, ...], Any]],
        form: Form | None,
        has_params: bool,
        max_instances: int | None,
    ) -> None:
        self.name = name
        self.nonce = next(_nonces) & 0xFFFFFFFF
        self.error: BaseException | None = None  # of the last call that failed
        self.steps = 0  # of instances, made so far
        self._construct, self._observations, self._actions = construct, observations, actions
        self._info, self._form, self._has_params = info, form, has_params
        self._max_instances = max_instances
        self._largest_batch = 1
        self._lock = threading.RLock()
        self._generations = itertools.count(1)
        self._call = 0
        self._slots = [Slot(0, first)]
        # Least recently used first, and apart: an ended episode is given up before a live one.
        self._ended: OrderedDict[int, None] = OrderedDict({0: None})
        self._live: OrderedDict[int, None] = OrderedDict()
        _pools[self.nonce] = self

    def serve(self, method: str, inputs: Sequence[Any], outputs: Sequence[Any], size: int) -> None:
        """Answer one call from a compiled program; what goes wrong is kept in `error` too."""
        with self._lock:
            self._call += 1
            self._largest_batch = max(self._largest_batch, size)
            try:
                getattr(self, method)(inputs, outputs, size)
            except BaseException as error:
                self.error = error
                raise

    def reset(self, inputs: Sequence[Any], outputs: Sequence[Any], size: int) -> None:
        """Start episodes, each in an instance of its own.

        Inputs are seeds and, where there are any, params.
        """
        seeds = _stretch(inputs[0].tolist(), size)
        params = self._params(inputs[1], size) if self._has_params else [None] * size
        slots = []
        for seed, values in zip(seeds, params, strict=True):
            slot = self._acquire()
            self._apply(slot, values)
            leaves = self._guard(slot, None, self._reset_one, slot, seed)
            self._settle(slot, 0, None, Result(leaves, 0.0, False, False, (), b""))
            slots.append(self._lane(slot))
        self._write(outputs, slots)

    def step(self, inputs: Sequence[Any], outputs: Sequence[Any], size: int) -> None:
        """Advance states; either all handles and actions are good, or nothing moves.

        Inputs are handles, snapshots if there are any, the leaves of the actions, and params.
        """
        rows = list(inputs)
        handles = _stretch(rows.pop(0).tolist(), size)
        snapshots = rows.pop(0) if self._form else None
        params = self._params(rows.pop(), size) if self._has_params else [None] * size
        actions = self._actions.read(rows, size)
        found = [self._find(handle) for handle in handles]
        if self._form is None:
            self._refuse_stale(handles, found, actions, params)
        lanes = []
        for lane in range(size):
            slot, handle = found[lane], handles[lane]
            lanes.append(
                self._step_one(slot, handle[1], actions[lane], params[lane], snapshots, lane)
            )
        self._write(outputs, lanes)

    def _step_one(
        self, slot: Slot | None, generation: int, action: Any, params: Any, snapshots: Any, lane: int
    ) -> tuple[Slot, int, Result]:
        if slot is not None and slot.before == generation and _same(slot, action, params):
            return self._lane(slot)  # the same transition again
        if slot is None or slot.generation != generation:
            row = snapshots[lane if len(snapshots) > 1 else 0].tobytes()
            slot = self._restore(row)
            generation = slot.generation
        result = slot.result
        assert result is not None
        if result.terminated or result.truncated:
            # The latch: a state that ended stays as it is, so lanes may overrun in a `while`.
            self._touch(slot)
            return slot, slot.generation, result._replace(reward=0.0, info=())
        self._apply(slot, params)
        step = self._guard(slot, action, self._advance, slot, action)
        self._settle(slot, generation, action, step)
        return self._lane(slot)

    def _find(self, handle: Sequence[int]) -> Slot | None:
        """The slot whose instance is in this state, or has just left it."""
        index, generation, nonce = handle
        if nonce != self.nonce or index >= len(self._slots):
            return None
        slot = self._slots[index]
        return slot if generation and generation in (slot.generation, slot.before) else None

    def _refuse_stale(
        self, handles: Sequence[Any], found: Sequence[Any], actions: Any, params: Any
    ) -> None:
        """An opaque state can be stepped once, or the same way again."""
        chosen: dict[int, int] = {}
        for lane, (handle, slot) in enumerate(zip(handles, found, strict=True)):
            if slot is None:
                foreign = handle[2] != self.nonce
                raise StaleStateError(
                    f"{self.name}: "
                    + (
                        "this state was made by another environment, or in another process, and "
                        "without a snapshot it cannot be continued here."
                        if foreign
                        else "this state's instance has moved on: the state was stepped before "
                        "with another action, or so many others were reset since that it was "
                        f"recycled (max_instances={self._capacity()})."
                    )
                    + " Make the environment with forkable=True, where it can be, to step any "
                    "state at any time."
                )
            first = chosen.setdefault(handle[1], lane)
            repeated = slot.before == handle[1]
            same = _same_value(actions[first], actions[lane]) and params[first] == params[lane]
            if not same or (repeated and not _same(slot, actions[lane], params[lane])):
                raise StaleStateError(
                    f"{self.name}: one state was stepped with two different actions; without a "
                    "snapshot it names one live instance. Make the environment with "
                    "forkable=True, where it can be."
                )

    # One instance.

    def _reset_one(self, slot: Slot, seed: int) -> list[Any]:
        return self._observations.leaves(slot.instance.reset(seed))

    def _advance(self, slot: Slot, action: Any) -> Result:
        self.steps += 1
        obs, reward, terminated, truncated, info = slot.instance.step(action)
        entries = [info.get(name, 0) for name, _, _ in self._info] if self._info else ()
        leaves = self._observations.leaves(obs)
        return Result(leaves, reward, bool(terminated), bool(truncated), entries, b"")

    def _restore(self, row: bytes) -> Slot:
        """An instance in the state of a snapshot."""
        assert self._form is not None
        saved, packed, flags = self._form.unpack(row, self._observations.num_bytes)
        leaves = self._observations.unpack(packed)
        ends = bool(flags & TERMINATED), bool(flags & TRUNCATED)
        slot = self._acquire()
        obs = self._observations.value(leaves)
        self._guard(slot, None, slot.instance.restore, saved, obs)
        slot.generation, slot.before = next(self._generations), 0
        slot.result = Result(leaves, 0.0, *ends, (), row)
        return slot

    def _settle(self, slot: Slot, before: int, action: Any, result: Result) -> None:
        """Note the state that a slot is in now."""
        if self._form:
            flags = TERMINATED * result.terminated | TRUNCATED * result.truncated
            packed = self._observations.pack(result.obs)
            row = self._form.pack(slot.instance.save(), packed, flags)
            result = result._replace(snapshot=row)
        slot.before, slot.action, slot.result = before, action, result
        slot.generation = next(self._generations)
        self._touch(slot)

    def _lane(self, slot: Slot) -> tuple[Slot, int, Result]:
        assert slot.result is not None
        return slot, slot.generation, slot.result

    def _guard(self, slot: Slot, action: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the library; an instance that raised is not used again, and the others are fine."""
        tick = slot.generation
        try:
            return function(*arguments)
        except EnvHubError:
            self._discard(slot)
            raise
        except BaseException as error:
            self._discard(slot)
            if not isinstance(error, Exception):
                raise
            raise HostEnvError(
                f"{self.name}: instance {slot.index}, state {tick}, action {action!r}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _apply(self, slot: Slot, values: bytes | None) -> None:
        if values is not None and slot.params != values:
            slot.params = None  # whatever happens now, they are not the old ones
            slot.instance.set_params(np.frombuffer(values, np.float32))
            slot.params = values

    def _params(self, rows: Any, size: int) -> list[bytes]:
        return _stretch([row.tobytes() for row in rows], size)

    # Slots.

    def _capacity(self) -> int:
        return self._max_instances or max(DEFAULT_INSTANCES, 2 * self._largest_batch)

    def _touch(self, slot: Slot) -> None:
        slot.last_call = self._call
        for order in (self._live, self._ended):
            order.pop(slot.index, None)
        (self._ended if slot.ended else self._live)[slot.index] = None

    def _acquire(self) -> Slot:
        """A slot for another state: an idle one, a new one, or the least recently used."""
        idle = next(iter(self._ended), None)
        # States that ended a moment ago may still be asked for, by the lanes of a `while`.
        if idle is not None and self._slots[idle].last_call < self._call - 1:
            return self._recycle(idle, self._ended)
        if len(self._slots) < self._capacity():
            slot = Slot(len(self._slots), self._construct())
            self._slots.append(slot)
            self._touch(slot)
            return slot
        for order in (self._ended, self._live):
            index = next(iter(order), None)
            if index is not None and (self._form or self._slots[index].last_call < self._call):
                return self._recycle(index, order)
        raise StaleStateError(
            f"{self.name}: one call resets more environments than max_instances="
            f"{self._capacity()} allows; make it with a larger max_instances."
        )

    def _recycle(self, index: int, order: OrderedDict[int, None]) -> Slot:
        slot = self._slots[index]
        slot.forget()
        order.move_to_end(index)
        slot.last_call = self._call
        return slot

    def _discard(self, slot: Slot) -> None:
        """Replace an instance of which nobody knows the state."""
        slot.forget()
        slot.params = None
        self._touch(slot)
        slot.instance.close()
        slot.instance = self._construct()

    def _write(self, outputs: Sequence[Any], lanes: Sequence[tuple[Slot, int, Result]]) -> None:
        rows = list(outputs)
        results = [result for _, _, result in lanes]
        rows.pop(0)[:] = [(slot.index, generation, self.nonce) for slot, generation, _ in lanes]
        if self._form:
            joined = b"".join([result.snapshot for result in results])
            rows.pop(0).reshape(-1)[:] = np.frombuffer(joined, np.uint8)
        for leaf in range(len(self._observations)):
            row = rows.pop(0)
            for lane, result in enumerate(results):
                row[lane] = result.obs[leaf]
        if not rows:
            return  # a reset
        for field in ("reward", "terminated", "truncated"):
            rows.pop(0)[:] = [getattr(result, field) for result in results]
        for entry, row in enumerate(rows):
            for lane, result in enumerate(results):
                row[lane] = result.info[entry] if result.info else 0

    def render(self, handle: Sequence[int], row: bytes | None) -> Any:
        """The picture of a state."""
        with self._lock:
            self._call += 1
            slot = self._find(handle)
            if slot is None or slot.generation != handle[1]:
                if row is None or self._form is None:
                    raise StaleStateError(f"{self.name}: this state's instance has moved on.")
                slot = self._restore(row)
                self._touch(slot)
            return slot.instance.render()

    def close(self) -> None:
        """Close every instance; states of this pool are stale from now on."""
        with self._lock:
            _pools.pop(self.nonce, None)
            for slot in self._slots:
                slot.forget()
                slot.instance.close()
            self._slots.clear()
            self._live.clear()
            self._ended.clear()


def _stretch(values: list[Any], size: int) -> list[Any]:
    """One value for all lanes, or one for each."""
    return values * size if len(values) < size else values


def _same(slot: Slot, action: Any, params: Any) -> bool:
    return slot.params == params and _same_value(slot.action, action)


def _same_value(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(_same_value(one[name], other[name]) for name in one)
    if isinstance(one, tuple):
        return all(map(_same_value, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
