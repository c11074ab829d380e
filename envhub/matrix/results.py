"""What was found: the results, a row for each environment and set of versions, with its cells.

The whole of it is `matrix/results.json` in the repository. The package has what its commands show.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from envhub.errors import EnvHubError
from envhub.flags import FLAGS

PLACE = Path(__file__).with_name("results.json")
WHOLE = Path(__file__).parents[2] / "matrix" / "results.json"

NOT_RUN, AS_SAMPLED = "not run", "as sampled"
LETTERS = {
    "pass": "p",
    "fail": "f",
    "yes": "y",
    "no": "n",
    "notimpl": "i",
    "upstream": "u",
    "needs_network": "w",
    "never": "v",
    NOT_RUN: "-",
    AS_SAMPLED: "s",
}
"""The letters of values in a file; a capital letter is of a cell that is out of date."""
GAPS = ("notimpl", "upstream", "needs_network", "never")
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
START = "start"
COMPILE_CLASSES = ((1, "<1 s"), (10, "<10 s"), (100, "<100 s"), (float("inf"), ">100 s"))
SPEED_CLASSES = ((1e3, "<1k/s"), (1e4, ">1k/s"), (1e5, ">10k/s"), (float("inf"), ">100k/s"))


class UnreadableResultsError(EnvHubError, ValueError):
    """The results file has another schema or is damaged."""


@dataclasses.dataclass(frozen=True)
class Run:
    """The circumstances of a run.

    Attributes:
        suite: the suite's name.
        package: the distribution that provides it.
        date: the day, such as 2026-01-31.
        versions: the versions that decide how the suite behaves, see `fingerprints.versions`.
        checks: the fingerprint of the checks of each column; empty if it is not known.
    """

    suite: str
    package: str
    date: str
    versions: Mapping[str, str]
    checks: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One result.

    Attributes:
        value: one of `LETTERS`. `as sampled` is no result: other environments stand for this one.
        reason: the reason, unless it is obvious; for `as sampled`, the sample.
        is_old: whether it was out of date when the results were written.
        run: its circumstances, if they are not those of the row.
    """

    value: str
    reason: str = ""
    is_old: bool = dataclasses.field(default=False, compare=False)
    run: Run | None = dataclasses.field(default=None, compare=False)


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
        adapter: the fingerprint of what the adapter makes it of.
        facts: the fingerprint of the claims behind each column.
    """

    label: str
    set_name: str
    run: Run | None = None
    cells: Mapping[str, Cell] = dataclasses.field(default_factory=dict)
    compile_class: str = ""
    speed_class: str = ""
    adapter: str = ""
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.label.partition("::")[0]

    @property
    def name(self) -> str:
        """The label without the suite."""
        return self.label.partition("::")[2]

    @property
    def env_name(self) -> str:
        """The name without the options."""
        return self.name.partition(",")[0]

    @property
    def options(self) -> dict[str, Any]:
        """The options, of which a label has the text."""
        found = dict(each.split("=", 1) for each in self.name.split(",")[1:])
        return {key: _value(text) for key, text in found.items()}

    def cell(self, column: str) -> Cell:
        """Return the result of a column; `not run` if there is none."""
        return self.cells.get(column, Cell(NOT_RUN))

    @property
    def old(self) -> list[str]:
        """The columns that were out of date when the results were written."""
        return [column for column in COLUMNS if self.cell(column).is_old]

    @property
    def state(self) -> str:
        """The state of the row: a gap, `fail`, `as sampled` if a cell is, `not run`, or `pass`."""
        values = {self.cell(column).value for column in COLUMNS}
        for value in (*GAPS, "fail", AS_SAMPLED):
            if value in values:
                return value
        return "pass" if self.run else NOT_RUN


@dataclasses.dataclass(frozen=True)
class Results:
    """All results.

    Attributes:
        sets: the version of jax in each set by name, including sets that were not run.
        rows: one row per environment and set.
        costs: the mean CPU seconds of a row, by set, suite and column; `START` is what a process
            needs before its first row.
        timed: the largest run of each set: date, rows, cells, runs (more than one if it was
            interrupted), seconds, and CPU seconds by suite; `alone` has the same of each suite that
            was run by itself.
    """

    sets: Mapping[str, str]
    rows: tuple[Row, ...]
    costs: Mapping[str, Mapping[str, Mapping[str, float]]] = dataclasses.field(default_factory=dict)
    timed: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

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
        return dataclasses.replace(self, sets=dict(sets), rows=tuple(by_key.values()))


def load(path: Path = PLACE) -> Results:
    """Read a results file.

    Args:
        path: the path; by default that of the results of this version of envhub, without what only
            their renewal needs.

    Raises:
        UnreadableResultsError: if the file has another schema or is damaged.
    """
    from envhub.matrix import files

    if not path.exists():
        return Results({}, ())
    try:
        return files.parse(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UnreadableResultsError(
            f"{path} cannot be read ({type(error).__name__}: {error}); "
            "python3 tasks.py matrix writes it anew."
        ) from error


def load_whole(path: Path = WHOLE) -> Results:
    """Read the results of a checkout, with the fingerprints.

    Raises:
        UnreadableResultsError: if this is no checkout, or the file cannot be read.
    """
    if not path.parent.exists():
        raise UnreadableResultsError(
            f"there is no {path}. Only a checkout of envhub's repository can tell what is out of "
            "date, because a package has no fingerprints. Run this in a checkout."
        )
    return load(path)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def classify(value: float | None, classes: Iterable[tuple[float, str]]) -> str:
    """Return the class of a measured value: the first class whose bound is above it."""
    if value is None:
        return ""
    return next(name for bound, name in classes if value < bound)
