"""Keep the output of suites, also from C code, out of what this library prints."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

PLAIN = "envhub.plain"
"""The name of an error handler for encodings: it writes ASCII for characters that they lack."""


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
    """Yield the real stdout; everything that other code prints goes to stderr.

    If stdout is the descriptor 1, this descriptor stays with stderr for the rest of the process,
    because the C library may keep text until the process ends. If stdout is a Python object, as in
    a notebook, it is put back at the end.
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
    except (AttributeError, OSError, ValueError):  # also `io.UnsupportedOperation`
        return False


def _give_up(stream: TextIO) -> None:
    """Discard the text that is left in a stream to which nothing can be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
