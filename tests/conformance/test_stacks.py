"""Wrappers keep the contract: random stacks of three, over one environment of each suite.

`--stacks 20` draws as many over each.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest

from envhub import registry, wrappers
from envhub.probes import Subject
from envhub.second_process import SecondProcess

from . import stacks
from .episodes import LANES, Episodes, follow
from .test_contract import (  # noqa: F401 (collected here, for the cases of this module)
    test_flag_is_what_its_probe_finds,
    test_no_array_of_a_state_is_empty,
    test_no_second_compilation_after_the_first_step,
    test_nothing_is_64_bit_or_weakly_typed,
    test_observations_lie_in_the_space_until_the_end,
    test_random_actions_reach_the_end,
    test_step_returns_the_documented_types,
    test_structure_shapes_and_dtypes_never_change,
    test_typed_and_legacy_keys_give_the_same_episode,
    test_while_loops_and_conditions_under_vmap,
)


def examined(config: pytest.Config) -> list[stacks.Stack]:
    """The cases of this module: over every suite in the full run, else over two."""
    suites = registry.BUILTIN if config.getoption("full") else ("gymnax", "gymnasium")
    return [stacks.stack(name, n) for name in suites for n in range(config.getoption("stacks"))]


@pytest.fixture(scope="module")
def subject(case: stacks.Stack, other_process: SecondProcess) -> Iterator[Subject]:
    env, params = case.make()
    print(env)  # shown where a test fails
    yield Subject(env, params, case.recipe, other_process)
    jax.clear_caches()


@pytest.fixture(scope="module")
def episodes(subject: Subject) -> Episodes:
    keys = [*jax.random.split(jax.random.key(3), LANES)]
    return follow(subject, [subject.params] * LANES, keys)


def test_every_wrapper_is_in_the_catalog() -> None:
    drawn = {name.partition(" ")[0] for name in stacks.CATALOG}
    assert drawn == set(wrappers.__all__) - {"RecordVideo"}  # which cannot be traced
