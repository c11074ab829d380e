"""Functions with which the commands draw text."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TextIO

from rich.console import Console
from rich.table import Table

from envhub._progress import Progress, progress_bar
from envhub.flags import FLAGS


def console(stream: TextIO) -> Console:
    """Return the console that prints to a stream."""
    # Messages hold brackets, such as envhub-rl[brax], that are no markup.
    return Console(file=stream, markup=False, emoji=False, highlight=False)


def watched(total: int, label: str, as_json: bool) -> AbstractContextManager[Progress]:
    """Show progress if stderr is a terminal; see `envhub._progress`."""
    wanted = not as_json and console(sys.stderr).is_terminal
    return progress_bar(total, label, wanted=wanted)


def sheet(rows: Mapping[str, str | None]) -> Table:
    """Draw labels and their values, without empty values."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in rows.items():
        if text:
            table.add_row(label, text)
    return table


def mark(value: bool, needs: str | None = None) -> str:
    """Return one character: yes, no, or yes with an option."""
    return "✓" if value else "○" if needs else "·"


def marks(capabilities: Mapping[str, bool], needs: Mapping[str, str]) -> list[str]:
    """Return one character per flag."""
    return [mark(value, needs.get(flag)) for flag, value in capabilities.items()]


def flag_rows(rows: Sequence[tuple[str, Sequence[str], str]]) -> Iterator[str]:
    """Draw lines with a name, a cell per flag and a note, below the full names of the flags.

    The names of the flags do not fit above such narrow columns, so each name has its own line and a
    rule down to its column.
    """
    width = max((len(name) for name, _, _ in rows), default=0)
    size = max((len(cell) for _, cells, _ in rows for cell in cells), default=1)
    for index, flag in enumerate(FLAGS):
        yield " " * width + " " + f"{'│':{size + 1}}" * index + flag
    for name, cells, note in rows:
        yield f"{name:{width}} {' '.join(f'{cell:{size}}' for cell in cells)}  {note}".rstrip()


def say(number: float | None) -> str:
    """Format a number for a reader."""
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def say_spread(spread: Mapping[str, float | None]) -> str:
    """Format a spread, such as a mean, a least and a greatest value."""
    return ", ".join(f"{name} {say(value)}" for name, value in spread.items())


def say_versions(found: Mapping[str, str | None]) -> str:
    """Format packages and their versions, in one line."""
    return ", ".join(f"{name} {version or '(not installed)'}" for name, version in found.items())
