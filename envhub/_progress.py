"""How far something has come, on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Progress = Callable[..., None]
"""`report(done)` shows that so much is done, and `report(done, label)` what is done then."""


@contextlib.contextmanager
def progress_bar(total: int, label: str, *, wanted: bool = True) -> Iterator[Progress]:
    """Give a function that shows progress: a bar if `rich` is installed, else lines.

    Args:
        total: how much there is to do.
        label: what it is.
        wanted: whether to show anything.
    """
    if not wanted:
        yield lambda done, label=label: None
        return
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress
    except ImportError:
        yield lambda done, label=label: print(f"{label}: {done} of {total}", file=sys.stderr)
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(escape(label), total=total)
        yield lambda done, label=label: bar.update(task, completed=done, description=escape(label))
