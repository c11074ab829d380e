"""Fleets run the instances of an environment: one after another in this module.

A fleet knows instances by number. It knows nothing about states; the pool knows which state each
instance is in. NumPy only: this runs inside callbacks of compiled programs.

This module also defers Ctrl-C to a moment at which it does no harm: operations that belong together
finish before the interrupt is raised. Python raises `KeyboardInterrupt` in the main thread, between
any two steps of a function. So deferring concerns the main thread, and does nothing in others.
"""

from __future__ import annotations

# The functions of `signal` try to convert handlers to enums (Python 3.11 and 3.12). That takes
# 20 µs in every callback, twice as long as the callback itself.
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
from envhub.host.outcomes import Outcomes

Value = TypeVar("Value")
SIGINT = int(signal.SIGINT)

Method = Callable[..., Any]
"""A method of a fleet, taken from its class."""


class Place(NamedTuple):
    """Where some instances live.

    Attributes:
        process: the id of their process; `None` for a thread of this one.
        node: the address and the beginning of the id of their node in a cluster of Ray; empty for
            this machine.
        instances: their numbers.
    """

    process: int | None
    node: str
    instances: list[int]


class Fleet(abc.ABC):
    """Instances, numbered from 0.

    A call names each instance at most once.

    Attributes:
        takes_columns: whether a call gives `numbers` as an array, and the actions of a step as one
            value with the structure of the action space, whose leaves are arrays with a leading
            axis. Otherwise both are lists.
        prepares: whether an instance that ended is made ready for a reset meanwhile, so that the
            next episode should start in another instance.
    """

    takes_columns: ClassVar[bool] = False
    prepares: ClassVar[bool] = False

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that run instances, in order; empty if this process does."""
        return []

    @property
    def workers(self) -> list[Place]:
        """Where the workers are that have started; empty if there are none."""
        return []

    @abc.abstractmethod
    def grow(self, count: int) -> None:
        """Add `count` instances."""

    @abc.abstractmethod
    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        """Start an episode in each instance; the outcomes have no rewards, flags or infos."""

    @abc.abstractmethod
    def step(self, numbers: Sequence[int], actions: Any) -> Outcomes:
        """Advance each instance by one step; all actions lie in the space."""

    @abc.abstractmethod
    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        """Put instances into saved states; raise what the first failing one raises."""

    @abc.abstractmethod
    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        """Set the params of n instances, float32[n, P]; raise what the first failing one raises."""

    @abc.abstractmethod
    def render(self, number: int) -> Any:
        """Return the picture of an instance: uint8[H, W, 3]."""

    @abc.abstractmethod
    def replace(self, number: int) -> None:
        """Replace an instance whose state is unknown by a new one."""

    def replace_all(
        self, numbers: Sequence[int], failures: Mapping[int, BaseException]
    ) -> list[int]:
        """Replace the instances of the lanes that failed; return the instances lost by that."""
        lost: list[int] = []
        for lane, error in failures.items():
            try:
                self.replace(numbers[lane])
            except Exception as another:  # the next reset raises it again
                error.add_note(f"It could not be replaced: {another!r}")
                lost += getattr(another, "lost", ())
        return lost

    @abc.abstractmethod
    def close(self) -> None:
        """Free all instances. It may be called repeatedly."""


class SerialFleet(Fleet):
    """A fleet that runs instances in this process, one after another.

    Args:
        construct: a function that makes one instance.
        first: the first instance.
        saves: whether to save each instance after each reset and step.
    """

    def __init__(self, construct: Callable[[], Instance], first: Instance, *, saves: bool) -> None:
        self._construct, self._saves = construct, saves
        self._instances = [first]

    def instance(self, number: int) -> Instance:
        """Return an instance, for one that is stepped by itself."""
        return self._instances[number]

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
            except (TypeError, ValueError):  # an instance returned something else than five values
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
        """Return the outcomes of a call in which a step raised or returned something else."""
        done = len(steps) if stopped is None else self._done(steps, saved, numbers)
        lanes = [lane for lane in range(done) if is_step(steps[lane])]
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
        with contextlib.suppress(Exception):  # its state is unknown, so `close` may raise anything
            self._instances[number].close()
        self._instances[number] = self._construct()

    def close(self) -> None:
        for instance in self._instances:
            instance.close()
        self._instances.clear()

    def _done(self, made: Sequence[Any], saved: Sequence[bytes], numbers: Sequence[int]) -> int:
        """Return how many lanes finished before an exception.

        An interrupt may come after all lanes have finished. The last lane counts as the one that
        failed then.
        """
        return min(len(saved) if self._saves else len(made), len(numbers) - 1)


def is_step(step: Any) -> bool:
    """Tell whether an instance returned five values."""
    return isinstance(step, tuple) and len(step) == 5


def named_error(
    name: str, slots: Sequence[int], states: Sequence[int], action: Sequence[Any], error: Any
) -> HostEnvError:
    """Return an error that names the environment, the instances, the states and the action."""
    parts = []
    if slots:
        parts.append(f"instance {', '.join(map(str, slots))}")
    held = [state for state in states if state >= 0]  # a reset has no state before it
    if held:
        parts.append(f"state {', '.join(map(str, held))}")
    if action:
        parts.append(f"action {', '.join(str(leaf.tolist()) for leaf in action)}")
    where = f": {', '.join(parts)}" if parts else ""
    return HostEnvError(f"{name}{where}: {type(error).__name__}: {error}")


# Interrupts.


class _Main:
    """The state of deferring, which concerns the main thread alone.

    Attributes:
        thread: the id of the main thread.
        handler: the handler of Ctrl-C that was in force before; `None` outside of `deferred`.
        is_admitted: whether an interrupt calls the handler at once.
        kept: the arguments for the handler if an interrupt waits; otherwise empty.
    """

    thread: ClassVar[int | None] = threading.main_thread().ident
    handler: ClassVar[Callable[..., Any] | None] = None
    is_admitted = False
    kept: tuple[Any, ...] = ()

    @classmethod
    def renew(cls) -> None:
        """Start anew in a forked process, whose main thread is the thread that called `fork`."""
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
    """Defer an interrupt to the end of the block, or to the next `admitting`."""

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
    """Call a function that may be interrupted, and return its result.

    After an interrupt, the caller cannot know whether the function returned. So it must have an
    effect that the caller can see.
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
