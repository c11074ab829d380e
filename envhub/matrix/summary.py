"""The matrix in few words: by suite and set, and by suite and flag."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

from envhub import registry
from envhub.errors import EnvHubError
from envhub.flags import FLAGS
from envhub.matrix.merged import OPTION, Environment, environments
from envhub.matrix.results import GAPS, NOT_RUN, Results, Row

LEFT_OUT = "left out"


def count_states(found: Sequence[Environment]) -> str:
    """How many environments passed, failed, are gaps, and were not run, if there are any."""
    counts = Counter(each.state for each in found)
    if counts[NOT_RUN] == len(found):
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
    """A row for each suite: its name, and for each set its version and how many passed."""
    table = []
    for suite in results.suites:
        cells = [suite]
        for name in results.sets:
            rows = results.of(suite, name)
            version = version_of(rows)
            # A set is named after the suite that it leaves out because that holds back the others.
            otherwise = LEFT_OUT if name.startswith(f"without-{suite}-") else NOT_RUN
            found = environments(Results(results.sets, tuple(rows)))
            cells.append(f"{version}: {count_states(found)}" if version else otherwise)
        table.append(cells)
    return table


def by_flag(results: Results) -> list[list[str]]:
    """A row for each suite: its name, and how many environments have each flag, on any set.

    `○` stands behind the numbers that count environments which need an option for it.
    """
    table = []
    for suite in results.suites:
        ran = [each for each in environments(results, suite) if each.is_run]
        cells = [suite]
        for flag in FLAGS:
            found = [each.values[flag] for each in ran if each.has(flag)]
            mark = " ○" if OPTION in found else ""
            cells.append(f"{len(found)} of {len(ran)}{mark}" if ran else NOT_RUN)
        table.append(cells)
    return table


def heads(results: Results) -> list[str]:
    """The sets with their versions of jax."""
    return [f"{name} (jax {jax})" for name, jax in results.sets.items()]
