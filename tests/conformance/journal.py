"""Reports as they come, a line each, so that an interrupted run goes on: for `matrix.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from envhub.matrix import results
from envhub.matrix.results import AS_SAMPLED, COLUMNS, GAPS, NOT_RUN, START, Cell, Row, Run
from envhub.matrix.staleness import Present
from envhub.testing import CHECKS_BY_COLUMN, FAIL, Report, Verdict

from .depth import Depth
from .workers import Task

COLUMN_OF = {check.__name__: name for name, checks in CHECKS_BY_COLUMN.items() for check in checks}


class Journal:
    """Entries of this run and of those that were interrupted.

    An entry has the report on a case, its columns, and what decided them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def lines(self) -> list[dict[str, Any]]:
        """All that was written down, but for what the machine went down in."""
        found = []
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for line in text.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def read(self, present: Present, current: Mapping[str, Run]) -> dict[str, dict[str, Any]]:
        """Those that still hold: the last of each case."""
        entries = {}
        for entry in self.lines():
            if "case" in entry and holds(entry, present, current):
                entries[entry["case"]] = entry
        return entries

    def add(self, task: Task, report: Mapping[str, Any], run: Run, present: Present) -> None:
        """Write a report down."""
        row = Row(str(task.case), "")
        self.write({
            "case": row.label,
            "columns": task.columns,
            "run": vars(run),
            "adapter": present.adapter(row.suite, row.env_name),
            "facts": present.facts(row),
            **report,
        })  # fmt: skip

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write a line down."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def archive(self) -> None:
        """Begin a new one; the last is kept, because it says where the time went."""
        if self.path.exists():
            self.path.replace(self.path.with_suffix(".last.jsonl"))


def holds(entry: Mapping[str, Any], present: Present, current: Mapping[str, Run]) -> bool:
    """Tell whether what decided an entry is what would decide it now."""
    row, run = Row(entry["case"], ""), Run(**entry["run"])
    now = current.get(run.suite)
    same_checks = now and all(run.checks[name] == now.checks[name] for name in entry["columns"])
    return bool(
        now
        and same_checks
        and run.versions == now.versions
        and entry["adapter"] == present.adapter(row.suite, row.env_name)
        and entry["facts"] == present.facts(row)
    )


def row_of(entry: Mapping[str, Any], set_name: str, depth: Depth, old: Row | None = None) -> Row:
    """The row that an entry makes, beside what holds of an older row."""
    run, label, asked = Run(**entry["run"]), entry["case"], tuple(entry["columns"])
    verdicts = tuple(Verdict(*each) for each in entry["verdicts"])
    found = {column: Cell(each.value, each.reason, run=run)
             for column, each in Report(label, verdicts).columns().items()}  # fmt: skip
    if found["makes"].value in GAPS:
        found = dict.fromkeys(COLUMNS, found["makes"])
    is_made = found["makes"].value not in (*GAPS, FAIL)
    kept = old.cells if old and old.run and is_made else {}
    cells = {column: Cell(AS_SAMPLED, depth.sample) if column not in depth.columns
             else kept.get(column, Cell(NOT_RUN, "the check was not reached"))
             for column in COLUMNS}  # fmt: skip
    renewed = [name for name in COLUMNS if name in ("makes", *asked) or not is_made]
    cells |= {column: found[column] for column in renewed}
    is_whole = set(depth.columns) <= set(renewed)
    measured = entry.get("compile_seconds"), entry.get("steps_per_second")
    classes = [results.classify(value, of) for value, of in zip(
        measured, (results.COMPILE_CLASSES, results.SPEED_CLASSES), strict=True)]  # fmt: skip
    if old and measured[0] is None:
        classes = [old.compile_class, old.speed_class]
    before = (
        {name: text for name, text in old.facts.items() if name not in renewed}
        if old and kept
        else {}
    )
    facts = {**entry["facts"], **before}
    base = run if is_whole or not old or not old.run else old.run
    cells = {name: replace(cell, run=None) if cell.run == base else cell
             for name, cell in cells.items()}  # fmt: skip
    return Row(label, set_name, base, cells, *classes, entry["adapter"], facts)


def seconds_by_column(entry: Mapping[str, Any]) -> dict[str, float]:
    """The CPU seconds of an entry by column; what a process needs to start has its own."""
    found: dict[str, float] = {}
    for check, seconds in entry.get("cpu_seconds", {}).items():
        column = check if check in (START, "makes") else COLUMN_OF.get(check, "makes")
        found[column] = found.get(column, 0.0) + seconds
    return found
