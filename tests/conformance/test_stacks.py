"""Wrappers keep the contract: random stacks of three, over one environment of each suite.

`--stacks 20` draws as many over each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import pytest

from envhub import registry, wrappers
from envhub.testing import CHECKS_BY_COLUMN, Trial, Verdict
from envhub.testing.second_process import SecondProcess

from . import stacks
from .test_contract import test_check as examine

# A stack has a limit or none, and nothing of the suite's is like it.
LEFT_OUT = {"truncation", "final_obs", "own_bits"}
CHECKS = [
    check.__name__
    for column, checks in CHECKS_BY_COLUMN.items()
    if column not in LEFT_OUT
    for check in checks
]


def examined(config: pytest.Config) -> list[stacks.Stack]:
    """The cases of this module: over every suite in the full run, else over two."""
    suites = registry.BUILTIN if config.getoption("full") else ("gymnax", "gymnasium")
    held = [name for name in suites if name not in config.getoption("without")]
    return [stacks.stack(name, n) for name in held for n in range(config.getoption("stacks"))]


@pytest.fixture(scope="module")
def trial(case: stacks.Stack, other_process: SecondProcess) -> Iterator[Trial]:
    env, params = case.make()
    print(env)  # shown where a test fails
    yield Trial(env, params, case.recipe, other_process)
    jax.clear_caches()


@pytest.mark.parametrize("check", CHECKS)
def test_check(check: str, case: stacks.Stack, found: Callable[[str], Verdict]) -> None:
    examine(check, case, found)


def test_every_wrapper_is_in_the_catalog() -> None:
    drawn = {name.partition(" ")[0] for name in stacks.CATALOG}
    assert drawn == set(wrappers.__all__) - {"RecordVideo"}  # which cannot be traced
