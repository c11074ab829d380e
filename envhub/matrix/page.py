"""`matrix.html`: one row per environment, with filters and details, in one file."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from envhub.flags import FLAGS
from envhub.matrix import summary
from envhub.matrix.merged import DIFFERS, OPTION, Environment, environments
from envhub.matrix.results import CLAUSES, COLUMNS, LETTERS, Results, Row

_LETTERS = {**LETTERS, OPTION: "o", DIFFERS: "d"}


def document(results: Results) -> str:
    """Return the page; it loads no other file."""
    template = resources.files("envhub.matrix").joinpath("page.html").read_text(encoding="utf-8")
    reasons: dict[str, int] = {}
    found = [_entry(each, reasons, results) for each in environments(results)]
    data = {
        "flags": FLAGS,
        "clauses": CLAUSES,
        "letters": {letter: value for value, letter in _LETTERS.items()},
        "sets": list(results.sets),
        "jax": list(results.sets.values()),
        "suites": _suites(results),
        "reasons": list(reasons),
        "timed": [f"{name}: {text}" for name, text in summary.costs(results).items()],
        "environments": found,
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    # In a script, only the end tag of it would be more than data. A line an environment.
    text = text.replace("</", "<\\/").replace('{"id":', '\n{"id":')
    return template.replace("{{results}}", text)


def _suites(results: Results) -> dict[str, list[str]]:
    """Return the version of each suite in each set; empty if it was not run."""
    return {
        suite: [summary.version_of(results.of(suite, name)) for name in results.sets]
        for suite in results.suites
    }


def _entry(environment: Environment, reasons: dict[str, int], results: Results) -> dict[str, Any]:
    """Return the data of the page for an environment; reasons are numbers."""
    sets = list(results.sets)
    details: dict[tuple[str, str, str, str, str], list[int]] = {}
    for options, rows in environment.variants.items():
        for row in rows:
            if row.run:
                why = json.dumps(_why(row, reasons))
                key = options, _cells(row), why, row.compile_class, row.speed_class
                details.setdefault(key, []).append(sets.index(row.set_name))
    references = {summary.reference_of(row) for row in environment.rows}
    entry = {
        "id": environment.id,
        "state": environment.state,
        "with": environment.common,
        "options": [options for options in environment.variants if options],
        "cells": "".join(_LETTERS[value] for value in environment.values.values()),
        "old": "".join(str(int(column in environment.old)) for column in COLUMNS)
        if environment.old
        else "",
        "has": "".join(str(int(environment.has(flag))) for flag in FLAGS),
        "link": max(references, default=""),
        "found": [
            [options, numbers, cells, json.loads(why), compile_class, speed_class]
            for (options, cells, why, compile_class, speed_class), numbers in details.items()
        ],
    }
    return {key: value for key, value in entry.items() if value}


def _cells(row: Row) -> str:
    return "".join(_LETTERS[row.cell(column).value] for column in COLUMNS)


def _why(row: Row, reasons: dict[str, int]) -> list[list[int]]:
    """Map the number of each reason to the numbers of its columns."""
    by_reason: dict[int, list[int]] = {}
    for index, column in enumerate(COLUMNS):
        if reason := row.cell(column).reason:
            by_reason.setdefault(reasons.setdefault(reason, len(reasons)), []).append(index)
    return [[reason, *columns] for reason, columns in by_reason.items()]
