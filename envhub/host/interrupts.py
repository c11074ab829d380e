"""Ctrl-C only where it does no harm: what must be done together is done before it is raised.

Python raises `KeyboardInterrupt` in the main thread, between any two steps of a function; so this
is about that thread alone, and does nothing in others.
"""

from __future__ import annotations

# Not `signal`'s functions, which try to make enums of handlers (Python 3.11 and 3.12): that would
# take 20 µs in every call to the host, twice as long as the call itself.
import _signal
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

Value = TypeVar("Value")

SIGINT = int(signal.SIGINT)


class _Main:
    """What is known in the main thread.

    Attributes:
        handler: what Ctrl-C called before; `None` outside of `deferred`.
        is_admitted: whether it may be called at once.
        kept: the arguments of the call that waits.
    """

    handler: ClassVar[Callable[..., Any] | None] = None
    is_admitted = False
    kept: tuple[Any, ...] = ()


def _note(*signalled: Any) -> None:
    _Main.kept = signalled
    if _Main.is_admitted:
        _admit()


def _admit() -> None:
    kept, _Main.kept = _Main.kept, ()
    if kept and _Main.handler:
        _Main.handler(*kept)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Keep an interrupt for the end of the block, or until `admitting`."""
    handler = None if _is_elsewhere() or _Main.handler else _signal.getsignal(SIGINT)
    if not callable(handler):
        yield
        return
    _Main.kept = ()
    _signal.signal(SIGINT, _note)
    _Main.handler = handler
    try:
        yield
    finally:
        _Main.handler = None
        _signal.signal(SIGINT, handler)
        if _Main.kept:
            handler(*_Main.kept)


def admitting(wait: Callable[[], Value]) -> Value:
    """Call a function that may be interrupted.

    Whether it returned may not be known then: what it changes is to be seen from outside.
    """
    if _is_elsewhere() or not _Main.handler:
        return wait()
    try:
        _Main.is_admitted = True
        _admit()
        return wait()
    finally:
        _Main.is_admitted = False


def _is_elsewhere() -> bool:
    return threading.current_thread() is not threading.main_thread()
