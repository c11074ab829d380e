"""Ctrl-C only where it does no harm: what must be done together is done before it is raised.

Python raises `KeyboardInterrupt` in the main thread, between any two steps of a function; so this
is about that thread alone, and does nothing in others.
"""

from __future__ import annotations

# Not `signal`'s functions, which try to make enums of handlers (Python 3.11 and 3.12): that would
# take 20 µs in every call to the host, twice as long as the call itself.
import _signal
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

Value = TypeVar("Value")

SIGINT = int(signal.SIGINT)


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
