"""Summaries of the matrix: by suite and set, and by suite and flag."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

from envhub import registry
from envhub.errors import EnvHubError
from envhub.flags import FLAGS
from envhub.matrix.merged import DIFFERS, OPTION, Environment, environments, say_sets
from envhub.matrix.results import AS_SAMPLED, GAPS, NOT_RUN, Results, Row

LEFT_OUT = "left out"


def count_states(found: Sequence[Environment]) -> str:
    """Count the environments by state, without zeros, and those of which a cell is out of date."""
    counts = Counter(each.state for each in found)
    if counts[NOT_RUN] == len(found):
        return NOT_RUN
    parts = [f"{counts['pass']} pass"]
    others = ("fail", *GAPS, DIFFERS, AS_SAMPLED, NOT_RUN)
    parts += [f"{counts[state]} {state}" for state in others if counts[state]]
    old = sum(bool(each.old) for each in found)
    parts += [f"{'all' if old == len(found) else old} out of date"] * bool(old)
    return ", ".join(parts)


def version_of(rows: Sequence[Row]) -> str:
    """Return the suite's version in rows of one suite and set."""
    return ", ".join(sorted({row.run.versions[row.run.package] for row in rows if row.run}))


def reference_of(row: Row) -> str:
    """Return a link about the defect behind a gap of a suite; empty if there is none."""
    if row.state != "upstream":
        return ""
    with contextlib.suppress(EnvHubError):  # a suite that is gone
        return registry.get(row.suite).reference(row.name.partition(",")[0])
    return ""


def by_set(results: Results) -> list[list[str]]:
    """Return a row per suite: its name, and for each set its version and its state."""
    return [
        [suite, *(_in_set(results, suite, name) for name in results.sets)]
        for suite in results.suites
    ]


def by_suite(results: Results) -> list[tuple[str, str, str]]:
    """Return narrow rows: a suite, its state, and the sets that agree on it."""
    rows = []
    for suite, *cells in by_set(results):
        sets: dict[str, list[str]] = {}
        for name, cell in zip(results.sets, cells, strict=True):
            sets.setdefault(cell, []).append(name)
        rows += [
            (suite, cell, say_sets(names, list(results.sets)) or "every set")
            for cell, names in sets.items()
        ]
    return rows


def _in_set(results: Results, suite: str, name: str) -> str:
    rows = results.of(suite, name)
    version = version_of(rows)
    if version:
        found = environments(Results(results.sets, tuple(rows)))
        return f"{version}: {count_states(found)}"
    # A set is named after the suite that it leaves out because that holds back the others.
    others = only_suite(results, name) not in ("", suite)
    return LEFT_OUT if others or name.startswith(f"without-{suite}-") else NOT_RUN


def only_suite(results: Results, name: str) -> str:
    """Return the only suite of a set that is named after it; empty of other sets."""
    alone = name.partition("-py")[0]
    return alone if alone in results.suites else ""


def count_flags(results: Results) -> dict[str, tuple[int, list[str]]]:
    """Count, for each suite, the environments that were run and those with each flag on any set.

    `○` follows a number if some of its environments need an option for the flag.
    """
    counted = {}
    for suite in results.suites:
        ran = [each for each in environments(results, suite) if each.is_run]
        cells = []
        for flag in FLAGS:
            found = [each.values[flag] for each in ran if each.has(flag)]
            cells.append(f"{len(found)}{' ○' if OPTION in found else ''}")
        counted[suite] = len(ran), cells
    return counted


def by_flag(results: Results) -> list[list[str]]:
    """Return a row per suite: its name, and how many environments have each flag."""
    return [
        [suite, *(_of(cell, number) if number else NOT_RUN for cell in cells)]
        for suite, (number, cells) in count_flags(results).items()
    ]


def _of(cell: str, number: int) -> str:
    count, _, mark = cell.partition(" ")
    return f"{count} of {number} {mark}".rstrip()


def heads(results: Results) -> list[str]:
    """Return the sets with their versions of jax."""
    return [f"{name} (jax {jax})" for name, jax in results.sets.items()]
