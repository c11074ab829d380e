"""The environments under examination: a sample by default, with `--full` more."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import pytest

from envhub import registry
from envhub.testing import Trial, Verdict
from envhub.testing.reports import judge
from envhub.testing.second_process import SecondProcess

from . import budget, cases


@functools.cache
def chosen(config: pytest.Config) -> list[cases.Case]:
    """The cases that are examined: the sample, and in the full run what the budget allows."""
    examined = list(cases.sample_cases())
    for suite in cases.BINDINGS if config.getoption("full") else ():
        more = [case for case in cases.candidates(suite) if not cases.gap_of(case)]
        examined += budget.examined(suite, more)
    without = config.getoption("without")
    return [case for case in examined if case.suite not in without and not cases.gap_of(case)]


@functools.cache
def other_variants(config: pytest.Config) -> tuple[list[cases.Case], list[cases.Case]]:
    """The variants that are made and stepped, and those that are left out.

    They are those of the sample's names, and in the full run those of all names, which the budget
    cuts.
    """
    full, running = config.getoption("full"), set(chosen(config))
    names = {case.id for case in running}
    stepped, left_out = [], []
    for suite in {case.suite: None for case in chosen(config)}:
        others = [
            case
            for name in sorted(registry.get(suite).known_names())
            for case in cases.variants(suite, name)
            if (full or case.id in names) and case not in running and not cases.gap_of(case)
        ]
        taken = budget.stepped(suite, others) if full else others
        stepped += taken
        left_out += [case for case in others if case not in taken]
    return stepped, left_out


def summary(config: pytest.Config) -> Iterator[str]:
    """What ran of each suite, and which variants did not, which the matrix examines."""
    stepped, left_out = other_variants(config)
    for suite in {case.suite: None for case in chosen(config)}:
        examined, only_stepped, rest = (
            [str(case).removeprefix(f"{suite}::") for case in group if case.suite == suite]
            for group in (chosen(config), stepped, left_out)
        )
        counts = f"{len(examined)} examined, {len(only_stepped)} stepped, {len(rest)} left out"
        yield f"{suite}: {counts}: {', '.join(rest) or 'nothing'}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    examined = getattr(metafunc.module, "examined", chosen)
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", other_variants(metafunc.config)[0], ids=str)
    if "case" in metafunc.fixturenames:
        slow = cases.SLOW if "found" in metafunc.fixturenames else ()
        metafunc.parametrize(
            "case",
            [marked(case, slow) for case in examined(metafunc.config)],
            scope="module",
        )


def marked(case: cases.Case, slow: Sequence[str]) -> Any:
    """All tests of a case share its runs, so they belong into one process."""
    marks = [pytest.mark.xdist_group(str(case))] + [pytest.mark.slow] * (str(case) in slow)
    return pytest.param(case, id=str(case), marks=marks)


@pytest.fixture(scope="session")
def other_process() -> Iterator[SecondProcess]:
    process = SecondProcess()
    yield process
    process.close()


@pytest.fixture(scope="session")
def x64_process() -> Iterator[SecondProcess]:
    process = SecondProcess({**os.environ, "JAX_ENABLE_X64": "1"})
    yield process
    process.close()


@pytest.fixture(scope="module")
def trial(case: cases.Case, other_process: SecondProcess) -> Iterator[Trial]:
    yield case.trial(other_process)
    jax.clear_caches()  # hundreds of compiled programs do not fit into memory


@pytest.fixture(scope="module")
def found(trial: Trial) -> Callable[[str], Verdict]:
    """From a check to its verdict, which the tests of a case share."""
    return functools.cache(functools.partial(judge, trial=trial))
