"""The matrix in few words: by suite and set, and by suite and flag."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence

from envhub import registry
from envhub.errors import EnvHubError
from envhub.flags import FLAGS
from envhub.matrix.results import GAPS, NOT_RUN, Results, Row

LEFT_OUT = "left out"


def count_states(rows: Iterable[Row]) -> str:
    """How many rows passed, failed, are gaps, and were not run, as far as there are any."""
    rows = list(rows)
    counts = Counter(row.state for row in rows)
    if counts[NOT_RUN] == len(rows):
        return NOT_RUN
    parts = [f"{counts['pass']} pass"]
    parts += [f"{counts[state]} {state}" for state in ("fail", *GAPS, NOT_RUN) if counts[state]]
    return ", ".join(parts)


def version_of(rows: Sequence[Row]) -> str:
    """The suite's version in rows of one suite and set."""
    return ", ".join(sorted({row.run.versions[row.run.package] for row in rows if row.run}))


def reference_of(row: Row) -> str:
    """Where to read about the defect behind a gap of the suite's; empty if nobody knows."""
    if row.state != "upstream":
        return ""
    with contextlib.suppress(EnvHubError):  # a suite that is gone
        return registry.get(row.suite).reference(row.name.partition(",")[0])
    return ""


def by_set(results: Results) -> list[list[str]]:
    """A row for each suite: its name, and for each set its version and how many rows passed."""
    table = []
    for suite in results.suites:
        cells = [suite]
        for name in results.sets:
            rows = results.of(suite, name)
            version = version_of(rows)
            # A set is named after the suite that it leaves out because that holds back the others.
            otherwise = LEFT_OUT if name.startswith(f"without-{suite}-") else NOT_RUN
            cells.append(f"{version}: {count_states(rows)}" if version else otherwise)
        table.append(cells)
    return table


def by_flag(results: Results) -> list[list[str]]:
    """A row for each suite: its name, and how many environments have each flag, on any set."""
    table = []
    for suite in results.suites:
        rows = [row for row in results.of(suite) if row.run]
        labels = {row.label for row in rows}
        cells = [suite]
        for flag in FLAGS:
            have = {row.label for row in rows if row.cell(flag).value == "yes"}
            cells.append(f"{len(have)} of {len(labels)}" if labels else NOT_RUN)
        table.append(cells)
    return table


def heads(results: Results) -> list[str]:
    """The sets with their versions of jax."""
    return [f"{name} (jax {jax})" for name, jax in results.sets.items()]
