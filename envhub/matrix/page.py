"""`matrix.html`: one row per environment, with filters, and a file of details for each suite.

The page adds the file of a suite as a script when something of that suite is opened: that works on
a disk too, where a browser refuses to fetch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from envhub.flags import FLAGS
from envhub.matrix import summary, timing
from envhub.matrix.merged import DIFFERS, OPTION, Environment, environments
from envhub.matrix.results import (
    AS_SAMPLED,
    CLAUSES,
    COLUMNS,
    COMPILE_CLASSES,
    GAPS,
    LETTERS,
    NOT_RUN,
    SPEED_CLASSES,
    Results,
    Row,
)

_LETTERS = {**LETTERS, OPTION: "o", DIFFERS: "d"}


def document(results: Results) -> str:
    """Return the page, which has what its tables show."""
    template = resources.files("envhub.matrix").joinpath("page.html").read_text(encoding="utf-8")
    patterns = _Numbered()
    names: dict[str, dict[int, list[str]]] = {suite: {} for suite in results.suites}
    for each in environments(results):
        names[each.suite].setdefault(patterns.number(_pattern(each)), []).append(each.name)
    data = {
        "flags": FLAGS,
        "clauses": CLAUSES,
        "letters": {letter: value for value, letter in _LETTERS.items()},
        "compile": [name for _, name in COMPILE_CLASSES],
        "speed": [name for _, name in SPEED_CLASSES],
        "sets": list(results.sets),
        "jax": list(results.sets.values()),
        "suites": _suites(results),
        "timed": [f"{name}: {text}" for name, text in timing.said(results).items()],
        "patterns": patterns.values,
        "names": names,
    }
    # In a script, only the end tag of it would be more than data. A line a pattern.
    text = _compact(data).replace("</", "<\\/").replace('{"state":', '\n{"state":')
    return template.replace("{{results}}", text)


def details(results: Results, suite: str) -> str:
    """Return the script that gives the page the details of a suite."""
    reasons: dict[str, int] = {}
    entries, numbers = _Numbered(), {}
    for each in environments(results, suite):
        numbers[each.name] = entries.number(_found(each, reasons, results))
    data = {"reasons": list(reasons), "entries": entries.values, "numbers": numbers}
    return f"receive({_compact(suite)}, {_compact(data)});\n"


class _Numbered:
    """Values, each of which is there once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        return self._numbers.setdefault(_compact(value), len(self._numbers))

    @property
    def values(self) -> list[Any]:
        return list(map(json.loads, self._numbers))


def _suites(results: Results) -> dict[str, list[str]]:
    """Return the version of each suite in each set; empty if it was not run."""
    return {
        suite: [summary.version_of(results.of(suite, name)) for name in results.sets]
        for suite in results.suites
    }


def _pattern(environment: Environment) -> dict[str, Any]:
    """Return what the table shows of an environment beside its name, without what is empty."""
    old, rows = environment.old, environment.rows
    references = {summary.reference_of(row) for row in rows}
    entry = {
        "state": environment.state,
        "with": environment.common,
        "options": [options for options in environment.variants if options],
        "cells": "".join(_LETTERS[value] for value in environment.values.values()),
        "old": "".join(str(int(column in old)) for column in COLUMNS) if old else "",
        "has": "".join(str(int(environment.has(flag))) for flag in FLAGS),
        "link": max(references, default=""),
        "ran": int(environment.is_run),
        "contract": _contract(environment),
        "compile": _range((row.compile_class for row in rows), COMPILE_CLASSES),
        "speed": _range((row.speed_class for row in rows), SPEED_CLASSES),
    }
    return {key: value for key, value in entry.items() if value}


def _contract(environment: Environment) -> str:
    """Return how many clauses passed of those that ran, or the state if that says more."""
    if not environment.rows or environment.state in ("fail", *GAPS, NOT_RUN, AS_SAMPLED):
        return environment.state
    of_rows = [[row.cell(clause).value for clause in CLAUSES] for row in environment.rows]
    passed = max(values.count("pass") for values in of_rows)
    return f"{passed}/{max(len(CLAUSES) - values.count(NOT_RUN) for values in of_rows)}"


def _range(values: Iterable[str], classes: Iterable[tuple[float, str]]) -> str:
    """Return the first and the last class."""
    given = set(values)
    found = [name for _, name in classes if name in given]
    return " … ".join(dict.fromkeys([found[0], found[-1]])) if found else ""


def _found(environment: Environment, reasons: dict[str, int], results: Results) -> list[Any]:
    """Return what was found of an environment, with the sets that agree; reasons are numbers."""
    sets = list(results.sets)
    found: dict[tuple[str, str, str], list[int]] = {}
    for options, rows in environment.variants.items():
        for row in rows:
            if row.run:
                key = options, _cells(row), _compact(_why(row, reasons))
                found.setdefault(key, []).append(sets.index(row.set_name))
    return [
        [options, numbers, cells, json.loads(why)]
        for (options, cells, why), numbers in found.items()
    ]


def _cells(row: Row) -> str:
    return "".join(_LETTERS[row.cell(column).value] for column in COLUMNS)


def _why(row: Row, reasons: dict[str, int]) -> list[list[int]]:
    """Map the number of each reason to the numbers of its columns."""
    by_reason: dict[int, list[int]] = {}
    for index, column in enumerate(COLUMNS):
        if reason := row.cell(column).reason:
            by_reason.setdefault(reasons.setdefault(reason, len(reasons)), []).append(index)
    return [[reason, *columns] for reason, columns in by_reason.items()]


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
