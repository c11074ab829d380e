"""A process that examines one case after another, for `matrix.py`: it may crash, or hang.

It reads a case a line, and answers with each verdict as it comes and then a report, as JSON.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import time
from typing import Any

import jax

from envhub.testing import Verdict, check_id
from envhub.testing.second_process import SecondProcess

from .cases import Case

# Some of Atari's episodes last for 27,000 steps.
LONGEST = 3_000


def examine(case: Case, other: SecondProcess, told: Any) -> dict[str, Any]:
    report = check_id(
        case.id,
        dict(case.options),
        own=case.own,
        told=told,
        other=other,
        at_limit=case.at_limit,
        longest=LONGEST,
        is_optimised=True,
    )
    jax.clear_caches()  # hundreds of compiled programs do not fit into memory
    return {
        "verdicts": list(map(dataclasses.astuple, report.verdicts)),
        "compile_seconds": report.compile_seconds,
        "steps_per_second": report.steps_per_second,
    }


def main() -> None:
    # Suites print, in C too: what is for the other side has a descriptor of its own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    began = time.process_time()

    def told(verdict: Verdict) -> None:
        nonlocal began
        used, began = time.process_time() - began, time.process_time()
        answer({"verdict": dataclasses.astuple(verdict), "cpu_seconds": round(used, 2)})

    with contextlib.closing(SecondProcess()) as other:
        for line in sys.stdin:
            suite, name, options = json.loads(line)
            answer({"report": examine(Case(suite, name, tuple(options.items())), other, told)})


if __name__ == "__main__":
    main()
