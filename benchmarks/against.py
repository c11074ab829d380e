"""Two checkouts of the hub, compared on the rows of bridge.py.

    python benchmarks/against.py ../other --rows cartpole-mctx-64 --rows cartpole-mctx-8

Each has a process of its own, and they run in turn, so that what else the machine does meanwhile
touches both. A ratio is the CPU time of this checkout over that of the other.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent


def serve(root: str, steps: int) -> None:
    """Time a row whenever its name comes in, with the hub of that checkout."""
    sys.path.insert(0, root)
    import bridge
    from _timing import seconds

    import envhub

    assert envhub.__file__.startswith(root), envhub.__file__
    programs: dict[str, Any] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in programs:
            row = bridge.ROWS[name]
            programs[name] = bridge.both_sides(row, steps).hub
            seconds(programs[name])  # compiles
        print("took", seconds(programs[name])[1], flush=True)


class Checkout:
    """A process with the hub of a checkout."""

    def __init__(self, root: Path, steps: int) -> None:
        command = [sys.executable, __file__, str(root), "--serve", "--steps", str(steps)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, cwd=root, encoding="utf-8"
        )

    def time(self, name: str) -> float:
        """Seconds of the CPU for one run of a row."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(name, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("took "):
                return float(line.split()[1])
        raise SystemExit(f"{name} failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("other", type=Path, help="the root of the other checkout")
    parser.add_argument("--rows", action="append", default=[], help="one; repeatable")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(str(arguments.other), arguments.steps)
        return
    both = [Checkout(root, arguments.steps) for root in (HERE, arguments.other.resolve())]
    for name in arguments.rows:
        for checkout in both:
            checkout.time(name)
        times = []
        for turn in range(arguments.repeats):
            pair = [both[which].time(name) for which in ((0, 1) if turn % 2 else (1, 0))]
            times.append(pair if turn % 2 else pair[::-1])
        least = [min(column) for column in zip(*times, strict=True)]
        middle = statistics.median(here / there for here, there in times)
        print(
            f"{name}: {middle:.2f} in the median of pairs, {least[0] / least[1]:.2f} of the least"
        )


if __name__ == "__main__":
    main()
