"""Find the cells that are out of date, and say what changed.

A cell is out of date if what decides it has changed since it ran, see `fingerprints`. Claims and
lists of names depend on the installed version of a suite, so they are compared on the set that is
installed here; on the other sets, the tests of that set compare them.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import envhub
from envhub import registry
from envhub.errors import EnvHubError
from envhub.matrix import fingerprints
from envhub.matrix.results import AS_SAMPLED, COLUMNS, GAPS, Results, Row, Run
from envhub.suite import Suite

PACKAGE = Path(envhub.__file__).parent
CONSTRAINTS = PACKAGE.parent / "constraints"


class Stale(NamedTuple):
    """Cells that are out of date.

    Attributes:
        set_name: the name of their set.
        suite: the name of their suite.
        reason: the change.
        cells: how many of each column.
    """

    set_name: str
    suite: str
    reason: str
    cells: Mapping[str, int]

    @property
    def command(self) -> str:
        """The command that runs the cells again."""
        return command_for(self.set_name, self.suite)

    def __str__(self) -> str:
        return (
            f"{self.set_name}, {self.suite}: {say_columns(self.cells)}: {self.reason}. "
            f"Run: {self.command}"
        )


def say_columns(cells: Mapping[str, int]) -> str:
    """Describe numbers of cells by column: `"forkable 27, ends 27"`."""
    if len(cells) == len(COLUMNS) and len(set(cells.values())) == 1:
        return f"all columns {next(iter(cells.values()))}"
    return ", ".join(f"{column} {cells[column]}" for column in COLUMNS if column in cells)


def command_for(set_name: str, suite: str | None = None) -> str:
    """Return the command that runs what is out of date in a set, or in one suite of it."""
    return f"python3 tasks.py matrix --set {set_name}" + (f" --suite {suite}" if suite else "")


def run_today(suite: Suite) -> Run:
    """Return the circumstances of a run here and now."""
    return Run(
        suite.name,
        suite.provider(),
        datetime.date.today().isoformat(),
        fingerprints.versions(suite),
        fingerprints.of_checks_here(),
    )


class Present:
    """What decides cells here and now.

    Args:
        results: all results, which say what environments there are on other sets.
        pins: the versions of each set by name; sets that are not in it are not compared.
    """

    def __init__(self, results: Results, pins: Mapping[str, Mapping[str, str]]) -> None:
        self._pins = pins
        self._names: dict[str, set[str]] = {}
        for row in results.rows:
            self._names.setdefault(row.suite, set()).add(row.env_name)
        self._adapter = functools.cache(self._find_adapter)
        self._of_run = functools.cache(self._find_changes_of_run)
        self._runs: dict[int, Run] = {}

    def adapter(self, suite: str, name: str) -> str:
        """Return the fingerprint of what the adapter makes an environment of."""
        found: str = self._adapter(suite)(name)
        return found

    def _find_adapter(self, name: str) -> Any:
        suite = registry.get(name)
        names = {*suite.known_names(), *self._names.get(name, ())}
        return functools.cache(fingerprints.of_adapter(suite, names))

    def facts(self, row: Row) -> Mapping[str, str]:
        """Return the fingerprints of the claims about a row."""
        return fingerprints.of_facts(registry.get(row.suite), row.env_name, row.options)

    def changes(self, row: Row) -> dict[str, str]:
        """Return what changed since a row ran, by column; empty if it is up to date."""
        if row.run is None:
            return {}
        ran = [column for column in COLUMNS if row.cell(column).value != AS_SAMPLED]
        if _suite(row.suite) is None:
            return dict.fromkeys(ran, "there is no such suite here")
        if not row.adapter:
            return dict.fromkeys(ran, "what decided it is not known")
        makes, draws = self.adapter(row.suite, row.env_name).split(".")
        made, _, drew = row.adapter.partition(".")
        if made != makes:
            return dict.fromkeys(ran, "the adapter changed")
        facts: Mapping[str, str] = {}
        if row.run.versions == _versions_here(row.suite):
            facts = self.facts(row)
        found = {}
        for column in ran:
            # The gap of an environment is one fact, whatever the checks are.
            decisive = "makes" if row.cell(column).value in GAPS else column
            reason = self._why(row, decisive, row.cell(column).run or row.run)
            if not reason and decisive == fingerprints.DRAWN and drew != draws:
                reason = "how the adapter draws changed"
            if not reason and facts.get(decisive) != row.facts.get(decisive) and facts:
                reason = "what the adapter says of it changed"
            if reason:
                found[column] = reason
        return found

    def _why(self, row: Row, column: str, run: Run) -> str:
        self._runs[id(run)] = run
        if reason := self._of_run(row.set_name, id(run)):
            return reason
        is_same = run.checks.get(column) == fingerprints.of_checks_here()[column]
        return "" if is_same else "the check changed"

    def _find_changes_of_run(self, set_name: str, run_id: int) -> str:
        pins = self._pins.get(set_name, {})
        changed = [
            f"{name} {pins[name]} now, not {version}"
            for name, version in self._runs[run_id].versions.items()
            if pins.get(name, version) != version
        ]
        return f"the set has {', '.join(changed)}" if changed else ""


def stale(results: Results, constraints: Path = CONSTRAINTS) -> list[Stale]:
    """Return the cells that are out of date.

    Args:
        results: the results to check, with fingerprints.
        constraints: the folder of the sets, whose present content is compared.
    """
    present = Present(results, pins_of(constraints))
    found: dict[tuple[str, str, str], Counter[str]] = {}
    for row in results.rows:
        for column, reason in present.changes(row).items():
            found.setdefault((row.set_name, row.suite, reason), Counter())[column] += 1
    return [Stale(*key, dict(cells)) for key, cells in sorted(found.items())]


def unlisted(results: Results) -> Iterator[tuple[str, str, list[str]]]:
    """Yield set, suite and names that the installed version of a suite has and the results lack."""
    known: dict[tuple[str, str], set[str]] = {}
    here: dict[str, set[str]] = {}
    for row in results.rows:
        known.setdefault((row.set_name, row.suite), set()).add(row.env_name)
        if row.run and row.run.versions == _versions_here(row.suite):
            here.setdefault(row.suite, set()).add(row.set_name)
    for suite, sets in sorted(here.items()):
        every = set(registry.get(suite).known_names())
        for set_name in sorted(sets):
            if missing := sorted(every - known[set_name, suite]):
                yield set_name, suite, missing


def pins_of(constraints: Path) -> dict[str, dict[str, str]]:
    """Return the versions of each set in a folder."""
    return {path.stem: read_pins(path) for path in sorted(constraints.glob("*.txt"))}


def read_pins(path: Path) -> dict[str, str]:
    """Read the version of each package from a constraints file."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))


@functools.cache
def _suite(name: str) -> Suite | None:
    try:
        return registry.get(name)
    except EnvHubError:
        return None


@functools.cache
def _versions_here(name: str) -> Mapping[str, str] | None:
    suite = _suite(name)
    return fingerprints.versions(suite) if suite else None


def count(found: Iterable[Stale]) -> int:
    """Return the number of cells."""
    return sum(sum(each.cells.values()) for each in found)
