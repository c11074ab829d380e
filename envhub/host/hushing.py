"""Keep what an instance prints off the terminal."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger("envhub")
_lock = threading.Lock()
_hushed: set[int] = set()  # the threads


class _StandIn:
    """Takes the place of `sys.stdout` while a thread is hushed; other threads print as before."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def write(self, text: str) -> int:
        if threading.get_ident() not in _hushed:
            return int(self.real.write(text))
        if text.strip():
            _log.debug("while playing an environment: %s", text.strip())
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def hushed(function: Callable[..., T], /, *args: Any) -> T:
    """Call a function, and send what this thread prints meanwhile to the log at debug level.

    Examples:
        >>> hushed(print, "Sampling rejected")
    """
    if threading.get_ident() in _hushed:
        return function(*args)  # the outer call goes on being hushed
    with _lock:
        _hushed.add(threading.get_ident())
        if not isinstance(sys.stdout, _StandIn | None):
            sys.stdout = _StandIn(sys.stdout)
    try:
        return function(*args)
    finally:
        with _lock:
            _hushed.discard(threading.get_ident())
            # Somebody may have put something else into its place meanwhile.
            if not _hushed and isinstance(sys.stdout, _StandIn):
                sys.stdout = sys.stdout.real
