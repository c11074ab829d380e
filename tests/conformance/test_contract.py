"""The contract, clause by clause, over every suite: see `docs/contract.md`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import jax
import numpy as np
import pytest
from envhub.adapters.gymnasium.facts import MUJOCO, MUJOCO_V3

import envhub
from envhub import _catalogue, errors, registry
from envhub.flags import FLAGS
from envhub.matrix.results import AS_SAMPLED
from envhub.testing import CHECKS, FAIL, NOT_RUN, Report, Trial, Verdict, second_process

from .cases import SLOW, Case, candidates, gap_of, sample_cases
from .committed import here, must_run
from .conftest import chosen

WITHOUT_PICTURES = (
    "DungeonMazeScaled MazeSimple ObstaclesAngular ObstaclesBlackdots ObstaclesHogs3 RoomsFabric"
)


def test_nothing_but_declared_gaps_is_left_out(pytestconfig: pytest.Config) -> None:
    """Each of them is shown to be one in `tests/quirks`."""
    running, without = chosen(pytestconfig), pytestconfig.getoption("without")
    assert {case.suite for case in running} == set(registry.BUILTIN) - set(without)
    assert {*SLOW} <= set(map(str, sample_cases()))
    assert not [
        case for case in sample_cases() if case.suite not in without and case not in running
    ]
    expected = {"gymnax::MNISTBandit-bsuite", "gymnasium::Pusher-v4", "jumanji::Sokoban-v0"}
    expected |= {f"minigrid::MiniGrid-WFC-{name}-v0" for name in WITHOUT_PICTURES.split()}
    if not registry.get("gymnax").at_least("1.0"):
        expected.add("gymnax::SimpleBandit-bsuite")
    if not registry.get("gymnasium").at_least("1.2"):
        expected |= {f"gymnasium::{name}-v2" for name in MUJOCO.split()}
        expected |= {f"gymnasium::{name}-v3" for name in MUJOCO_V3.split()}
    suites = {"gymnasium", "gymnax", "jumanji", "minigrid"} - set(without)  # whose need no build
    found = {case.id for suite in suites for case in candidates(suite) if gap_of(case)}
    assert found == {each for each in expected if each.partition("::")[0] not in without}


def test_every_other_variant_resets_and_steps(variant: Case) -> None:
    """`tasks.py matrix` examines them as thoroughly as the others, which takes an hour."""
    env, params = variant.make()
    obs, state = env.reset(jax.random.key(0), params)
    action = env.action_space(params).sample(jax.random.key(1))
    result = env.step(jax.random.key(2), state, action, params)
    for seen in (obs, result.obs):
        assert env.observation_space(params).contains(seen)
    assert jax.tree.structure(result.state) == jax.tree.structure(state)
    assert np.isfinite(result.reward).all()
    jax.clear_caches()


def test_the_catalogue_has_what_is_seen_and_done(case: Case, trial: Trial) -> None:
    """`envhub list` and `envhub info` answer from it, without the suite."""
    entry = _catalogue.entry(case.suite, case.name)
    if entry is None:
        return  # and they say that it is not known
    found = _catalogue.describe(trial.env, trial.params)
    of_any_version = ("control", "image", "agents")
    is_this = entry["version"] == registry.get(case.suite).installed()
    keys = found if is_this and not case.options else of_any_version  # and of any options
    assert {key: entry[key] for key in keys} == {key: found[key] for key in keys}


# Section 1: one line


def test_params_are_the_default_params_and_make_shares_nothing(case: Case, trial: Trial) -> None:
    assert trial.params is trial.env.default_params
    another, _ = case.make()
    assert another is not trial.env
    assert another.unwrapped is not trial.env.unwrapped


def test_keyword_of_a_param_overrides_its_field(case: Case, trial: Trial) -> None:
    if trial.params is None:
        assert not trial.env.capabilities.has_env_params
        return
    fields = [field.name for field in dataclasses.fields(trial.params)]
    limit = registry.get(case.suite).limit(case.name, dict(case.options))
    field = limit if limit in fields else fields[-1]
    default = np.asarray(getattr(trial.params, field))
    changed = (default != 1).astype(default.dtype)
    value = changed if changed.ndim else changed.item()
    env, params = envhub.make(case.id, **{**dict(case.options), field: value})
    assert np.all(getattr(params, field) == value)
    assert np.all(getattr(env.default_params, field) == value)
    assert not np.all(getattr(trial.env.default_params, field) == value)


def test_a_param_of_another_shape_is_refused_by_its_name(trial: Trial) -> None:
    leaves, structure = jax.tree_util.tree_flatten_with_path(trial.params)
    for place, (path, leaf) in enumerate(leaves):
        changed = [leaf for _, leaf in leaves]
        changed[place] = np.stack([np.asarray(leaf)] * 2)
        field = re.escape(jax.tree_util.keystr(path))
        with pytest.raises(errors.InvalidParamsError, match=f"{field} is .*batched_params"):
            trial.env.reset(trial.keys[0], jax.tree.unflatten(structure, changed))


def test_spec_says_where_it_comes_from(case: Case, trial: Trial) -> None:
    spec = trial.env.spec
    assert spec is not None
    assert (spec.id, spec.suite, spec.name) == (case.id, case.suite, case.name)
    assert dict(spec.kwargs) == dict(case.options)
    assert spec.version == registry.get(case.suite).installed()
    assert spec.num_agents == trial.env.num_agents


# Sections 2 and 3: reset and step, and capabilities


@pytest.mark.parametrize("check", CHECKS)
def test_check(check: str, case: Case, found: Callable[[str], Verdict]) -> None:
    verdict = found(check)
    if verdict.value == NOT_RUN:
        assert not must_run(case, check), f"not run: {verdict.reason}"
        pytest.skip(reason=verdict.reason)
    assert verdict.value != FAIL, verdict.reason


def test_x64_mode_keeps_the_dtypes_or_is_a_declared_gap(
    case: Case, trial: Trial, x64_process: second_process.SecondProcess
) -> None:
    place = "tests.conformance.x64:examine"
    seen = x64_process.call(place, recipe=case.recipe)
    if seen["gap"]:
        assert "x64" in seen["gap"]
        assert seen["error"] == "UnavailableEnvError", "the gap is closed: remove it"
    else:
        expected = [str(leaf.dtype) for leaf in jax.tree.leaves(trial.start[0])]
        assert seen["obs"] == seen["obs_after"] == expected
        assert seen["scalars"] == ["float32", "bool", "bool"]
        assert seen["same_state"]


def test_capabilities_are_those_that_were_announced(case: Case, trial: Trial) -> None:
    announced = envhub.capabilities(case.id, **dict(case.options))
    assert announced == trial.env.capabilities
    assert all(announced.why(flag) for flag in FLAGS if not getattr(announced, flag))


def test_the_matrix_says_the_same(case: Case, found: Callable[[str], Verdict]) -> None:
    """What was found just now, beside what is committed for these versions."""
    row = here(case)
    if row is None:
        pytest.skip(reason="the matrix has no row of it in the versions that are here")
    report = Report(str(case), tuple(map(found, CHECKS)))
    for column, verdict in report.columns().items():
        committed = row.cell(column)
        if committed.is_old or committed.value == AS_SAMPLED:
            continue  # nobody has looked since something of it changed, or at all
        if NOT_RUN not in (verdict.value, committed.value):  # what must run is `test_check`'s
            assert (column, verdict.value) == (column, committed.value), committed.reason
