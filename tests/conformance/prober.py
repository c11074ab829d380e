"""A process that examines one case after another, for `matrix.py`: it may crash, or hang.

It reads a case a line, and answers with each verdict as it comes and then a report, as JSON. What
a case has in common with the next one of its suite (the import, the small programs of `jnp`, and
the second process) is paid once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import jax

from envhub.testing import Verdict, check_id
from envhub.testing.second_process import SecondProcess

from .cases import Case

# Programs of environments are large, and none is used again: at this size they are dropped.
MOST_KILOBYTES = 3_000_000


def examine(
    case: Case, checks: list[str], longest: int, other: SecondProcess, told: Any
) -> dict[str, Any]:
    report = check_id(
        case.id,
        dict(case.options),
        own=case.own,
        told=told,
        other=other,
        at_limit=case.at_limit,
        longest=longest,
        checks=checks,
        is_optimised=True,
    )
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MOST_KILOBYTES:
        jax.clear_caches()
    return {
        "verdicts": list(map(dataclasses.astuple, report.verdicts)),
        "compile_seconds": report.compile_seconds,
        "steps_per_second": report.steps_per_second,
    }


def cpu_seconds(other: SecondProcess) -> float:
    """Return the CPU seconds of this process and the other one, where Linux tells them."""
    process, used = vars(other).get("_process"), time.process_time()
    with contextlib.suppress(OSError, AttributeError):
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        used += sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return used


def main() -> None:
    # Suites print, in C too: what is for the other side has a descriptor of its own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    with contextlib.closing(SecondProcess()) as other:
        began = 0.0

        def used() -> float:
            nonlocal began
            now = cpu_seconds(other)
            seconds, began = now - began, now
            return round(max(seconds, 0), 2)

        def told(verdict: Verdict) -> None:
            answer({"verdict": dataclasses.astuple(verdict), "cpu_seconds": used()})

        answer({"start": used()})
        for line in sys.stdin:
            suite, name, options, checks, longest = json.loads(line)
            case = Case(suite, name, tuple(options.items()))
            answer({"report": examine(case, checks, longest, other, told)})


if __name__ == "__main__":
    main()
