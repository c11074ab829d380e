"""Merge the rows of one environment over its variants and the sets of versions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

from envhub.matrix.results import AS_SAMPLED, COLUMNS, NOT_RUN, Cell, Results, Row

OPTION, DIFFERS = "option", "differs"
"""The default lacks a capability, and an examined variant has it; the sets of versions disagree."""


@dataclasses.dataclass(frozen=True)
class Note:
    """A result of some rows, and its reason.

    Attributes:
        value: the value of a cell.
        reason: its reason; empty if there is none.
        options: the options of the variant, empty for the default.
        sets: the sets with this result; empty if all sets on which the variant was run have it.
    """

    value: str
    reason: str
    options: str
    sets: str

    def __str__(self) -> str:
        options = f" with {self.options}" if self.options else ""
        sets = f" on {self.sets}" if self.sets else ""
        return f"{self.value}{options}{sets}{f': {self.reason}' if self.reason else ''}"


@dataclasses.dataclass(frozen=True)
class Environment:
    """All rows of one environment.

    Attributes:
        id: its id, without options.
        common: the options under which all rows were examined.
        variants: the rows by their other options, the default first.
    """

    id: str
    common: str
    variants: dict[str, list[Row]]

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.id.partition("::")[0]

    @property
    def name(self) -> str:
        """The id without the suite."""
        return self.id.partition("::")[2]

    @property
    def rows(self) -> list[Row]:
        """The rows that were run."""
        return [row for rows in self.variants.values() for row in rows if row.run]

    @property
    def is_known(self) -> bool:
        """Whether it was examined, or others were that stand for it."""
        return any(row.cells for rows in self.variants.values() for row in rows)

    @functools.cached_property
    def old(self) -> frozenset[str]:
        """The columns of which a result is out of date."""
        return frozenset(column for row in self.rows for column in row.old)

    @property
    def is_run(self) -> bool:
        """Whether it was examined on any set."""
        return bool(self.rows)

    @functools.cached_property
    def values(self) -> dict[str, str]:
        """The merged values, by column."""
        return {column: self._value(column) for column in COLUMNS}

    @property
    def state(self) -> str:
        """`fail` if a clause or a claim failed anywhere; otherwise a gap, `differs`, or `pass`."""
        if any(row.state == "fail" for row in self.rows):
            return "fail"
        default = next(iter(self.variants.values()))
        return _settled(row.state for row in default)

    def has(self, flag: str) -> bool:
        """Tell whether it has a capability on any set, with or without an option."""
        return any(row.cell(flag).value == "yes" for row in self.rows)

    def _value(self, column: str) -> str:
        default, *others = [
            _settled(row.cell(column).value for row in rows) for rows in self.variants.values()
        ]
        if "fail" in (default, *others):
            return "fail"
        return OPTION if default == "no" and "yes" in others else default

    def notes(self, column: str) -> list[Note]:
        """Return the notes of a column: each reason, and disagreements of variants or sets."""
        ran = [row.set_name for row in self.rows]
        by_set: dict[str, set[Cell]] = {}
        for row in self.rows:
            by_set.setdefault(row.set_name, set()).add(row.cell(column))
        agree = all(len(cells) == 1 for cells in by_set.values())
        found: dict[tuple[str, Cell], list[str]] = {}
        for options, rows in self.variants.items():
            for row in rows:
                if row.run:
                    key = "" if agree else options, row.cell(column)
                    found.setdefault(key, []).append(row.set_name)
        differ = len({cell for _, cell in found}) > 1
        return [
            Note(cell.value, cell.reason, options, say_sets(sets, ran))
            for (options, cell), sets in found.items()
            if cell.reason or differ
        ]

    def classes(self, name: str) -> list[str]:
        """Return the distinct classes of time or speed, such as `compile_class`."""
        return sorted({getattr(row, name) for row in self.rows} - {""})


def environments(results: Results, suite: str | None = None) -> list[Environment]:
    """Return all environments, sorted by id."""
    found: dict[str, dict[tuple[str, ...], list[Row]]] = {}
    for row in results.of(suite):
        env_id, *options = row.label.split(",")
        found.setdefault(env_id, {}).setdefault(tuple(options), []).append(row)
    return [_of(env_id, found[env_id]) for env_id in sorted(found)]


def _of(env_id: str, by_options: dict[tuple[str, ...], list[Row]]) -> Environment:
    common = set.intersection(*map(set, by_options))
    variants = sorted(by_options, key=lambda options: (len(options), options))
    # A variant is called by what it has of its own; if all are alike, as one with options alone.
    named = {
        ",".join(option for option in options if option not in common): by_options[options]
        for options in variants
    }
    return Environment(
        env_id, ",".join(option for option in variants[0] if option in common), named
    )


def _settled(values: Iterable[str]) -> str:
    """Return the value on which all known values agree; `differs` if they disagree."""
    given = set(values)
    said = given - {NOT_RUN, AS_SAMPLED}
    if "fail" in said:
        return "fail"
    if len(said) > 1:
        return DIFFERS
    if said:
        return said.pop()
    return AS_SAMPLED if AS_SAMPLED in given else NOT_RUN


def say_sets(names: Sequence[str], ran: Sequence[str]) -> str:
    """Describe sets briefly: `oldest` stands for all sets whose names begin with it.

    Returns:
        The words; none for all sets that were run.
    """
    return "" if set(names) == set(ran) else ", ".join(_said(names, ran))


def _said(names: Sequence[str], ran: Sequence[str]) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for name in sorted(set(ran)):
        kinds.setdefault(name.partition("-py")[0], []).append(name)
    for kind, all_of_it in kinds.items():
        chosen = [name for name in all_of_it if name in names]
        if chosen and len(chosen) == len(all_of_it):
            yield kind
        else:
            yield from chosen
