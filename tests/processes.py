"""Programs in interpreters of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def fresh(
    program: str, *, flags: Sequence[str] = (), fails: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter.

    Args:
        program: the program.
        flags: of the interpreter, such as `-W`, `error`.
        fails: whether it may fail.
        **options: as for `subprocess.run`.
    """
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, *flags, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        **{"timeout": 120, **options},
    )
    assert fails or done.returncode == 0, done.stderr[-3000:]
    return done
