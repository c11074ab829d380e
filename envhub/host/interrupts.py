"""Ctrl-C is deferred to a moment at which it does no harm.

Operations that belong together finish before the interrupt is raised. Python raises
`KeyboardInterrupt` in the main thread, between any two steps of a function. So deferring concerns
the main thread, and does nothing in others.
"""

from __future__ import annotations

# The functions of `signal` try to convert handlers to enums (Python 3.11 and 3.12). That takes
# 20 µs in every callback, twice as long as the callback itself.
import _signal
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

Value = TypeVar("Value")

SIGINT = int(signal.SIGINT)


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
