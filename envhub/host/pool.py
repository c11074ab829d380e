"""Live instances in slots, behind states that are values.

A handle names a slot, the generation of the state in it and the pool. Generations are unique in a
pool, so a handle fits a live instance exactly or not at all. NumPy only: this runs inside callbacks
of compiled programs, where touching JAX deadlocks.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import EnvHubError, HostEnvError, StaleStateError
from envhub.host.instance import Instance
from envhub.host.layout import Actions, Observations
from envhub.host.snapshot import TERMINATED, TRUNCATED, Form

DEFAULT_INSTANCES = 256
FORKABLE = "With forkable=True, where it can be had, any state can be stepped at any time."

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

    obs: Sequence[Any]  # leaves
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Sequence[Any] = ()  # the declared entries
    snapshot: bytes = b""


Lane = tuple[int, int, Result]
"""A state that a call returns: slot, generation, and what it shows."""


class Slot:
    """One live instance, the state that it is in, and the transition that led there."""

    __slots__ = (
        "action", "before", "ended", "generation", "index", "instance", "last_call", "params",
        "result",
    )  # fmt: skip

    def __init__(self, index: int, instance: Instance) -> None:
        self.index = index
        self.instance = instance
        self.params: bytes | None = None
        self.last_call = 0
        self.forget()

    def forget(self) -> None:
        """Hold no state: no handle fits generation 0."""
        self.generation = self.before = 0
        self.ended = True
        self.action: Any = None
        self.result = Result(())


class Layout(NamedTuple):
    """What goes in and out of an environment: of actions, of observations, and of `info`."""

    actions: Actions
    observations: Observations
    info: Sequence[tuple[str, tuple[int, ...], Any]]  # names, shapes and dtypes


class Pool:
    """All instances of one environment.

    Args:
        name: of the environment, for errors.
        construct: makes an instance.
        first: an instance that is there already.
        layout: of the environment.
        form: of its snapshots; `None` for an opaque environment.
        has_params: whether instances take params.
        max_instances: how many may live; `None` for 256, or as many as two batches need.
    """

    def __init__(
        self,
        name: str,
        construct: Callable[[], Instance],
        first: Instance,
        layout: Layout,
        form: Form | None,
        *,
        has_params: bool,
        max_instances: int | None,
    ) -> None:
        self.name = name
        self.nonce = next(_nonces) & 0xFFFFFFFF
        self.error: BaseException | None = None  # of the last call that failed
        self.num_steps = 0  # of all instances together
        self._construct, self._form = construct, form
        self._actions, self._observations, info = layout
        self._names = [name for name, _, _ in info]
        self._has_params, self._max_instances = has_params, max_instances
        self._lock = threading.RLock()
        self._generations = itertools.count(1)
        self._call = 1  # so that nothing was used in the last call yet
        self._largest_batch = 1
        self._slots = [Slot(0, first)]
        self._idle: Iterator[Slot] = iter(())
        self._others: Iterator[Slot] = iter(())
        _pools[self.nonce] = self

    def serve(self, method: str, inputs: Sequence[Any], outputs: Sequence[Any], size: int) -> None:
        """Answer one call from a compiled program; what goes wrong is kept in `error` too."""
        with self._lock:
            self._begin(size)
            try:
                getattr(self, method)(list(inputs), list(outputs), size)
            except BaseException as error:
                self.error = error
                raise

    def reset(self, inputs: list[Any], outputs: list[Any], size: int) -> None:
        """Start episodes, each in an instance of its own.

        Inputs are seeds and, where there are any, params.
        """
        seeds = _stretch(inputs[0].tolist(), size)
        params = self._params(inputs[1:], size)
        lanes = []
        for seed, values in zip(seeds, params, strict=True):
            slot = self._acquire()
            self._apply(slot, values)
            with self._guard(slot, None):
                leaves = self._observations.leaves(slot.instance.reset(seed))
                lanes.append(self._settle(slot, 0, None, Result(leaves)))
        self._write(outputs, lanes)

    def step(self, inputs: list[Any], outputs: list[Any], size: int) -> None:
        """Advance states; either all handles and actions are good, or nothing moves.

        Inputs are handles, snapshots if there are any, the leaves of the actions, and params.
        """
        handles = _stretch(inputs.pop(0).tolist(), size)
        snapshots = inputs.pop(0) if self._form else None
        params = self._params([inputs.pop()] if self._has_params else [], size)
        actions = self._actions.read(inputs, size)
        slots = [self._find(handle) for handle in handles]
        generations = [handle[1] for handle in handles]
        current = [slot.generation if slot and not slot.ended else -1 for slot in slots]
        if current == generations and len(set(generations)) == size:
            lanes = self._advance(slots, actions, params)
        else:
            self._check(handles, slots, snapshots, actions, params)
            lanes = [
                self._step_one(slots[lane], generations[lane], actions[lane], params[lane], row)
                for lane, row in enumerate(_rows(snapshots, size))
            ]
        self._write(outputs, lanes)
        results = [result for _, _, result in lanes]
        for field in (1, 2, 3):
            outputs.pop(0)[:] = [result[field] for result in results]
        for entry, column in enumerate(outputs):
            for lane, result in enumerate(results):
                column[lane] = result.info[entry] if result.info else 0

    def _step_one(
        self, slot: Slot | None, generation: int, action: Any, params: Any, row: Any
    ) -> Lane:
        if slot is None or slot.generation != generation:
            if slot is not None and slot.before == generation and _same(slot, action, params):
                slot.last_call = self._call
                return slot.index, slot.generation, slot.result  # the same transition again
            slot = self._restore(row.tobytes())
        if slot.ended:
            # The latch: a state that ended stays as it is, so lanes may overrun in a `while`.
            slot.last_call = self._call
            return slot.index, slot.generation, slot.result._replace(reward=0.0, info=())
        return self._advance([slot], [action], [params])[0]

    def _advance(self, slots: Sequence[Any], actions: Any, params: Any) -> list[Lane]:
        """Step instances in place. Every step of every environment goes through this loop."""
        lanes = []
        self.num_steps += len(slots)
        names, leaves, settle = self._names, self._observations.leaves, self._settle
        for slot, action, values in zip(slots, actions, params, strict=True):
            if slot.params != values:
                self._apply(slot, values)
            try:
                obs, reward, terminated, truncated, info = slot.instance.step(action)
                entries = [info.get(name, 0) for name in names] if names else ()
                result = Result(leaves(obs), reward, terminated, truncated, entries)
                lanes.append(settle(slot, slot.generation, action, result))
            except BaseException as error:
                raise self._failed(slot, action, error) from error
        return lanes

    def _settle(self, slot: Slot, before: int, action: Any, result: Result) -> Lane:
        """Note the state that a slot is in now."""
        terminated, truncated = result[2], result[3]
        if self._form:
            flags = TERMINATED * bool(terminated) | TRUNCATED * bool(truncated)
            packed = self._observations.pack(result.obs)
            row = self._form.pack(slot.instance.save(), packed, flags)
            result = result._replace(snapshot=row)
        generation = next(self._generations)
        slot.before, slot.action, slot.result = before, action, result
        slot.ended = bool(terminated or truncated)
        slot.generation, slot.last_call = generation, self._call
        return slot.index, generation, result

    def _restore(self, row: bytes) -> Slot:
        """An instance in the state of a snapshot."""
        assert self._form is not None
        saved, packed, flags = self._form.unpack(row, self._observations.num_bytes)
        leaves = self._observations.unpack(packed)
        ends = bool(flags & TERMINATED), bool(flags & TRUNCATED)
        slot = self._acquire()
        with self._guard(slot, None):
            slot.instance.restore(saved, self._observations.value(leaves))
        slot.generation, slot.ended = next(self._generations), any(ends)
        slot.result = Result(leaves, 0.0, *ends, (), row)
        return slot

    def _find(self, handle: Sequence[int]) -> Slot | None:
        """The slot whose instance is in this state, or has just left it."""
        index, generation, nonce = handle
        if nonce != self.nonce or index >= len(self._slots) or not generation:
            return None
        slot = self._slots[index]
        return slot if generation in (slot.generation, slot.before) else None

    def _check(
        self, handles: Any, slots: Sequence[Slot | None], snapshots: Any, actions: Any, params: Any
    ) -> None:
        """Refuse damaged snapshots; an opaque state is stepped once, or the same way again."""
        chosen: dict[int, int] = {}
        for lane, (handle, slot) in enumerate(zip(handles, slots, strict=True)):
            if self._form:
                if slot is None:
                    row = _rows(snapshots, len(slots))[lane].tobytes()
                    self._form.unpack(row, self._observations.num_bytes)
                continue
            if slot is None:
                raise StaleStateError(f"{self.name}: {self._why_gone(handle)}. {FORKABLE}")
            first = chosen.setdefault(handle[1], lane)
            twice = first != lane and not (
                _same_value(actions[first], actions[lane]) and params[first] == params[lane]
            )
            again = slot.before == handle[1] and not _same(slot, actions[lane], params[lane])
            if twice or again:
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

    def render(self, handle: Sequence[int], row: bytes | None) -> Any:
        """The picture of a state."""
        with self._lock:
            self._begin(1)
            slot = self._find(handle)
            if slot is None or slot.generation != handle[1]:
                if row is None:
                    raise StaleStateError(f"{self.name}: {self._why_gone(handle)}. {FORKABLE}")
                slot = self._restore(row)
            return slot.instance.render()

    def close(self) -> None:
        """Close every instance; states of this pool are stale from now on."""
        with self._lock:
            _pools.pop(self.nonce, None)
            for slot in self._slots:
                slot.forget()
                slot.instance.close()
            self._slots.clear()

    # What may go wrong in one instance.

    @contextlib.contextmanager
    def _guard(self, slot: Slot, action: Any) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            raise self._failed(slot, action, error) from error

    def _failed(self, slot: Slot, action: Any, error: BaseException) -> BaseException:
        """The error to raise; the instance is replaced, because nobody knows its state."""
        tick = slot.generation
        slot.forget()
        slot.params = None
        slot.instance.close()
        slot.instance = self._construct()
        if not isinstance(error, Exception) or isinstance(error, EnvHubError):
            return error
        return HostEnvError(
            f"{self.name}: instance {slot.index}, state {tick}, action {action!r}: "
            f"{type(error).__name__}: {error}"
        )

    def _apply(self, slot: Slot, values: bytes | None) -> None:
        if values is not None and slot.params != values:
            with self._guard(slot, None):
                slot.instance.set_params(np.frombuffer(values, np.float32))
            slot.params = values

    def _params(self, rows: Sequence[Any], size: int) -> list[bytes | None]:
        return _stretch([row.tobytes() for row in rows[0]], size) if rows else [None] * size

    # Slots.

    @property
    def _capacity(self) -> int:
        return self._max_instances or max(DEFAULT_INSTANCES, 2 * self._largest_batch)

    def _begin(self, size: int) -> None:
        self._call += 1
        self._largest_batch = max(self._largest_batch, size)
        self._idle = self._by_age(lambda slot: slot.ended and slot.last_call < self._call - 1)
        self._others = self._by_age(lambda slot: self._form or slot.last_call < self._call)

    def _by_age(self, fits: Callable[[Slot], Any]) -> Iterator[Slot]:
        """Slots that may be given up, the least recently used first; computed when asked."""
        slots = sorted(filter(fits, self._slots), key=lambda slot: slot.last_call)
        yield from filter(fits, slots)  # some have been used since

    def _acquire(self) -> Slot:
        """A slot for another state: an idle one, a new one, or the least recently used.

        Idle are those whose episode ended, and not just now: in a `while` under `vmap` lanes ask
        for them again.
        """
        slot = next(self._idle, None)
        if slot is None and len(self._slots) < self._capacity:
            slot = Slot(len(self._slots), self._construct())
            self._slots.append(slot)
        if slot is None:
            slot = next(self._others, None)
        if slot is None and self._form:  # more lanes than slots: those of this call, once more
            self._others = self._by_age(lambda _: True)
            slot = next(self._others)
        if slot is None:
            raise StaleStateError(
                f"{self.name}: one call needs more environments than max_instances="
                f"{self._capacity} allows; make it with a larger max_instances."
            )
        slot.forget()
        slot.last_call = self._call
        return slot

    def _write(self, outputs: list[Any], lanes: Sequence[Lane]) -> None:
        """Fill in, and take away, the rows of handles, snapshots and observations."""
        handles = outputs.pop(0)
        handles[:, 0] = [index for index, _, _ in lanes]
        handles[:, 1] = [generation for _, generation, _ in lanes]
        handles[:, 2] = self.nonce
        if self._form:
            joined = b"".join([result.snapshot for _, _, result in lanes])
            outputs.pop(0).reshape(-1)[:] = np.frombuffer(joined, np.uint8)
        for leaf in range(len(self._observations)):
            column, leaves = outputs.pop(0), [result.obs[leaf] for _, _, result in lanes]
            if column.ndim > 1:
                np.concatenate(leaves, out=column.reshape(-1, *column.shape[2:]))
            else:
                column[:] = leaves


def _stretch(values: list[Any], size: int) -> list[Any]:
    """One value for all lanes, or one for each."""
    return values * size if len(values) < size else values


def _rows(snapshots: Any, size: int) -> Any:
    """The snapshot of each lane: of one for all, the same; of none, nothing."""
    if snapshots is None:
        return [None] * size
    return snapshots if len(snapshots) == size else [snapshots[0]] * size


def _same(slot: Slot, action: Any, params: Any) -> bool:
    return slot.params == params and _same_value(slot.action, action)


def _same_value(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return all(_same_value(one[name], other[name]) for name in one)
    if isinstance(one, tuple):
        return all(map(_same_value, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
