"""Descriptors that belong to this library alone, whatever suites print, in C too."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

PLAIN = "envhub.plain"
"""How to write what an encoding has no sign for, as under LC_ALL=C: with signs that it has."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = {"✓": "y", "·": ".", "○": "o", "│": "|", "✗": "x", "…": "..."}
    return "".join(
        signs.get(each, "?") for each in error.object[error.start : error.end]
    ), error.end


codecs.register_error(PLAIN, _plain)


@contextlib.contextmanager
def own_stdout() -> Iterator[TextIO]:
    """Take stdout away from everybody else, and give it: what is printed goes to stderr.

    Where it is the descriptor 1, that stays with stderr for the rest of the process: C's library
    keeps what it was told to print until the process ends. Where it is something in Python, as in a
    notebook, it is given back.
    """
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        if not _is_descriptor_1(stdout):
            yield stdout
            return
        stdout.flush()
        with os.fdopen(os.dup(1), "w", encoding=stdout.encoding, errors=PLAIN) as own:
            os.dup2(2, 1)
            try:
                yield own
                own.flush()
            except OSError:
                _give_up(own)
                raise


def _is_descriptor_1(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (AttributeError, OSError, ValueError):  # `io.UnsupportedOperation` is the last two
        return False


def _give_up(stream: TextIO) -> None:
    """Have what is left in a stream that cannot be written go nowhere, when it is closed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
