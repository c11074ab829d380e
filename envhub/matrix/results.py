"""The results file: one row per line, sorted, so that a change is one line of a diff."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envhub.errors import EnvHubError
from envhub.flags import FLAGS

SCHEMA = 1
PLACE = Path(__file__).with_name("results.json")

NOT_RUN = "not run"
LETTERS = {
    "pass": "p",
    "fail": "f",
    "yes": "y",
    "no": "n",
    "notimpl": "i",
    "upstream": "u",
    "never": "v",
    NOT_RUN: "-",
}
GAPS = ("notimpl", "upstream", "never")
CLAUSES = {
    "makes": "makes",
    "resets": "resets",
    "steps": "steps",
    "actions": "action space accepted",
    "observations": "observation in space",
    "ends": "reaches the end",
    "truncation": "termination and truncation separate",
    "final_obs": "final observation kept",
    "control_flow": "loops and conditions",
    "own_bits": "same bits as the suite",
}
COLUMNS = (*CLAUSES, *FLAGS)
EVERYWHERE = "*"
COMPILE_CLASSES = ((1, "<1 s"), (10, "<10 s"), (100, "<100 s"), (float("inf"), ">100 s"))
SPEED_CLASSES = ((1e3, "<1k/s"), (1e4, ">1k/s"), (1e5, ">10k/s"), (float("inf"), ">100k/s"))


class UnreadableResultsError(EnvHubError, ValueError):
    """The results file has another schema or is damaged."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One result.

    Attributes:
        value: one of `LETTERS`.
        reason: the reason, unless it is obvious.
    """

    value: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Run:
    """The circumstances of a run.

    Attributes:
        suite: the suite's name.
        package: the distribution that provides it.
        date: the day, such as 2026-01-31.
        versions: the versions of Python, jax, the suite and other relevant packages.
        supported: the versions that the adapter supported.
        adapter: the fingerprint of its source.
        checks: the fingerprint of the checks' source.
        ids: the fingerprint of the suite's list of environments and variants.
    """

    suite: str
    package: str
    date: str
    versions: Mapping[str, str]
    supported: str
    adapter: str
    checks: str
    ids: str


@dataclasses.dataclass(frozen=True)
class Row:
    """One environment on one set.

    Attributes:
        label: its id with the options: `"brax::ant,backend=mjx"`.
        set_name: the name of the set.
        run: the circumstances; `None` if it was not run.
        cells: a cell for each column.
        compile_class: the class of the compile time; empty if not known.
        speed_class: the class of the stepping speed; empty if not known.
    """

    label: str
    set_name: str
    run: Run | None = None
    cells: Mapping[str, Cell] = dataclasses.field(default_factory=dict)
    compile_class: str = ""
    speed_class: str = ""

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.label.partition("::")[0]

    @property
    def name(self) -> str:
        """The label without the suite."""
        return self.label.partition("::")[2]

    def cell(self, column: str) -> Cell:
        """Return the result of a column; `not run` if there is none."""
        return self.cells.get(column, Cell(NOT_RUN))

    @property
    def state(self) -> str:
        """The state of the row: a gap, `fail` if a clause or flag failed, `not run`, or `pass`."""
        values = {self.cell(column).value for column in COLUMNS}
        for value in (*GAPS, "fail"):
            if value in values:
                return value
        return "pass" if self.run else NOT_RUN


@dataclasses.dataclass(frozen=True)
class Results:
    """The content of the results file.

    Attributes:
        sets: the version of jax in each set by name, including sets that were not run.
        rows: one row per environment and set.
    """

    sets: Mapping[str, str]
    rows: tuple[Row, ...]

    def of(self, suite: str | None = None, set_name: str | None = None) -> list[Row]:
        """Return the rows of one suite, of one set, or of both."""
        return [
            row
            for row in self.rows
            if suite in (None, row.suite) and set_name in (None, row.set_name)
        ]

    @property
    def suites(self) -> list[str]:
        """Return the suites that have rows."""
        return sorted({row.suite for row in self.rows})

    def replaced(self, rows: Iterable[Row], sets: Mapping[str, str]) -> Results:
        """Return a copy in which these rows replace those of the same label and set."""
        by_key = {(row.label, row.set_name): row for row in [*self.rows, *rows]}
        return Results(dict(sets), tuple(by_key.values()))


def load(path: Path = PLACE) -> Results:
    """Read a results file.

    Args:
        path: the path; by default that of the results of this version of envhub.

    Raises:
        UnreadableResultsError: if the file has another schema or is damaged.
    """
    if not path.exists():
        return Results({}, ())
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']}, and this version reads {SCHEMA}")
        runs = {key: Run(**run) for key, run in data["runs"].items()}
        rows = [_row(entry, data["columns"], runs, data["reasons"]) for entry in data["rows"]]
        return Results(data["sets"], tuple(rows))
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableResultsError(
            f"{path} cannot be read ({type(error).__name__}: {error}); "
            "python3 tasks.py matrix writes it anew."
        ) from error


def dump(results: Results) -> str:
    """Return the text of a results file."""
    runs: dict[str, dict[str, Any]] = {}
    reasons: dict[str, str] = {}
    lines = []
    for row in sorted(results.rows, key=lambda row: (row.label, row.set_name)):
        entry: dict[str, Any] = {"label": row.label, "set": row.set_name}
        if row.run:
            run = dataclasses.asdict(row.run)
            entry["run"] = _key(json.dumps(run, sort_keys=True))
            runs[entry["run"]] = run
            cells = [row.cell(column) for column in COLUMNS]
            entry["cells"] = "".join(LETTERS[cell.value] for cell in cells)
            entry |= {"compile": row.compile_class, "speed": row.speed_class}
            entry["why"] = {}
            for column, cell in zip(COLUMNS, cells, strict=True):
                if cell.reason:
                    entry["why"][column] = _key(cell.reason)
                    reasons[_key(cell.reason)] = cell.reason
            if len(entry["why"]) == len(COLUMNS) and len(set(cells)) == 1:
                entry["why"] = {EVERYWHERE: _key(cells[0].reason)}
        entry = {key: value for key, value in entry.items() if value}
        lines.append(_compact(entry, sort_keys=False))  # the label first
    parts = {
        "columns": _compact(COLUMNS),
        "reasons": _lines(reasons),
        "runs": _lines(runs),
        "sets": _lines(results.sets),
    }
    head = "".join(f'"{name}": {text},\n' for name, text in parts.items())
    body = ",\n".join(lines)
    return f'{{\n"schema": {SCHEMA},\n{head}"rows": [\n{body}\n]\n}}\n'


def _row(
    entry: Mapping[str, Any],
    columns: Iterable[str],
    runs: Mapping[str, Run],
    reasons: Mapping[str, str],
) -> Row:
    if "run" not in entry:
        return Row(entry["label"], entry["set"])
    values = {letter: value for value, letter in LETTERS.items()}
    why = entry.get("why", {})
    cells = {
        column: Cell(values[letter], reasons.get(why.get(column, why.get(EVERYWHERE)), ""))
        for column, letter in zip(columns, entry["cells"], strict=True)
    }
    classes = entry.get("compile", ""), entry.get("speed", "")
    return Row(entry["label"], entry["set"], runs[entry["run"]], cells, *classes)


def classify(value: float | None, classes: Iterable[tuple[float, str]]) -> str:
    """Return the class of a measured value: the first class whose bound is above it."""
    if value is None:
        return ""
    return next(name for bound, name in classes if value < bound)


def _lines(entries: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(key)}: {_compact(entries[key])}" for key in sorted(entries)]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"


def _compact(value: Any, sort_keys: bool = True) -> str:
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False)


def _key(text: str) -> str:
    """Return a short name for a text, which depends on the text alone."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
