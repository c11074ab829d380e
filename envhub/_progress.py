"""Show progress on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Progress = Callable[..., None]
"""`report(done)` shows how much is done; `report(done, label)` also changes the label."""


@contextlib.contextmanager
def progress_bar(total: int, label: str, *, wanted: bool = True) -> Iterator[Progress]:
    """Yield a function that shows progress: a bar if `rich` is installed, else lines.

    Args:
        total: the value of `done` at the end.
        label: a description of the work.
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
