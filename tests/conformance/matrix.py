"""Examine what is out of date in this set of versions: `python3 tasks.py matrix`.

    python -m tests.conformance.matrix --set newest-py3.11

`depth.py` says what is examined of an environment on a set, and `fingerprints.py` what decides a
cell: only cells that something has changed of are run again. `workers.py` has the processes. Every
report goes to a journal as it comes, so that an interrupted run goes on where it was. In the end
the journal joins the results, of which all documents are written.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tasks
from envhub import registry
from envhub.matrix import documents, files, fingerprints, results, staleness
from envhub.matrix.results import AS_SAMPLED, COLUMNS, Cell, Row, Run
from envhub.matrix.staleness import Present
from envhub.testing import CHECKS_BY_COLUMN, FAIL
from tests import conftest  # sets the environment variables of this process and those it starts

from . import cases
from .cases import Case
from .depth import depth_of
from .journal import Journal, row_of, seconds_by_column
from .workers import WORKERS, Task, examine_all

# What every row does first, whichever of its columns are run: it is made, reset and stepped.
PAID_BY_EACH = ("makes", "resets", "steps")
JOURNALS = conftest.REPOSITORY / ".cache" / "matrix"
Costs = Mapping[str, Mapping[str, float]]


@functools.cache
def current_run(suite: str) -> Run:
    return staleness.run_today(registry.get(suite))


def say_progress(done: int, task: Task, row: Row, left: float) -> None:
    failed = [f"{name}: {row.cell(name).reason}" for name in results.COLUMNS
              if row.cell(name).value == FAIL]  # fmt: skip
    state = row.state + (f" ({'; '.join(failed)})" if failed else "")
    columns = "" if len(task.columns) == len(COLUMNS) else f" [{', '.join(task.columns)}]"
    print(f"[{done}, about {left / 60:.0f} min left] {row.label}{columns}: {state}", flush=True)


def cases_of(set_name: str) -> list[Case]:
    """Every case of the suites that a set has."""
    absent = tasks.absent(set_name)
    return [case for case in cases.every_case() if case.suite not in absent]


def selected(arguments: argparse.Namespace) -> list[Case]:
    """The cases asked for, in an order by which an estimate from the first ones is a fair one."""
    words = arguments.keyword.split() if arguments.keyword else []
    every = [
        case
        for case in cases_of(arguments.set)
        if arguments.suite in (None, case.suite) and all(word in str(case) for word in words)
    ]
    return sorted(every, key=lambda case: fingerprints.short_hash(str(case)))


def present_of(known: results.Results) -> Present:
    """What decides cells here and now; versions are compared with those that are installed."""
    return Present(known, {})


def to_run(
    every: Iterable[Case], known: results.Results, set_name: str, renew: bool = False
) -> list[Task]:
    """What is to be examined: the columns of each case that are not up to date, or all of them."""
    present, costs = present_of(known), costs_of(known, set_name)
    rows = {row.label: row for row in known.of(set_name=set_name)}
    tasks_ = []
    for case in every:
        row, depth = rows.get(str(case), Row(str(case), set_name)), depth_of(case, set_name)
        changed = changed_columns(row, present)
        columns = tuple(name for name in depth.columns if renew or name in changed)
        if columns:
            checks = tuple(check.__name__ for name in columns
                           for check in CHECKS_BY_COLUMN.get(name, ()))  # fmt: skip
            paid = {*columns, *PAID_BY_EACH}
            seconds = sum(costs.get(case.suite, {}).get(name, 0) for name in paid)
            tasks_.append(Task(case, columns, checks, depth.longest, seconds))
    return tasks_


def changed_columns(row: Row, present: Present) -> set[str]:
    """The columns of a row that have no result of what is here."""
    if row.run is None or row.run.versions != current_run(row.suite).versions:
        return set(COLUMNS)
    missing = {name for name in COLUMNS if row.cell(name).value == AS_SAMPLED}
    return missing | present.changes(row).keys()


def costs_of(known: results.Results, set_name: str) -> Costs:
    """The CPU seconds of a row by suite and column, as measured on this set, or on another."""
    found: dict[str, Mapping[str, float]] = {}
    for name in sorted(known.costs, key=lambda name: name == set_name):
        found |= known.costs[name]
    return found


def say_estimate(set_name: str, todo: Sequence[Task]) -> None:
    """Say how much there is to do, and how long it took last time."""
    suites = sorted({task.case.suite for task in todo})
    for suite in suites:
        own = [task for task in todo if task.case.suite == suite]
        seconds = sum(task.seconds for task in own)
        cells = sum(len(task.columns) for task in own)
        last = f"about {seconds:,.0f} s of CPU" if seconds else "never timed"
        print(f"  {suite}: {cells} cells of {len(own)} rows, {last}")
    total = sum(task.seconds for task in todo)
    print(f"{set_name}: {len(todo)} rows to run, about {total / WORKERS / 60:.0f} min", flush=True)


def joined(known: results.Results, rows: Sequence[Row], set_name: str) -> results.Results:
    """The results with these rows, and with a row of every other case of the set.

    A case that is not examined on the set is there as sampled, unless it has results that nobody
    has renewed since; what is out of date says so.
    """
    every = {str(case): case for case in cases_of(set_name)}
    new = {row.label: row for row in rows}
    old = {row.label: row for row in known.of(set_name=set_name) if row.label in every}
    present, sampled = present_of(known), {row.suite for row in rows}
    kept = [row for row in known.rows if row.set_name != set_name]
    for label, case in every.items():
        depth, row = depth_of(case, set_name), new.get(label) or old.get(label)
        if not depth.columns and (row is None or row.suite in sampled or row.run is None):
            cells = dict.fromkeys(COLUMNS, Cell(AS_SAMPLED, depth.sample))
            row = Row(label, set_name, None, cells)
        kept.append(with_marks(row or Row(label, set_name), present))
    return dataclasses.replace(known, sets=documents.sets(), rows=tuple(kept))


def with_marks(row: Row, present: Present) -> Row:
    """The row, in which what is out of date says so."""
    if row.run is None:
        return row
    changed = changed_columns(row, present)
    cells = {
        name: dataclasses.replace(cell, is_old=name in changed and cell.value != AS_SAMPLED)
        for name, cell in row.cells.items()
    }
    return dataclasses.replace(row, cells=cells)


def timed(
    known: results.Results, set_name: str, journal: Journal, entries: Sequence[Mapping[str, Any]]
) -> results.Results:
    """The results with what the run took: as a whole, and a row of each suite by column."""
    means: dict[str, dict[str, list[float]]] = {}
    for entry in entries:
        suite = entry["case"].partition("::")[0]
        for column, seconds in seconds_by_column(entry).items():
            means.setdefault(suite, {}).setdefault(column, []).append(seconds)
    before = known.costs.get(set_name, {})
    costs = {**before, **{
        suite: {**before.get(suite, {}),
                **{name: round(sum(each) / len(each), 2) for name, each in columns.items()}}
        for suite, columns in means.items()
    }}  # fmt: skip
    return dataclasses.replace(
        known,
        costs={**known.costs, set_name: costs},
        timed={**known.timed, set_name: with_run(known.timed.get(set_name, {}), journal, entries)},
    )


def with_run(
    known: Mapping[str, Any], journal: Journal, entries: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """What is known of the time that a set takes, with what the journal says.

    All of the journal counts, with what was examined again. The largest run is kept: a part says
    little of what the whole takes. A run of one suite is that suite's.
    """
    lines, cpu = journal.lines(), dict[str, float]()
    for line in lines:
        if "case" in line:
            suite = line["case"].partition("::")[0]
            cpu[suite] = round(cpu.get(suite, 0) + sum(seconds_by_column(line).values()), 1)
    last = {
        "date": max(entry["run"]["date"] for entry in entries),
        "rows": len(entries),
        "cells": sum(len(entry["columns"]) for entry in entries),
        "runs": sum("began" in line for line in lines),
        "seconds": round(sum(line.get("seconds", 0) for line in lines)),
        "cpu": cpu,
    }
    if len(cpu) == 1:
        (suite,), alone = cpu, known.get("alone", {})
        largest = max(alone.get(suite, last), last, key=lambda run: run["cells"])
        return {**known, "alone": {**alone, suite: largest}}
    return {**known, **(last if last["cells"] >= known.get("cells", 0) else {})}


def write(known: results.Results) -> None:
    """Write the results, and all documents of them."""
    results.WHOLE.parent.mkdir(parents=True, exist_ok=True)
    results.WHOLE.write_text(files.whole(known), encoding="utf-8")
    documents.write(results.load_whole(), conftest.REPOSITORY)


def changes(known: results.Results, rows: Iterable[Row]) -> Iterator[str]:
    """A line for each suite and column of which cells say something else, as in CHANGELOG.md."""
    before = {(row.label, row.set_name): row for row in known.rows if row.run}
    found: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        old = before.get((row.label, row.set_name), row)
        for column in results.COLUMNS:
            was, now = old.cell(column).value, row.cell(column).value
            if was != now and AS_SAMPLED not in (was, now):
                found.setdefault((row.suite, column, was, now), set()).add(row.env_name)
    for (suite, column, was, now), names in sorted(found.items()):
        some = f"{len(names)} environments" if len(names) > 1 else next(iter(names))
        yield f"{suite}: {column} {was} → {now} ({some})"


def refuse_another_set(name: str) -> None:
    """Rows of one set must not be found on the versions of another."""
    pins = staleness.read_pins(staleness.CONSTRAINTS / f"{name}.txt")
    for suite in registry.BUILTIN:
        for package, version in current_run(suite).versions.items():
            if pins.get(package, version) != version:
                sys.exit(f"{package} {version} is installed here, and {name} has {pins[package]}")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--set", required=True, help="the set that is installed here")
    made.add_argument("--suite", help="one suite; by default all")
    made.add_argument("-k", dest="keyword", help="rows whose names have all of these words")
    made.add_argument("--all", action="store_true", help="those that are up to date, too")
    # brax's pusher in MuJoCo makes 17 steps a second, and needs 9 minutes to reach its limit.
    made.add_argument("--limit", type=float, default=1800, help="seconds that a row may take")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    name = arguments.set
    refuse_another_set(name)
    known, journal = results.load_whole(), Journal(JOURNALS / f"{name}.jsonl")
    present = present_of(known)
    suites = {case.suite for case in selected(arguments)}
    entries = journal.read(present, {suite: current_run(suite) for suite in suites})
    done = {label: set(entry["columns"]) for label, entry in entries.items()}
    every = to_run(selected(arguments), known, name, arguments.all)
    todo = [task for task in every if not set(task.columns) <= done.get(str(task.case), set())]
    print(f"{len(entries)} rows are in the journal of {name}")
    say_estimate(name, todo)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if todo:
        journal.write({"began": datetime.datetime.now(datetime.UTC).isoformat("T", "seconds")})
    try:
        examine(todo, arguments, journal, present)
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on from here.")
        return 130
    finish(known, name, journal, present)
    return 0


def examine(
    todo: Sequence[Task], arguments: argparse.Namespace, journal: Journal, present: Present
) -> None:
    """Examine all of it, and write each report into the journal."""
    began = before = time.monotonic()
    total = waiting = sum(task.seconds or 1 for task in todo)
    with (JOURNALS / f"{arguments.set}.log").open("a", encoding="utf-8") as log:
        for done, (task, report) in enumerate(examine_all(todo, arguments.limit, log), start=1):
            run = current_run(task.case.suite)
            now = time.monotonic()
            journal.add(task, {**report, "seconds": now - before}, run, present)
            waiting, before = waiting - (task.seconds or 1), now
            left = (now - began) / max(total - waiting, 1e-9) * waiting
            entry = {**report, "case": str(task.case), "columns": task.columns, "run": vars(run),
                     "adapter": "", "facts": {}}  # fmt: skip
            row = row_of(entry, arguments.set, depth_of(task.case, arguments.set))
            say_progress(done, task, row, left)


def finish(known: results.Results, name: str, journal: Journal, present: Present) -> None:
    """Put what is in the journal into the results, and say what changed."""
    every = {str(case): case for case in cases_of(name)}
    suites = {case.suite for case in every.values()}
    entries = journal.read(present, {suite: current_run(suite) for suite in suites})
    old = {row.label: row for row in known.of(set_name=name)}
    rows = [row_of(entry, name, depth_of(every[label], name), old.get(label))
            for label, entry in entries.items() if label in every]  # fmt: skip
    changed = list(changes(known, rows))
    found = joined(known, rows, name)
    write(timed(found, name, journal, list(entries.values())) if entries else found)
    journal.archive()
    failed = sum(row.state == FAIL for row in rows)
    print(f"{len(rows)} rows, {failed} of them with a failure")
    print(*changed, f"{len(changed)} kinds of changes", sep="\n")


if __name__ == "__main__":
    sys.exit(main())
