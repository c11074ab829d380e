"""Examine every environment of every suite in this set of versions: `python3 tasks.py matrix`.

    python -m tests.conformance.matrix --set newest-py3.11

Two processes take one case after another; one that crashes or hangs is replaced, and that is what
the case's row says. Every row goes to a journal as it comes, so that an interrupted run goes on
where it was. In the end the journal joins the results file, of which all documents are written.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import tasks
from envhub import registry
from envhub.matrix import documents, results, staleness
from envhub.matrix.results import Cell, Row, Run
from envhub.testing import CHECKS, FAIL, Report, Verdict
from tests import conftest  # sets the environment variables of this process and those it starts

from . import cases
from .cases import Case

WORKERS = 2
ROWS_OF_A_PROCESS = 75  # XLA and some suites never give memory back
PROBER = ["-m", "tests.conformance.prober"]
JOURNALS = conftest.REPOSITORY / ".cache" / "matrix"


class Prober:
    """A process that examines cases, started when it is needed.

    Args:
        log: where what it prints goes.
        limit: the seconds that a case may take.
    """

    def __init__(self, log: TextIO, limit: float) -> None:
        self._log, self._limit = log, limit
        self._process: subprocess.Popen[str] | None = None
        self._examined = 0

    def examine(self, case: Case) -> dict[str, Any]:
        """The report of a case, which is about a crash or a hang if there is one."""
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it went down after its last answer
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([case.suite, case.name, dict(case.options)]) + "\n")
        self._process.stdin.flush()
        verdicts: list[list[str]] = []
        seconds: dict[str, float] = {}  # for the journal: where the time goes
        deadline = time.monotonic() + self._limit
        while True:
            try:
                line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                self.close()
                return ended(verdicts, f"no answer within {self._limit:.0f} s")
            if not line:
                code = self._process.wait()
                self.close()
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                return ended(verdicts, f"the process ended: {how}")
            answer = json.loads(line)
            if "report" in answer:
                break
            verdicts.append(answer["verdict"])
            seconds[answer["verdict"][0]] = answer["cpu_seconds"]
        self._examined += 1
        if self._examined == ROWS_OF_A_PROCESS:
            self.close()
        return {**answer["report"], "cpu_seconds": seconds}

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


def ended(verdicts: list[list[str]], how: str) -> dict[str, Any]:
    """The report of a case that was not finished: the check that was running failed."""
    seen = {check for check, _, _ in verdicts}
    running = next(check for check in ("makes", *CHECKS) if check not in seen)
    return {"verdicts": [*verdicts, [running, FAIL, f"in {running}: {how}"]]}


def row_of(label: str, set_name: str, run: Run, report: Mapping[str, Any]) -> Row:
    verdicts = tuple(Verdict(*each) for each in report["verdicts"])
    found = Report(label, verdicts).columns()
    return Row(
        label,
        set_name,
        run,
        {column: Cell(each.value, each.reason) for column, each in found.items()},
        results.classify(report.get("compile_seconds"), results.COMPILE_CLASSES),
        results.classify(report.get("steps_per_second"), results.SPEED_CLASSES),
    )


@functools.cache
def current_run(suite: str) -> Run:
    return staleness.run_today(registry.get(suite))


def is_current(run: Run) -> bool:
    """Whether the same would be examined, in the same way, here and now."""
    now = dataclasses.replace(current_run(run.suite), date=run.date, checks=run.checks)
    return now == run and staleness.checks_are_equivalent(run.checks)


class Journal:
    """Reports by case, a line each, of this run and those that were interrupted."""

    def __init__(self, set_name: str) -> None:
        JOURNALS.mkdir(parents=True, exist_ok=True)
        self.path, self._set_name = JOURNALS / f"{set_name}.jsonl", set_name

    def read(self) -> dict[str, dict[str, Any]]:
        """Those that still hold: the last of each case."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        entries = {}
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # written when the machine went down
                continue
            if is_current(Run(**entry["run"])):
                entries[entry["case"]] = entry
        return entries

    def add(self, case: Case, report: Mapping[str, Any]) -> Row:
        """Write a report down; the row that it makes."""
        entry = {"case": str(case), "run": vars(current_run(case.suite)), **report}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        return self.row(entry)

    def row(self, entry: Mapping[str, Any]) -> Row:
        """The row that an entry makes."""
        return row_of(entry["case"], self._set_name, Run(**entry["run"]), entry)

    def archive(self) -> None:
        """Begin a new one; the last is kept, because it says where the time went."""
        if self.path.exists():
            self.path.replace(self.path.with_suffix(".last.jsonl"))


def examine_all(todo: Sequence[Case], limit: float, log: TextIO) -> Iterator[tuple[Case, Any]]:
    """Each case and its report, as they come."""
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for case in todo:
        waiting.put(case)
    probers = [Prober(log, limit) for _ in range(WORKERS)]
    stopping = threading.Event()

    def work(prober: Prober) -> None:
        try:
            while not stopping.is_set():
                case = waiting.get_nowait()
                finished.put((case, prober.examine(case)))
        except queue.Empty:
            pass
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


def say_progress(done: int, total: int, began: float, row: Row) -> None:
    elapsed = time.monotonic() - began
    left = elapsed / done * (total - done)
    failed = [f"{name}: {row.cell(name).reason}" for name in results.COLUMNS
              if row.cell(name).value == FAIL]  # fmt: skip
    state = row.state + (f" ({'; '.join(failed)})" if failed else "")
    print(f"[{done}/{total}, about {left / 60:.0f} min left] {row.label}: {state}", flush=True)


def cases_of(set_name: str) -> list[Case]:
    """Every case of the suites that a set has."""
    every = cases.every_case()
    return [case for case in every if case.suite != tasks.left_out(set_name)]


def selected(arguments: argparse.Namespace) -> list[Case]:
    """The cases asked for, in an order by which an estimate from the first ones is a fair one."""
    words = arguments.keyword.split() if arguments.keyword else []
    every = [
        case
        for case in cases_of(arguments.set)
        if arguments.suite in (None, case.suite) and all(word in str(case) for word in words)
    ]
    return sorted(every, key=lambda case: staleness.short_hash(str(case)))


def still_to_do(every: Iterable[Case], known: results.Results, name: str) -> list[Case]:
    """Those without a row that was found in just these circumstances."""
    current = {row.label for row in known.of(set_name=name) if row.run and is_current(row.run)}
    return [case for case in every if str(case) not in current]


def not_run(set_name: str, known: results.Results) -> list[Row]:
    """Rows that say so, for the cases that have no other."""
    have = {row.label for row in known.of(set_name=set_name)}
    every = map(str, cases_of(set_name))
    return [Row(label, set_name) for label in every if label not in have]


def without_the_gone(known: results.Results, set_name: str) -> results.Results:
    every = {str(case) for case in cases_of(set_name)}
    kept = [row for row in known.rows if row.set_name != set_name or row.label in every]
    return results.Results(known.sets, tuple(kept))


def refuse_another_set(name: str) -> None:
    """Rows of one set must not be found on the versions of another."""
    pins = staleness.read_pins(staleness.CONSTRAINTS / f"{name}.txt")
    for suite in registry.BUILTIN:
        for package, version in current_run(suite).versions.items():
            if pins.get(package, version) != version:
                sys.exit(f"{package} {version} is installed here, and {name} has {pins[package]}")


def join(set_name: str, rows: Sequence[Row]) -> None:
    """Put rows into the results file, and write all documents of it."""
    known = without_the_gone(results.load().replaced(rows, documents.sets()), set_name)
    known = known.replaced(not_run(set_name, known), known.sets)
    results.PLACE.write_text(results.dump(known), encoding="utf-8")
    documents.write(known, conftest.REPOSITORY)


def changes(known: results.Results, rows: Iterable[Row]) -> Iterator[str]:
    """A line for each cell that says something else now."""
    before = {(row.label, row.set_name): row for row in known.rows if row.run}
    for row in rows:
        old = before.get((row.label, row.set_name), row)
        for column in results.COLUMNS:
            was, now = old.cell(column), row.cell(column)
            if was.value != now.value:
                yield f"{row.label}, {column}: {was.value} before, {now.value} now: {now.reason}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", required=True, help="the set that is installed here")
    parser.add_argument("--suite", help="one suite; by default all")
    parser.add_argument("-k", dest="keyword", help="rows whose names have all of these words")
    parser.add_argument("--all", action="store_true", help="those that are up to date, too")
    # brax's pusher in MuJoCo makes 17 steps a second, and needs 9 minutes to reach its limit.
    parser.add_argument("--limit", type=float, default=1800, help="seconds that a row may take")
    arguments = parser.parse_args(argv)
    refuse_another_set(arguments.set)
    journal, todo = Journal(arguments.set), selected(arguments)
    if not arguments.all:
        todo = still_to_do(todo, results.load(), arguments.set)
    found = journal.read()
    todo = [case for case in todo if str(case) not in found]
    print(f"{arguments.set}: {len(todo)} rows to run, {len(found)} in the journal", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    with (JOURNALS / f"{arguments.set}.log").open("a", encoding="utf-8") as log:
        try:
            reports = examine_all(todo, arguments.limit, log)
            for done, (case, report) in enumerate(reports, start=1):
                row = journal.add(case, report)
                say_progress(done, len(todo), began, row)
        except KeyboardInterrupt:
            print("\nInterrupted; the same command goes on from here.")
            return 130
    rows = [journal.row(entry) for entry in journal.read().values()]
    changed = list(changes(results.load(), rows))
    join(arguments.set, rows)
    journal.archive()
    failed = sum(row.state == FAIL for row in rows)
    print(f"{len(rows)} rows in {time.monotonic() - began:.0f} s, {failed} of them with a failure")
    print(*changed, f"{len(changed)} cells changed", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
