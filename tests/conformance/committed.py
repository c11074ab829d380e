"""The rows of the matrix that are committed, for what is installed here."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from envhub import registry
from envhub.matrix import results, staleness
from envhub.matrix.results import Row

from .cases import Case


def here(case: Case) -> Row | None:
    """The row that was found on these very versions, if there is one."""
    versions = current_versions(case.suite)
    rows = by_label().get(str(case), [])
    return next((row for row in rows if row.run and row.run.versions == versions), None)


@functools.cache
def by_label() -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in results.load().rows:
        found.setdefault(row.label, []).append(row)
    return found


@functools.cache
def current_versions(suite: str) -> Mapping[str, str]:
    return staleness.current_versions(registry.get(suite))
