"""The environments under examination: a sample by default, with `--full` more."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator

import jax
import pytest

from envhub.testing import Trial, Verdict
from envhub.testing.reports import judge
from envhub.testing.second_process import SecondProcess

from . import cases


@functools.cache
def chosen(config: pytest.Config) -> tuple[list[cases.Case], list[cases.Case]]:
    """The cases that run, and those that a gap keeps from running."""
    full = config.getoption("full")
    every = list(cases.every_case(all_variants=False) if full else cases.sample_cases())
    every = [case for case in every if case.suite != config.getoption("without")]
    gaps = [case for case in every if cases.gap_of(case)]
    return [case for case in every if case not in gaps], gaps


@functools.cache
def other_variants(config: pytest.Config) -> list[cases.Case]:
    """The variants that are not chosen: of the sample's names, or with `--full` of all."""
    running, gaps = chosen(config)
    names = {case.id for case in running}
    full = config.getoption("full")
    every = [case for case in cases.every_case(all_variants=True) if full or case.id in names]
    return [case for case in every if case not in running + gaps and not cases.gap_of(case)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    examined = getattr(metafunc.module, "examined", lambda config: chosen(config)[0])
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", other_variants(metafunc.config), ids=str)
    if "case" in metafunc.fixturenames:
        metafunc.parametrize(
            "case",
            # All tests of a case share its runs, so they belong into one process.
            [
                pytest.param(case, id=str(case), marks=pytest.mark.xdist_group(str(case)))
                for case in examined(metafunc.config)
            ],
            scope="module",
        )


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
