"""`envhub.testing` as a third party uses it: it can say no, and says why."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, testing
from envhub.flags import FLAGS
from envhub.testing import CHECKS, CHECKS_BY_COLUMN, FAIL, NO, NOT_RUN, PASS, YES, Own, remedies
from envhub.testing.probes import PROBES
from envhub.testing.second_process import SecondProcess
from envhub.testing.trial import Trial
from tests.devices import EXAMINED

from . import bad_environments
from .bad_environments import BREACHES, Honest, Params

CONTROL_FLOW = "while_loops_and_conditions_under_vmap"
ENDS = "random_actions_reach_the_end"
BITS = "reset_and_step_equal_the_suites_own_bit_for_bit"


def check(kind: type, checks: list[str], **known: Any) -> testing.Report:
    env, params = bad_environments.make(kind)
    return testing.check_env(env, params, checks=checks, limit="limit", **known)


def test_every_check_can_say_no() -> None:
    # That nothing ends is no failure, and the suite's own is compared below.
    assert {*BREACHES.values(), ENDS, BITS, *PROBES} == set(CHECKS)
    assert set(FLAGS) <= set(CHECKS_BY_COLUMN)


def test_the_old_name_of_the_checks_by_column_still_works() -> None:
    with pytest.deprecated_call(match="CHECKS_BY_COLUMN"):
        assert testing.COLUMNS is CHECKS_BY_COLUMN


@pytest.mark.parametrize(
    ("kind", "broken"),
    [pytest.param(kind, broken, id=kind.__name__) for kind, broken in BREACHES.items()],
)
def test_the_check_says_no(kind: type, broken: str) -> None:
    verdict = check(kind, [broken]).verdicts[0]
    assert verdict.value == FAIL
    assert verdict.reason


@pytest.mark.parametrize(
    "kind", [bad_environments.ActsLate, bad_environments.ActsRarely], ids=lambda kind: kind.__name__
)
def test_params_that_are_slow_to_show_an_effect_have_one(kind: type) -> None:
    assert [each.value for each in check(kind, ["has_env_params"]).verdicts] == [YES]


def test_control_flow_is_right_though_programs_round_otherwise() -> None:
    report = check(bad_environments.RoundsAlikeInNoTwoPrograms, [CONTROL_FLOW, "vmap_safe"])
    assert [each.value for each in report.verdicts] == [PASS, FAIL], str(report)


def test_an_agent_that_was_done_before_the_limit_need_not_be_cut_there() -> None:
    checks = ["a_time_limit_is_a_truncation", "the_limit_does_not_terminate"]
    report = check(bad_environments.LeavesEarly, checks)
    assert [each.value for each in report.verdicts] == [PASS, PASS], str(report)


def own_of(gain: float) -> Own:
    """What the honest environment does, written down again, or almost."""

    def reset(key: Any, params: Any) -> tuple[Any, Any]:
        position = jax.random.uniform(key, (2,))
        return position, {"position": position, "time": jnp.int32(0)}

    def step(key: Any, state: Any, action: Any, params: Any) -> tuple[Any, ...]:
        position = state["position"] + gain * action
        after = {"position": position, "time": state["time"] + 1}
        return position, after, position.sum(), False, {}

    return Own(reset, step)


@pytest.fixture(scope="module")
def honest(other_process: SecondProcess) -> testing.Report:
    recipe = {"call": "tests.conformance.bad_environments:make_Honest"}
    known = {"recipe": recipe, "other": other_process, "own": lambda: own_of(0.5)}
    return check(Honest, list(CHECKS), **known)


def test_an_honest_environment_passes_every_check(honest: testing.Report) -> None:
    assert honest.ok
    not_run = {verdict.check for verdict in honest.verdicts if verdict.value == NOT_RUN}
    assert not_run == set(FLAGS) - set(EXAMINED)
    assert {verdict.value for verdict in honest.verdicts} - {NOT_RUN} == {PASS, YES}
    assert [verdict.check for verdict in honest.verdicts] == list(CHECKS)
    assert honest.compile_seconds
    assert honest.steps_per_second
    honest.raise_if_failed()


def test_a_report_has_a_line_for_each_check(honest: testing.Report) -> None:
    lines = str(honest).splitlines()
    assert lines[0] == "<Honest Honest>:"
    assert len(lines) == 1 + len(CHECKS)
    assert "yes      forkable" in str(honest)


def test_a_report_has_every_column_of_the_matrix(honest: testing.Report) -> None:
    assert list(honest.columns()) == list(CHECKS_BY_COLUMN)


def test_another_suites_own_is_another(honest: testing.Report) -> None:
    report = check(Honest, [BITS], own=lambda: own_of(0.25))
    assert not report.ok
    with pytest.raises(errors.ContractError, match="differs from the suite's own") as caught:
        report.raise_if_failed()
    assert isinstance(caught.value, AssertionError)


def test_what_nobody_said_is_not_run() -> None:
    env, params = bad_environments.make(Honest)
    checks = [BITS, "reproducible", "the_limit_does_not_terminate"]
    report = testing.check_env(env, params, checks=checks)
    assert [verdict.value for verdict in report.verdicts] == [NOT_RUN] * 3
    assert all(verdict.reason for verdict in report.verdicts)
    assert report.ok
    assert report.columns()["own_bits"].value == NOT_RUN


@pytest.mark.parametrize("reader", remedies.READERS)
def test_what_is_not_run_says_what_its_reader_can_do(reader: str) -> None:
    env, params = bad_environments.make(Honest)
    told = {
        need: testing.reports.judge(check, Trial(env, params, reader=reader)).reason
        for need, check in {
            remedies.OWN: BITS,
            remedies.RECIPE: "reproducible",
            remedies.LIMIT: "the_limit_does_not_terminate",
        }.items()
    }
    assert all(remedies.REMEDIES[need][reader] in reason for need, reason in told.items())
    assert all(set(each) == set(remedies.READERS) for each in remedies.REMEDIES.values())


def test_an_observation_of_the_time_that_is_left_is_declared() -> None:
    at_limit = "the_observation_at_the_limit_is_the_last_and_not_a_reset"
    position = lambda obs, seen: (obs["position"], seen)  # noqa: E731
    verdicts = [
        check(bad_environments.ShowsTheTime, [at_limit], **known).verdicts[0]
        for known in ({}, {"at_limit": position}, {"at_limit": lambda obs, seen: ((), seen)})
    ]
    assert [verdict.value for verdict in verdicts] == [FAIL, PASS, FAIL]
    assert "obs['time'] differs with and without a limit" in verdicts[0].reason
    assert "at_limit=" in verdicts[0].reason


def test_a_suite_declares_what_depends_on_the_limit() -> None:
    checks = ["the_observation_at_the_limit_is_the_last_and_not_a_reset"]
    testing.check_suite("gymnax", ["DiscountingChain-bsuite"], checks=checks).raise_if_failed()


def test_a_denied_capability_is_a_no_with_its_reason_or_an_unclaimed_one() -> None:
    env, params = bad_environments.make(bad_environments.StopsGradients)
    env.capabilities = env.capabilities.without(differentiable="stopped.", renderable="nothing.")
    verdicts = testing.check_env(env, params, checks=["differentiable", "renderable"]).verdicts
    assert (verdicts[0].value, verdicts[0].reason) == (NO, "stopped.")
    assert verdicts[1].value == FAIL
    assert "unclaimed" in verdicts[1].reason


def test_what_comes_out_equal_by_luck_is_no_capability() -> None:
    why, flags = "it draws from the clock.", ["vmap_safe", "isolated_reset", "multi_device"]
    env, params = bad_environments.make(Honest)
    env.capabilities = env.capabilities.without(**dict.fromkeys(flags, why))
    verdicts = testing.check_env(env, params, checks=flags).verdicts
    assert [verdict.value for verdict in verdicts] == [FAIL] * 3
    env.capabilities = env.capabilities.without(reproducible=why)
    verdicts = testing.check_env(env, params, checks=flags).verdicts
    assert [(verdict.value, verdict.reason) for verdict in verdicts] == [(NO, why)] * 3


def test_a_clause_that_compares_runs_is_not_run_where_equal_runs_are_luck() -> None:
    env, params = bad_environments.make(Honest)
    checks = ["typed_and_legacy_keys_give_the_same_episode", "no_array_of_a_state_is_empty"]
    before = testing.check_env(env, params, checks=checks).verdicts
    env.capabilities = env.capabilities.without(reproducible="it draws from the clock.")
    after = testing.check_env(env, params, checks=checks).verdicts
    assert [verdict.value for verdict in (*before, *after)] == [PASS, PASS, NOT_RUN, PASS]
    assert "it draws from the clock" in after[0].reason


def test_what_is_no_check_is_refused() -> None:
    env, params = bad_environments.make(Honest)
    with pytest.raises(errors.InvalidOptionError, match="Did you mean 'forkable'"):
        testing.check_env(env, params, checks=["forkabel"])
    with pytest.raises(errors.InvalidOptionError, match="must be a list"):
        testing.check_env(env, params, checks="forkable")


def test_nothing_that_ends_is_not_run() -> None:
    env, _ = bad_environments.make(Honest)
    trial = Trial(env, Params(limit=10_000), longest=100)
    verdict = testing.reports.judge(ENDS, trial)
    assert verdict.value == NOT_RUN
    assert "100 steps" in verdict.reason


def test_an_environment_of_make_brings_its_limit_and_its_recipe(
    other_process: SecondProcess,
) -> None:
    env, params = envhub.make("gymnax::CartPole-v1")
    checks = ["the_limit_does_not_terminate", "reproducible"]
    report = testing.check_env(env, params, checks=checks, other=other_process)
    assert [verdict.value for verdict in report.verdicts] == [PASS, YES]
    assert report.subject == "gymnax::CartPole-v1"


def test_an_id_with_a_gap_has_the_kind_of_the_gap() -> None:
    report = testing.check_id("pufferlib::school")
    gap = envhub.registry.get("pufferlib").gap("school", {})
    assert gap is not None
    assert [(each.check, each.value) for each in report.verdicts] == [("makes", gap.kind)]
    assert {cell.value for cell in report.columns().values()} == {"upstream"}
    assert report.ok


def test_an_id_that_cannot_be_made_fails() -> None:
    report = testing.check_id("gymnax::CartPole-v1", {"nonsense": 1})
    assert not report.ok
    assert "nonsense" in report.failures[0].reason
    cells = report.columns()
    assert cells.pop("makes").value == FAIL
    assert {cell.value for cell in cells.values()} == {NOT_RUN}


@pytest.mark.slow
def test_a_suite_has_a_report_for_each_variant() -> None:
    checks = ["forkable", "no_array_of_a_state_is_empty"]
    report = testing.check_suite("brax", ["fast"], checks=checks)
    backends = ("generalized", "spring", "positional", "mjx")
    assert [each.subject for each in report.reports] == [
        f"brax::fast,backend={backend}" for backend in backends
    ]
    assert report.ok
    assert "brax::fast,backend=mjx" in str(report)
    report.raise_if_failed()


class Liars(envhub.Suite):
    """A suite of somebody's, in this process alone."""

    name, title, module, distribution, supported = "liars", "liars", "numpy", "numpy", ">=1"
    example = "StopsGradients"

    def known_names(self) -> list[str]:
        return ["Honest", "StopsGradients"]

    live_names = known_names

    def options(self, name: str) -> list[str]:
        return []

    def capabilities(self, name: str, options: Any) -> envhub.Capabilities:
        return envhub.Capabilities.native()

    def limit(self, name: str, options: Any) -> str:
        return "limit"

    def make(self, name: str, options: Any) -> envhub.Environment:
        kind: type[envhub.Environment] = getattr(bad_environments, name)
        return kind()  # type: ignore[call-arg]


@pytest.mark.slow
def test_a_suite_of_somebodys_is_examined_like_any_other() -> None:
    envhub.register("liars", Liars())
    try:
        checks = ["differentiable", "the_limit_does_not_terminate", "reproducible"]
        report = testing.check_suite("liars", checks=checks)
    finally:
        envhub.unregister("liars")
    honest, liar = ([each.value for each in one.verdicts] for one in report.reports)
    assert honest == [PASS, YES, PASS, NOT_RUN]  # no other process knows it
    assert liar == [PASS, FAIL, PASS, NOT_RUN]
    assert not report.ok
    with pytest.raises(errors.ContractError, match=r"^liars::StopsGradients: fail"):
        report.raise_if_failed()


def test_an_object_that_was_wrapped_is_not_made_again() -> None:
    import gymnasium

    env, params = envhub.wrap(gymnasium.make("CartPole-v1", max_episode_steps=20))
    checks = ["reproducible", "the_limit_does_not_terminate", "no_array_of_a_state_is_empty"]
    report = testing.check_env(env, params, checks=checks)
    assert [each.value for each in report.verdicts] == [NOT_RUN, NOT_RUN, PASS]


class HoldsKeys(Honest):
    """Its state holds the key that it was reset with, typed or not."""

    def reset_env(self, key: Any, params: Any) -> tuple[Any, Any]:
        obs, state = super().reset_env(key, params)
        return obs, {**state, "key": key}

    def step_env(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        inner = {name: state[name] for name in state if name != "key"}
        result = super().step_env(key, inner, action, params)
        return result._replace(state={**result.state, "key": jax.random.split(state["key"])[0]})


def make_with_keys() -> Any:
    return bad_environments.make(HoldsKeys)


def test_the_recipe_for_checkpoints_takes_typed_keys(tmp_path: Any) -> None:
    env, params = make_with_keys()
    for key in (jax.random.key(3), jax.random.key(3, impl="rbg"), jax.random.PRNGKey(3)):
        _, state = env.reset(key, params)
        np.savez(tmp_path / "saved.npz", **envhub.pack_state(state))
        with np.load(tmp_path / "saved.npz", allow_pickle=False) as arrays:
            restored = envhub.unpack_state(env, arrays)
        assert jax.tree.structure(restored) == jax.tree.structure(state)
        for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True):
            assert one.dtype == other.dtype
        again, expected = (env.step(key, each, env.action_space(params).sample(jax.random.key(0)),
                                    params) for each in (restored, state))  # fmt: skip
        np.testing.assert_array_equal(again.obs, expected.obs)


def test_the_probe_takes_the_public_recipe() -> None:
    env, params = make_with_keys()
    recipe = {"call": f"{__name__}:make_with_keys"}
    report = testing.check_env(env, params, recipe=recipe, checks=["checkpointable"])
    assert [each.value for each in report.verdicts] == [YES], str(report)


def test_arrays_of_another_state_are_refused() -> None:
    env, params = envhub.make("gymnax::CartPole-v1")
    saved = envhub.pack_state(env.reset(jax.random.key(0), params)[1])
    name, *_ = saved
    wrong = [
        {other: saved[other] for other in saved if other != name},
        {**saved, name: np.zeros(3, np.float32)},
        {**saved, name: saved[name].astype(np.int8)},
        {**{other: saved[other] for other in saved if other != name}, "000000-no such": [1]},
    ]
    for arrays in wrong:
        with pytest.raises(errors.InvalidStateError, match="state of"):
            envhub.unpack_state(env, arrays)


@pytest.mark.parametrize(
    "recipe",
    [
        {"id": "gymnax::CartPole-v1", "kwargs": {"gravity": object()}},  # JSON has no word for it
        {"id": "gymnax::CartPole-v1", "kwargs": {"no_such": 1}},
        {"call": "no_such_module:make"},
        {"call": f"{__name__}:dies"},
    ],
)
@pytest.mark.slow
def test_what_another_process_cannot_make_is_not_called_a_false_claim(recipe: Any) -> None:
    env, params = envhub.make("gymnax::CartPole-v1")
    checks = ["checkpointable", "reproducible"]
    report = testing.check_env(env, params, recipe=recipe, checks=checks)
    assert [each.value for each in report.verdicts] == [NOT_RUN, NOT_RUN], str(report)
    assert all(each.reason for each in report.verdicts)


def dies() -> Any:
    os._exit(3)


def test_a_machine_that_cannot_draw_is_not_called_a_false_claim(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def draw(*_: Any) -> None:
        raise errors.RenderError("there is no OpenGL here.")

    env, params = envhub.make("gymnasium::CartPole-v1")
    monkeypatch.setattr(env, "render_env", draw)
    (verdict,) = testing.check_env(env, params, checks=["renderable"]).verdicts
    assert (verdict.value, verdict.reason) == (NOT_RUN, "there is no OpenGL here.")
