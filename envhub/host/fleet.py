"""Who runs the instances of an environment: here one after another, elsewhere in parallel.

A fleet knows instances by number, and nothing of states: what a number stands for at the moment is
the pool's to know. NumPy only: this runs inside callbacks of compiled programs.

Ctrl-C comes only where it does no harm: what must be done together is done before it is raised.
Python raises `KeyboardInterrupt` in the main thread, between any two steps of a function; so this
is about that thread alone, and does nothing in others.
"""

from __future__ import annotations

# Not `signal`'s functions, which try to make enums of handlers (Python 3.11 and 3.12): that would
# take 20 µs in every call to the host, twice as long as the call itself.
import _signal
import abc
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from envhub.errors import HostEnvError
from envhub.host.instance import Instance

Value = TypeVar("Value")

SIGINT = int(signal.SIGINT)


class Outcomes(NamedTuple):
    """What a call to several instances gave, in columns: an entry for each lane that came through.

    Attributes:
        obs: observations, of the structure of the space.
        rewards: numbers, or an array each where there are several agents.
        terminated, truncated: flags, likewise.
        infos: the entries of `info`, lane by lane; or a column of each, where a fleet has columns.
        saved: what each instance's `save` gave; empty where a fleet does not save.
        lanes: which lanes of the call these are; `None` for all of them, in order.
        failures: what the others raised; their instances have been replaced by fresh ones. A lane
            that is in neither was not touched.
        lost: the numbers of further instances whose state is gone, with their worker.
    """

    obs: Sequence[Any]
    rewards: Sequence[Any]
    terminated: Sequence[Any]
    truncated: Sequence[Any]
    infos: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]
    saved: Sequence[bytes]
    lanes: Sequence[int] | None = None
    failures: Mapping[int, BaseException] = {}
    lost: Sequence[int] = ()

    def some(
        self,
        places: Sequence[int],
        lanes: Sequence[int] | None = None,
        failures: Mapping[int, BaseException] | None = None,
    ) -> Outcomes:
        """Some of the lanes that came through."""

        def at(column: Any) -> Any:
            if isinstance(column, Mapping):
                return {name: at(each) for name, each in column.items()}
            return [column[place] for place in places] if len(column) else ()

        obs, rewards, terminated, truncated, infos, saved = map(at, self[:6])
        return Outcomes(
            obs, rewards, terminated, truncated, infos, saved, lanes, failures or {}, self.lost
        )


class Counts(NamedTuple):
    """What the instances of an environment have done, all together.

    Attributes:
        instances: how many live.
        calls: how often a program called.
        resets, steps: of all instances together.
        processes: the ids of those that run instances, with `workers="process"`.
    """

    instances: int
    calls: int
    resets: int
    steps: int
    processes: list[int]


OF_LANES = Outcomes._fields[:6]
"""Those with an entry for each lane that came through."""

Method = Callable[..., Any]
"""A method of a fleet, as a function."""


class Fleet(abc.ABC):
    """Instances, numbered from 0.

    A call names each instance at most once.
    """

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that run instances, in order; none where this one does."""
        return []

    @abc.abstractmethod
    def grow(self, count: int) -> None:
        """Add that many instances."""

    @abc.abstractmethod
    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        """Start episodes; rewards and flags of the outcomes are unused."""

    @abc.abstractmethod
    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        """Advance one step each."""

    @abc.abstractmethod
    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        """Put instances into saved states; what one of them raises is raised."""

    @abc.abstractmethod
    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        """Put params in force: a row of float32[n, P] each; what one of them raises is raised."""

    @abc.abstractmethod
    def render(self, number: int) -> Any:
        """The picture of an instance: uint8[H, W, 3]."""

    @abc.abstractmethod
    def replace(self, number: int) -> None:
        """Put a fresh instance in the place of one whose state nobody knows."""

    def replace_all(
        self, numbers: Sequence[int], failures: Mapping[int, BaseException]
    ) -> list[int]:
        """Replace the instances of the lanes that failed; what is lost by it is returned."""
        lost: list[int] = []
        for lane, error in failures.items():
            try:
                self.replace(numbers[lane])
            except Exception as another:  # the next reset finds that too
                error.add_note(f"It could not be replaced: {another!r}")
                lost += getattr(another, "lost", ())
        return lost

    @abc.abstractmethod
    def close(self) -> None:
        """Free everything; idempotent."""


class SerialFleet(Fleet):
    """Instances in this process, one after another.

    Args:
        construct: makes an instance.
        first: one that is there already.
        saves: whether to save each instance after each reset and step.
    """

    def __init__(self, construct: Callable[[], Instance], first: Instance, *, saves: bool) -> None:
        self._construct, self._saves = construct, saves
        self._instances = [first]

    def grow(self, count: int) -> None:
        self._instances += [self._construct() for _ in range(count)]

    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        obs: list[Any] = []
        saved: list[bytes] = []

        def reset_all() -> None:
            for number, seed in zip(numbers, seeds, strict=True):
                instance = self._instances[number]
                obs.append(instance.reset(seed))
                if self._saves:
                    saved.append(instance.save())

        try:
            admitting(reset_all)
        except BaseException as error:
            done = self._done(obs, saved, numbers)
            failures = {done: error}
            self.replace_all(numbers, failures)
            return Outcomes(obs[:done], (), (), (), (), saved[:done], range(done), failures)
        return Outcomes(obs, (), (), (), (), saved)

    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        instances = [self._instances[number] for number in numbers]
        steps: list[Any] = []
        saved: list[bytes] = []

        def step_all() -> None:  # every step of every environment goes through this
            for instance, action in zip(instances, actions, strict=True):
                steps.append(instance.step(action))
                if self._saves:
                    saved.append(instance.save())

        stopped: BaseException | None = None
        try:
            admitting(step_all)
        except BaseException as error:
            stopped = error
        if stopped is None:
            try:
                obs, rewards, terminated, truncated, infos = zip(*steps, strict=True)
            except (TypeError, ValueError):  # one of them is no step
                pass
            else:
                return Outcomes(obs, rewards, terminated, truncated, infos, saved)
        return self._those_that_are(steps, saved, numbers, stopped)

    def _those_that_are(
        self,
        steps: Sequence[Any],
        saved: Sequence[bytes],
        numbers: Sequence[int],
        stopped: BaseException | None,
    ) -> Outcomes:
        """The outcomes of the lanes whose step is one, before the one that raised."""
        done = len(steps) if stopped is None else self._done(steps, saved, numbers)
        lanes = [lane for lane in range(done) if _is_step(steps[lane])]
        failures: dict[int, BaseException] = {
            lane: TypeError(f"a step must return five values, not {steps[lane]!r:.100}")
            for lane in set(range(done)).difference(lanes)
        }
        if stopped is not None:
            failures[done] = stopped
        self.replace_all(numbers, failures)
        kept = [saved[lane] for lane in lanes] if self._saves else ()
        columns: Any = zip(*[steps[lane] for lane in lanes], strict=True) if lanes else [()] * 5
        obs, rewards, terminated, truncated, infos = columns
        return Outcomes(obs, rewards, terminated, truncated, infos, kept, lanes, failures)

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        for number, each, seen in zip(numbers, saved, obs, strict=True):
            self._instances[number].restore(each, seen)

    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        for number, row in zip(numbers, values, strict=True):
            self._instances[number].set_params(row)

    def render(self, number: int) -> Any:
        return self._instances[number].render()

    def replace(self, number: int) -> None:
        with contextlib.suppress(Exception):  # nobody knows what it is in
            self._instances[number].close()
        self._instances[number] = self._construct()

    def close(self) -> None:
        for instance in self._instances:
            instance.close()
        self._instances.clear()

    def _done(self, made: Sequence[Any], saved: Sequence[bytes], numbers: Sequence[int]) -> int:
        """How many lanes came through; an interrupt may come when all have."""
        return min(len(saved) if self._saves else len(made), len(numbers) - 1)


def _is_step(step: Any) -> bool:
    return isinstance(step, tuple) and len(step) == 5


def named_error(
    name: str, slots: Sequence[int], states: Sequence[int], action: Sequence[Any], error: Any
) -> HostEnvError:
    """An error that says whose it was, and what it was about to do."""
    parts = []
    if slots:
        parts.append(f"instance {', '.join(map(str, slots))}")
    held = [state for state in states if state >= 0]  # there is none before a reset
    if held:
        parts.append(f"state {', '.join(map(str, held))}")
    if action:
        parts.append(f"action {', '.join(str(leaf.tolist()) for leaf in action)}")
    where = f": {', '.join(parts)}" if parts else ""
    return HostEnvError(f"{name}{where}: {type(error).__name__}: {error}")


# Interrupts.


class _Main:
    """What is known in the main thread.

    Attributes:
        thread: which that is.
        handler: what Ctrl-C called before; `None` outside of `deferred`.
        is_admitted: whether it may be called at once.
        kept: the arguments of the call that waits.
    """

    thread: ClassVar[int | None] = threading.main_thread().ident
    handler: ClassVar[Callable[..., Any] | None] = None
    is_admitted = False
    kept: tuple[Any, ...] = ()

    @classmethod
    def renew(cls) -> None:
        """In a copy of this process the thread that made it is the main one."""
        cls.thread, cls.handler, cls.is_admitted, cls.kept = threading.get_ident(), None, False, ()


os.register_at_fork(after_in_child=_Main.renew)


def _note(*signalled: Any) -> None:
    _Main.kept = signalled
    if _Main.is_admitted:
        _admit()


def _admit() -> None:
    kept, _Main.kept = _Main.kept, ()
    if kept and _Main.handler:
        _Main.handler(*kept)


class deferred:  # noqa: N801 (it reads as what it does)
    """Keep an interrupt for the end of the block, or until `admitting`."""

    __slots__ = ("_handler",)

    def __enter__(self) -> None:
        self._handler: Any = None
        if threading.get_ident() != _Main.thread or _Main.handler:
            return
        handler = _signal.getsignal(SIGINT)
        if not callable(handler):
            return
        _Main.kept = ()
        _signal.signal(SIGINT, _note)
        _Main.handler = self._handler = handler

    def __exit__(self, *_: object) -> None:
        if self._handler is None:
            return
        _Main.handler = None
        _signal.signal(SIGINT, self._handler)
        if _Main.kept:
            self._handler(*_Main.kept)


def admitting(wait: Callable[[], Value]) -> Value:
    """Call a function that may be interrupted.

    Whether it returned may not be known then: what it changes is to be seen from outside.
    """
    if threading.get_ident() != _Main.thread or not _Main.handler:
        return wait()
    try:
        _Main.is_admitted = True
        if _Main.kept:
            _admit()
        return wait()
    finally:
        _Main.is_admitted = False
