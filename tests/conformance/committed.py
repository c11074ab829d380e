"""The rows of the matrix that are committed, and what they say must be examined here."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax

from envhub import registry
from envhub.flags import FLAGS
from envhub.matrix import fingerprints, results
from envhub.matrix.results import NOT_RUN, Row
from envhub.testing import CHECKS_BY_COLUMN
from tests.devices import NUM_DEVICES

from .cases import Case

ENDS, DEVICES = "random_actions_reach_the_end", "multi_device"
COLUMN_OF = {
    check.__name__: column for column, checks in CHECKS_BY_COLUMN.items() for check in checks
}


def must_run(case: Case, check: str) -> bool:
    """Whether a check of a case that is not run is a failure.

    It is where the committed matrix has a verdict: in the versions that are here, or, if it has no
    row of those, in all that it knows. Of what it does not know, every flag must be examined. That
    the end is reached must always be seen: episodes here are longer than those of the matrix.
    """
    if check == ENDS:
        return True
    if check == DEVICES and NUM_DEVICES == 1:
        return False
    row = here(case)
    rows = [row] if row else [row for row in by_label().get(str(case), []) if row.run]
    if rows:
        return all(row.cell(COLUMN_OF[check]).value != NOT_RUN for row in rows)
    return check in FLAGS and not (check == DEVICES and jax.__version_info__ < (0, 5))


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
    return fingerprints.versions(registry.get(suite))
