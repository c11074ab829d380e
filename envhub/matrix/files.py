"""The two files of the results: the whole for the repository, and what the package shows.

In the whole, a row is a line, sorted, so that a change is one line of a diff. In the package, what
several rows share is written once.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from envhub.matrix.results import COLUMNS, LETTERS, Cell, Results, Row, Run

SCHEMA = 3
USUAL = "*"  # for the reason of most columns
ANY_NAME = "*"


def whole(results: Results) -> str:
    """Return the text of the file in the repository."""
    shared = _Shared()
    rows = [_compact(_whole_entry(row, shared)) for row in _sorted(results.rows)]
    return _file(results, shared, {"facts": _lines(shared.facts)}, rows)


def small(results: Results) -> str:
    """Return the text of the file in the package: without fingerprints, and rows by what is alike.

    Each group has the place of its set, its run, cells, reasons and classes, and the numbers of its
    labels, such as `"0-3 7"`.
    """
    shared, groups = _Shared(), dict[str, list[int]]()
    names = _names_by_form(row.label for row in results.rows)
    place = {label: number for number, label in enumerate(_labels(names))}
    sets = sorted(results.sets)
    bare = dataclasses.replace(results, costs={})
    for row in _sorted(results.rows):
        cells, why = _letters(row), _why(row, shared)
        pattern = shared.pattern(_compact([cells, why])) if cells else ""
        run = shared.run(dataclasses.replace(row.run, checks={})) if row.run else ""
        entry = [sets.index(row.set_name), run, pattern, row.compile_class, row.speed_class]
        groups.setdefault(_compact(entry), []).append(place[row.label])
    rows = [
        f"{key[:-1]},{json.dumps(_ranges(numbers))}]" for key, numbers in sorted(groups.items())
    ]
    parts = {"patterns": _lines(shared.patterns), "names": _lines(names)}
    return _file(bare, shared, parts, rows)


def parse(text: str) -> Results:
    """Return the results in a file of either kind.

    Raises:
        ValueError, KeyError, TypeError, IndexError: if it is none.
    """
    data = json.loads(text)
    if data["schema"] != SCHEMA:
        raise ValueError(f"its schema is {data['schema']}, and this version reads {SCHEMA}")
    runs = {key: Run(**run) for key, run in data["runs"].items()}
    cells_of = _reader(data["columns"], data["reasons"], runs)
    if "names" in data:
        labels = list(_labels(data["names"]))
        rows = [
            row for entry in data["rows"] for row in _group(entry, data, labels, cells_of, runs)
        ]
    else:
        rows = [_row(entry, data, runs, cells_of) for entry in data["rows"]]
    return Results(data["sets"], tuple(rows), data["costs"], data["timed"])


class _Shared:
    """What is written once: by short names, which depend on the content alone."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.runs: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        self.patterns: dict[str, Any] = {}

    def reason(self, text: str) -> str:
        return self.reasons.setdefault(_key(text), text) and _key(text)

    def run(self, run: Run) -> str:
        entry = {name: value for name, value in dataclasses.asdict(run).items() if value}
        key = _key(json.dumps(entry, sort_keys=True))
        self.runs[key] = entry
        return key

    def fact(self, facts: Mapping[str, str]) -> str:
        entry = [facts.get(column, "") for column in COLUMNS]
        key = _key(json.dumps(entry))
        self.facts[key] = entry
        return key

    def pattern(self, text: str) -> str:
        self.patterns[_key(text)] = json.loads(text)
        return _key(text)


def _file(results: Results, shared: _Shared, parts: Mapping[str, str], rows: Sequence[str]) -> str:
    head = {
        "columns": _compact(COLUMNS),
        "reasons": _lines(shared.reasons),
        "runs": _lines(shared.runs),
        "sets": _lines(results.sets),
        "costs": _lines(results.costs),
        "timed": _lines(results.timed),
        **parts,
    }
    text = "".join(f'"{name}": {part},\n' for name, part in head.items())
    body = ",\n".join(rows)
    return f'{{\n"schema": {SCHEMA},\n{text}"rows": [\n{body}\n]\n}}\n'


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.label, row.set_name))


def _whole_entry(row: Row, shared: _Shared) -> dict[str, Any]:
    later = {column: shared.run(row.cell(column).run or row.run)  # type: ignore[arg-type]
             for column in COLUMNS if row.cell(column).run not in (None, row.run)}  # fmt: skip
    entry = {
        "label": row.label,
        "set": row.set_name,
        "run": row.run and shared.run(row.run),
        "runs": later,
        "cells": _letters(row),
        "compile": row.compile_class,
        "speed": row.speed_class,
        "adapter": row.adapter,
        "facts": row.facts and shared.fact(row.facts),
        "why": _why(row, shared),
    }
    return {key: value for key, value in entry.items() if value}


def _letters(row: Row) -> str:
    if not row.cells:
        return ""
    cells = map(row.cell, COLUMNS)
    return "".join(
        LETTERS[cell.value].upper() if cell.is_old else LETTERS[cell.value] for cell in cells
    )


def _why(row: Row, shared: _Shared) -> dict[str, str]:
    """Return the reasons by column; beside a usual one, `""` marks a column that has none."""
    why = {column: row.cell(column).reason for column in COLUMNS}
    counted = collections.Counter(filter(None, why.values())).most_common(1)
    usual = counted[0][0] if counted and counted[0][1] > len(COLUMNS) / 2 else ""
    rest = {column: reason for column, reason in why.items() if reason != usual}
    keys = {column: shared.reason(reason) if reason else "" for column, reason in rest.items()}
    return {USUAL: shared.reason(usual), **keys} if usual else keys


Cells = Callable[[str, Mapping[str, str], Mapping[str, str]], dict[str, Cell]]


def _reader(columns: Sequence[str], reasons: Mapping[str, str], runs: Mapping[str, Run]) -> Cells:
    values = {letter: value for value, letter in LETTERS.items()}

    def cells(letters: str, why: Mapping[str, str], later: Mapping[str, str]) -> dict[str, Cell]:
        return {
            column: Cell(
                values[letter.lower()],
                reasons.get(why.get(column, why.get(USUAL, "")), ""),
                letter.isupper(),
                runs[later[column]] if column in later else None,
            )
            for column, letter in zip(columns, letters, strict=bool(letters))
        }

    return cells


def _row(
    entry: Mapping[str, Any], data: Mapping[str, Any], runs: Mapping[str, Run], cells_of: Cells
) -> Row:
    facts = data["facts"][entry["facts"]] if "facts" in entry else ()
    return Row(
        entry["label"],
        entry["set"],
        runs[entry["run"]] if "run" in entry else None,
        cells_of(entry.get("cells", ""), entry.get("why", {}), entry.get("runs", {})),
        entry.get("compile", ""),
        entry.get("speed", ""),
        entry.get("adapter", ""),
        dict(zip(data["columns"], facts, strict=bool(facts))),
    )


def _group(
    entry: Sequence[Any],
    data: Mapping[str, Any],
    labels: Sequence[str],
    cells_of: Cells,
    runs: Mapping[str, Run],
) -> list[Row]:
    place, run, pattern, compile_class, speed_class, numbers = entry
    letters, why = data["patterns"][pattern] if pattern else ("", {})
    cells, set_name = cells_of(letters, why, {}), sorted(data["sets"])[place]
    return [
        Row(label, set_name, runs[run] if run else None, cells, compile_class, speed_class)
        for label in map(labels.__getitem__, _numbers(numbers))
    ]


def _names_by_form(labels: Iterable[str]) -> dict[str, str]:
    """Group labels by suite and options: `{"ale::*,engine=python": "adventure pong"}`."""
    names: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        suite, _, rest = label.partition("::")
        name, comma, options = rest.partition(",")
        names.setdefault(f"{suite}::{ANY_NAME}{comma}{options}", []).append(name)
    return {form: " ".join(names[form]) for form in sorted(names)}


def _labels(names: Mapping[str, str]) -> Iterable[str]:
    for form in sorted(names):
        yield from (form.replace(ANY_NAME, name, 1) for name in names[form].split(" "))


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers as ranges: `"0-3 7"`."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return " ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)


def _numbers(ranges: str) -> Iterable[int]:
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _lines(entries: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(key)}: {_compact(entries[key], True)}" for key in sorted(entries)]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"


def _compact(value: Any, sort_keys: bool = False) -> str:
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False)


def _key(text: str) -> str:
    """Return a short name for a text, which depends on the text alone."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
