"""The processes that examine, and who takes what: for `matrix.py`.

Two workers take one task after another. A worker stays with a suite, so that its rows share what
is cold in a process. A process that crashes or hangs is replaced. A row that had one that crashed
is examined once more, in a fresh process; only if that crashes too, the row says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from envhub.matrix.results import START
from envhub.testing import CHECKS, FAIL
from tests import conftest

from .cases import Case

WORKERS = 2
ROWS_OF_A_PROCESS = 75  # XLA and some suites never give memory back
PROBER = ["-m", "tests.conformance.prober"]


class Task(NamedTuple):
    """What is to be examined of a case.

    Attributes:
        case: the case.
        columns: the columns to fill.
        checks: the checks that fill them; that it makes is always among them.
        longest: how many steps an episode may have.
        seconds: the CPU seconds that this took last time.
    """

    case: Case
    columns: tuple[str, ...]
    checks: tuple[str, ...] = tuple(CHECKS)
    longest: int = 3_000
    seconds: float = 0.0


class Prober:
    """A process that examines cases, started when it is needed.

    Args:
        log: where what it prints goes.
        limit: the seconds that a case may take.
    """

    def __init__(self, log: TextIO, limit: float) -> None:
        self._log, self._limit = log, limit
        self._process: subprocess.Popen[str] | None = None
        self._examined, self._suite = 0, ""

    def examine(self, task: Task) -> dict[str, Any]:
        """The report of a case, which is about a crash or a hang if there is one."""
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it went down after its last answer
        if self._suite != task.case.suite:
            self.close()
        if self._process is None:
            self._start()
        self._suite = task.case.suite
        self._send(task)
        verdicts: list[list[str]] = []
        seconds: dict[str, float] = {}
        deadline = time.monotonic() + self._limit
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                self.close()
                return ended(task, verdicts, seconds, f"no answer within {self._limit:.0f} s")
            if not line:
                how = f"the process ended: {self._end()}"
                return {**ended(task, verdicts, seconds, how), "crashed": True}
            answer = json.loads(line)
            if "report" in answer:
                break
            if START in answer:
                seconds[START] = answer[START]
            else:
                verdicts.append(answer["verdict"])
                seconds[answer["verdict"][0]] = answer["cpu_seconds"]
        self._examined += 1
        if self._examined == ROWS_OF_A_PROCESS:
            self.close()
        return {**answer["report"], "cpu_seconds": seconds}

    def _send(self, task: Task) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        case, checks, longest = task.case, task.checks, task.longest
        request = [case.suite, case.name, dict(case.options), checks, longest]
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def _end(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """End the process, and those that it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._reader.join()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()  # type: ignore[union-attr]
        self._process = None

    def _start(self) -> None:
        self._examined = 0
        self._process = subprocess.Popen(
            [sys.executable, *PROBER],
            cwd=conftest.REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # Ctrl-C is for the process that decides what it means,
            encoding="utf-8",
        )
        self._lines: queue.Queue[str] = queue.Queue()
        given = self._process, self._lines
        self._reader = threading.Thread(target=self._read, args=given, daemon=True)
        self._reader.start()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")


def ended(
    task: Task, verdicts: list[list[str]], seconds: dict[str, float], how: str
) -> dict[str, Any]:
    """The report of a case that was not finished: the check that was running failed."""
    seen = {check for check, _, _ in verdicts}
    running = next(check for check in ("makes", *task.checks) if check not in seen)
    failed = [running, FAIL, f"in {running}: {how}"]
    return {"verdicts": [*verdicts, failed], "cpu_seconds": seconds}


class Waiting:
    """The tasks that wait, by suite: a worker stays with its suite, then takes the longest."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._lock, self._by_suite = threading.Lock(), dict[str, list[Task]]()
        for task in reversed(tasks):
            self._by_suite.setdefault(task.case.suite, []).append(task)

    def take(self, suite: str) -> Task | None:
        """Take the next task of a suite, or of the one with the most work; `None` at the end."""
        with self._lock:
            if not self._by_suite:
                return None
            if suite not in self._by_suite:
                suite = max(self._by_suite, key=self._work)
            task = self._by_suite[suite].pop()
            if not self._by_suite[suite]:
                del self._by_suite[suite]
            return task

    def _work(self, suite: str) -> tuple[float, int]:
        tasks = self._by_suite[suite]
        return sum(task.seconds for task in tasks), len(tasks)


def examine_all(
    todo: Sequence[Task], limit: float, log: TextIO
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Each task and its report, as they come."""
    waiting, finished = Waiting(todo), queue.SimpleQueue[Any]()
    probers = [Prober(log, limit) for _ in range(WORKERS)]
    stopping = threading.Event()

    def work(prober: Prober) -> None:
        suite = ""
        try:
            while not stopping.is_set() and (task := waiting.take(suite)):
                suite = task.case.suite
                report = prober.examine(task)
                if report.pop("crashed", False):  # of itself, or of what the rows before it left?
                    report = prober.examine(task)
                    report.pop("crashed", None)
                finished.put((task, report))
        except Exception as error:
            finished.put(error)

    for prober in probers:
        threading.Thread(target=work, args=(prober,), daemon=True).start()
    try:
        for _ in todo:
            found = finished.get()
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        stopping.set()
        for prober in probers:
            prober.close()
