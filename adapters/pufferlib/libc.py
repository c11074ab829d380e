"""A generator of C's `rand` for each instance, where the process has one for all.

Libraries in C that draw with `rand` share its state with everybody in the process: what one
instance draws, another misses, and no seed says what it gets. glibc can put another state in its
place, as cheaply as a function is called.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

# As long as the state that a process starts with, so that a seed gives the same numbers.
STATE_SIZE = 128


class OwnGenerator:
    """A state of `rand` that is in force inside `with`, and nobody else's.

    Where C's library cannot do that, it does nothing: see `has_own_generators`.
    """

    def __init__(self) -> None:
        self._state = ctypes.create_string_buffer(STATE_SIZE)
        self._others: Any = None
        library = _library()
        if library:
            with _one_at_a_time:
                others = library.initstate(1, self._state, STATE_SIZE)
                library.setstate(others)

    def __enter__(self) -> None:
        _one_at_a_time.acquire()
        library = _library()
        if library:
            self._others = library.setstate(self._state)

    def __exit__(self, *_: object) -> None:
        library = _library()
        if library:
            library.setstate(self._others)
        _one_at_a_time.release()


_one_at_a_time = threading.RLock()


@functools.cache
def has_own_generators() -> bool:
    """Whether `rand` draws from the state that was put in place: glibc's does."""
    library = _library()
    if not library:
        return False
    drawn: list[list[int]] = [[], []]
    generators = [OwnGenerator(), OwnGenerator()]
    for number in range(4):
        for generator, numbers in zip(generators, drawn, strict=True):
            with generator:
                if number == 0:
                    library.srand(7)
                numbers.append(library.rand())
    return drawn[0] == drawn[1]


@functools.cache
def _library() -> Any:
    """The C library of this process, if it has the functions."""
    try:
        library = ctypes.CDLL(None)
        library.initstate.argtypes = [ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t]
        library.setstate.argtypes = [ctypes.c_void_p]
        library.initstate.restype = library.setstate.restype = ctypes.c_void_p
    except (OSError, TypeError, AttributeError):  # as on Windows
        return None
    return library
