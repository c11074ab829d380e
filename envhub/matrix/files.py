"""The two files of the results: the whole for the repository, and what the package shows.

In the whole, a row is a line, sorted, so that a change is one line of a diff. In the package, what
several rows share is written once, and referred to by its place.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from envhub.matrix.results import COLUMNS, LETTERS, Cell, Results, Row, Run

SCHEMA = 3
USUAL = "*"  # for the reason of most columns
ANY_NAME = "*"


def whole(results: Results) -> str:
    """Return the text of the file in the repository."""
    shared = _Shared(lambda text, _: _key(text))
    rows = [_compact(_whole_entry(row, shared)) for row in _sorted(results.rows)]
    return _file(results, shared, {"facts": shared.table("facts", _lines)}, rows, _lines)


def small(results: Results) -> str:
    """Return the text of the file in the package: without fingerprints, and rows by what is alike.

    Each group has the places of its set, run, pattern of cells and reasons, and classes, and the
    numbers of its labels, such as `"0-3 7"`.
    """
    shared, groups = _Shared(lambda _, place: place), dict[str, list[int]]()
    names = _names_by_form(row.label for row in results.rows)
    number = {label: number for number, label in enumerate(_labels(names))}
    sets = sorted(results.sets)
    bare = dataclasses.replace(results, costs={})
    for row in _sorted(results.rows):
        run = shared.run(dataclasses.replace(row.run, checks={})) if row.run else None
        cells = shared.name("patterns", [_letters(row), _why(row, shared)])
        classes = shared.name("classes", [row.compile_class, row.speed_class])
        entry = [sets.index(row.set_name), run, cells, classes]
        groups.setdefault(_compact(entry), []).append(number[row.label])
    rows = [f"{key[:-1]},{json.dumps(_ranges(numbers))}]" for key, numbers in groups.items()]
    parts = {name: shared.table(name, _list) for name in ("patterns", "classes")}
    return _file(bare, shared, {**parts, "names": _lines(names)}, rows, _list)


def parse(text: str) -> Results:
    """Return the results in a file of either kind.

    Raises:
        ValueError, KeyError, TypeError, IndexError: if it is none.
    """
    data = json.loads(text)
    if data["schema"] != SCHEMA:
        raise ValueError(f"its schema is {data['schema']}, and this version reads {SCHEMA}")
    runs = {key: Run(**run) for key, run in _by_name(data["runs"]).items()}
    cells_of = _reader(data["columns"], _by_name(data["reasons"]), runs)
    if "names" in data:
        labels = list(_labels(data["names"]))
        rows = [
            row for entry in data["rows"] for row in _group(entry, data, labels, cells_of, runs)
        ]
    else:
        rows = [_row(entry, data, runs, cells_of) for entry in data["rows"]]
    return Results(data["sets"], tuple(rows), data["costs"], data["timed"])


def _by_name(table: Mapping[Any, Any] | Sequence[Any]) -> Mapping[Any, Any]:
    return table if isinstance(table, Mapping) else dict(enumerate(table))


class _Shared:
    """What is written once, in tables by kind, each entry with a name by its text and place."""

    def __init__(self, name: Callable[[str, int], Any]) -> None:
        self._name = name
        self._tables = collections.defaultdict[str, dict[str, tuple[Any, Any]]](dict)

    def name(self, kind: str, entry: Any) -> Any:
        """Return the name of an entry, which is kept."""
        table = self._tables[kind]
        text = entry if isinstance(entry, str) else json.dumps(entry, sort_keys=True)
        return table.setdefault(text, (self._name(text, len(table)), entry))[0]

    def run(self, run: Run) -> Any:
        return self.name("runs", {key: val for key, val in dataclasses.asdict(run).items() if val})

    def table(self, kind: str, written: Callable[[Mapping[Any, Any]], str]) -> str:
        """Return the text of a table."""
        return written(dict(self._tables[kind].values()))


def _file(
    results: Results,
    shared: _Shared,
    parts: Mapping[str, str],
    rows: Sequence[str],
    written: Callable[[Mapping[Any, Any]], str],
) -> str:
    head = {
        "columns": _compact(COLUMNS),
        "reasons": shared.table("reasons", written),
        "runs": shared.table("runs", written),
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
        "facts": row.facts and shared.name("facts", [row.facts.get(each, "") for each in COLUMNS]),
        "why": _why(row, shared),
    }
    return {key: value for key, value in entry.items() if value}


def _letters(row: Row) -> str:
    if not row.cells:
        return ""
    cells = map(row.cell, COLUMNS)
    letters = "".join(
        LETTERS[cell.value].upper() if cell.is_old else LETTERS[cell.value] for cell in cells
    )
    return letters[0] if len({*letters}) == 1 else letters  # one for all


def _why(row: Row, shared: _Shared) -> dict[str, Any]:
    """Return the reasons by column; beside a usual one, `""` marks a column that has none."""
    why = {column: row.cell(column).reason for column in COLUMNS}
    counted = collections.Counter(filter(None, why.values())).most_common(1)
    usual = counted[0][0] if counted and counted[0][1] > len(COLUMNS) / 2 else ""
    rest = {column: reason for column, reason in why.items() if reason != usual}
    keys = {column: reason and shared.name("reasons", reason) for column, reason in rest.items()}
    return {USUAL: shared.name("reasons", usual), **keys} if usual else keys


Cells = Callable[[str, Mapping[str, Any], Mapping[str, str]], dict[str, Cell]]


def _reader(columns: Sequence[str], reasons: Mapping[Any, str], runs: Mapping[Any, Run]) -> Cells:
    values = {letter: value for value, letter in LETTERS.items()}

    def cells(letters: str, why: Mapping[str, Any], later: Mapping[str, str]) -> dict[str, Cell]:
        if len(letters) == 1:
            letters *= len(columns)
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
    entry: Mapping[str, Any], data: Mapping[str, Any], runs: Mapping[Any, Run], cells_of: Cells
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
    runs: Mapping[Any, Run],
) -> list[Row]:
    place, run, pattern, classes, numbers = entry
    letters, why = data["patterns"][pattern]
    cells, set_name = cells_of(letters, why, {}), sorted(data["sets"])[place]
    return [
        Row(label, set_name, runs.get(run), cells, *data["classes"][classes])
        for label in map(labels.__getitem__, _numbers(numbers))
    ]


def _names_by_form(labels: Iterable[str]) -> dict[str, str]:
    """Group labels by suite and options, sorted: `{"ale::*,engine=python": "0pong 0qbert"}`.

    Before each name is a character for how many of its first characters are those of the name
    before it, from 0 on in the order of ASCII: `"0Acrobot-v1 7Swingup-v1"`.
    """
    names: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        suite, _, rest = label.partition("::")
        name, comma, options = rest.partition(",")
        names.setdefault(f"{suite}::{ANY_NAME}{comma}{options}", []).append(name)
    return {form: " ".join(_shortened(names[form])) for form in sorted(names)}


def _shortened(names: Iterable[str]) -> Iterable[str]:
    before = ""
    for name in names:
        shared = sum(itertools.takewhile(bool, map(operator.eq, before, name)))
        yield chr(ord("0") + shared) + name[shared:]
        before = name


def _labels(names: Mapping[str, str]) -> Iterable[str]:
    for form in sorted(names):
        name = ""
        for part in names[form].split(" "):
            name = name[: ord(part[0]) - ord("0")] + part[1:]
            yield form.replace(ANY_NAME, name, 1)


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


def _list(entries: Mapping[int, Any]) -> str:
    return "[\n" + ",\n".join(_compact(entries[key], True) for key in sorted(entries)) + "\n]"


def _compact(value: Any, sort_keys: bool = False) -> str:
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False)


def _key(text: str) -> str:
    """Return a short name for a text, which depends on the text alone."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
