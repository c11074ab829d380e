"""The contract as checks that run on any environment: `check_env` and `check_suite`.

Each check in `CHECKS` is one clause of `docs/contract.md`, or the probe of one capability flag. The
tests of this repository, its compatibility matrix and third parties run the same checks.
`SuiteTests` turns them into pytest tests.
"""

import warnings
from typing import Any

from envhub.testing.checks import CHECKS, CHECKS_BY_COLUMN
from envhub.testing.reports import (
    FAIL,
    NO,
    NOT_RUN,
    PASS,
    VALUES,
    YES,
    Report,
    SuiteReport,
    Verdict,
    check_env,
    check_id,
    check_suite,
    label,
)
from envhub.testing.suite_tests import SuiteTests
from envhub.testing.trial import LimitMaker, Own, Trial

__all__ = [
    "CHECKS",
    "CHECKS_BY_COLUMN",
    "FAIL",
    "NO",
    "NOT_RUN",
    "PASS",
    "VALUES",
    "YES",
    "LimitMaker",
    "Own",
    "Report",
    "SuiteReport",
    "SuiteTests",
    "Trial",
    "Verdict",
    "check_env",
    "check_id",
    "check_suite",
    "label",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name == "COLUMNS":  # its name until 0.1
        warnings.warn(
            "envhub.testing.COLUMNS is called CHECKS_BY_COLUMN.", DeprecationWarning, stacklevel=2
        )
        return CHECKS_BY_COLUMN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
