"""`envhub matrix`: show the results of the probes, and whether they are out of date."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from envhub.cli._answer import answer
from envhub.cli._drawing import flag_rows, mark
from envhub.cli._facts import Facts
from envhub.cli._options import AsJson
from envhub.errors import UnknownSuiteError, did_you_mean
from envhub.flags import FLAGS
from envhub.matrix import results, staleness, summary, timing
from envhub.matrix.markdown import OLD
from envhub.matrix.results import AS_SAMPLED, COLUMNS, NOT_RUN, Results, Row

MARKS = {"yes": mark(True), "no": mark(False), "fail": "✗", AS_SAMPLED: "≈", NOT_RUN: "?"}


def matrix(
    suite: Annotated[str | None, typer.Argument(help="One suite; by default a summary.")] = None,
    set_name: Annotated[
        str | None, typer.Option("--set", help="One set of versions; by default all.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fail if a check, an adapter or a version has changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the results of the probes for every environment, on every set of versions."""
    found = Results({}, ())

    def read() -> Facts:
        nonlocal found
        found = results.load()
        _check_names(found, suite, set_name)
        return _facts(found, suite, set_name, check)

    def draw(facts: Facts) -> RenderableType:
        if check:
            return _draw_check(found, facts)
        return _draw_suite(found, suite, set_name) if suite else _draw_summary(found)

    facts = answer(read, draw, as_json)
    if facts["stale"] or facts["unlisted"]:
        raise typer.Exit(1)


def _check_names(found: Results, suite: str | None, set_name: str | None) -> None:
    for what, name, known in (
        ("suite", suite, found.suites),
        ("set", set_name, list(found.sets)),
    ):
        if name is not None and name not in known:
            raise UnknownSuiteError(
                f"the matrix has no {what} {name!r}.{did_you_mean(name, known)} "
                f"It has: {', '.join(known) or 'none'}."
            )


def _facts(found: Results, suite: str | None, set_name: str | None, check: bool) -> Facts:
    return {
        "sets": dict(found.sets),
        "rows": [_entry(row) for row in found.of(suite, set_name)],
        "timed": timing.said(found),
        **(_out_of_date() if check else {"stale": [], "unlisted": []}),
        "never_run": [
            {"set": name, "command": staleness.command_for(name)}
            for name in found.sets
            if not any(row.run for row in found.of(set_name=name))
        ],
    }


def _out_of_date() -> Facts:
    whole = results.load_whole()
    stale = staleness.stale(whole)
    return {
        "stale": [{**each._asdict(), "text": str(each), "command": each.command} for each in stale],
        "unlisted": [
            {"set": name, "suite": suite, "names": names,
             "command": staleness.command_for(name, suite)}
            for name, suite, names in staleness.unlisted(whole)
        ],
    }  # fmt: skip


def _draw_check(found: Results, facts: Facts) -> RenderableType:
    stale = sum(sum(entry["cells"].values()) for entry in facts["stale"])
    waiting = sum(not row.cells for row in found.rows)
    lines = [entry["text"] for entry in facts["stale"]]
    lines += [
        f"{entry['set']}, {entry['suite']}: {len(entry['names'])} names are not in the results "
        f"({', '.join(entry['names'][:3])} …). Run: {entry['command']}"
        for entry in facts["unlisted"]
    ]
    lines += [f"{entry['set']}: {NOT_RUN}. Run: {entry['command']}" for entry in facts["never_run"]]
    return Group(*lines, f"out of date: {stale} cells, {NOT_RUN}: {waiting} rows")


def _entry(row: Row) -> dict[str, Any]:
    cells = {column: row.cell(column) for column in COLUMNS}
    return {
        "environment": row.label,
        "set": row.set_name,
        "state": row.state,
        "out_of_date": row.old,
        "date": row.run and row.run.date,
        "versions": dict(row.run.versions) if row.run else None,
        "cells": {column: cell.value for column, cell in cells.items()},
        "reasons": {column: cell.reason for column, cell in cells.items() if cell.reason},
        "reference": summary.reference_of(row) or None,
        "compile": row.compile_class or None,
        "speed": row.speed_class or None,
    }


def _draw_summary(found: Results) -> RenderableType:
    sets = Table(box=None, pad_edge=False, show_header=False)
    before = ""
    for suite, state, names in summary.by_suite(found):
        sets.add_row(suite if suite != before else "", state, names)
        before = suite
    flags = [
        (suite, cells, f"of {number}" if number else NOT_RUN)
        for suite, (number, cells) in summary.count_flags(found).items()
    ]
    jax = [f"{name}: jax {version}" for name, version in found.sets.items()]
    return Group(sets, "", *flag_rows(flags), "○ some with an option", "", *jax)


def _draw_suite(found: Results, suite: str, set_name: str | None) -> RenderableType:
    parts: list[RenderableType] = []
    for name in found.sets if set_name is None else [set_name]:
        rows = found.of(suite, name)
        version = summary.version_of(rows) or NOT_RUN
        parts += [f"{name} (jax {found.sets[name]}): {suite} {version}"]
        if rows and version != NOT_RUN:
            parts += [*_draw_rows(rows), *_notes(rows)]
        parts += [""]
    legend = (
        "✓ yes, · no, ≈ as sampled, ? not run, - a gap, ° out of date; then the clauses of the "
        "contract that passed, of those that were run, the time to compile, and steps a second"
    )
    return Group(*parts, legend)


def _draw_rows(rows: list[Row]) -> Iterator[str]:
    drawn = []
    for row in rows:
        flags = [MARKS.get(row.cell(flag).value, "-") + OLD * row.cell(flag).is_old
                 for flag in FLAGS]  # fmt: skip
        classes = [row.compile_class or "?", row.speed_class or "?"]
        drawn.append((row.name, flags, "  ".join([_contract(row), *classes])))
    return flag_rows(drawn)


def _notes(rows: list[Row]) -> list[str]:
    """Draw the failures and gaps in full."""
    notes = []
    for row in rows:
        if row.state in results.GAPS:
            reason = f"{row.cell(COLUMNS[0]).reason} {summary.reference_of(row)}".rstrip()
            notes.append(f"{row.name} ({row.state}): {reason}")
            continue
        for column in COLUMNS:
            if row.cell(column).value == "fail":
                notes.append(f"{row.name}: {column}: {row.cell(column).reason}")
    return notes


def _contract(row: Row) -> str:
    values = [row.cell(column).value for column in results.CLAUSES]
    if row.state in (NOT_RUN, AS_SAMPLED, *results.GAPS):
        return row.state
    ran = len(values) - values.count(NOT_RUN)
    return f"{values.count('pass')}/{ran}"
