"""What the committed matrix has a verdict on, and is not run now, fails: it is not skipped."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from envhub import registry
from envhub.errors import MissingDependencyError
from envhub.flags import FLAGS
from envhub.host import HostSuite
from envhub.matrix.results import NOT_RUN, Cell, Row
from envhub.testing import CHECKS, CHECKS_BY_COLUMN, FAIL, Own, Trial, Verdict, check_id, reports
from envhub.testing.checks import COMPARED
from envhub.testing.episodes import Episodes
from envhub.testing.probes import NotRunError
from envhub.testing.second_process import SecondProcess
from tests.devices import needs_devices
from tests.packages import needed

from . import cases, committed
from .cases import Case
from .test_contract import test_check as examine

CASE = Case("gymnax", "CartPole-v1")
LIMITS = [
    "a_time_limit_is_a_truncation",
    "the_limit_does_not_terminate",
    "the_observation_at_the_limit_is_the_last_and_not_a_reset",
]
ELSEWHERE = ["reproducible", "checkpointable"]
BITS = "reset_and_step_equal_the_suites_own_bit_for_bit"
ENDS, DEVICES = committed.ENDS, committed.DEVICES

Patch = pytest.MonkeyPatch

# Each is a mistake, in an adapter or in what the tests are told of it: some checks are not run.


def without_limit(patch: Patch) -> None:
    patch.setattr(type(registry.get("gymnax")), "limit", lambda self, name, options: None)


def without_its_own(patch: Patch) -> None:
    def incomparable(self: Case, env: Any) -> Own:
        raise NotRunError("nothing to compare with")

    patch.setattr(Case, "own", incomparable)


def without_recipe(patch: Patch) -> None:
    patch.setattr(Case, "recipe", None)


def without_an_end(patch: Patch) -> None:
    patch.setattr(Episodes, "ended", property(lambda seen: np.zeros_like(seen.alive)))


def on_one_device(patch: Patch) -> None:
    one = jax.devices()[:1]
    patch.setattr(jax, "devices", lambda: one)


def not_reproducible(patch: Patch) -> None:
    """And what is compared is not the same, which may then be luck."""
    real = type(registry.get("gymnax")).capabilities
    patch.setattr(
        type(registry.get("gymnax")),
        "capabilities",
        lambda *given: real(*given).without(reproducible="by mistake"),
    )
    for check in COMPARED:
        patch.setitem(CHECKS, check, differs)


def differs(trial: Trial) -> None:
    raise AssertionError("it differs")


MUTATIONS: Mapping[Callable[[Patch], None], list[str]] = {
    without_limit: LIMITS,
    without_its_own: [BITS],
    without_recipe: ELSEWHERE,
    without_an_end: [ENDS],
    on_one_device: [DEVICES],
    not_reproducible: [check for check in CHECKS if check in COMPARED and check not in FLAGS],
}


def outcome(case: Case, check: str, found: Callable[[str], Verdict]) -> str:
    """What comes of the very test of the contract."""
    try:
        examine(check, case, found)
    except pytest.skip.Exception:  # which would skip this test as well
        return "skipped"
    except AssertionError as failure:
        return str(failure).partition("\n")[0]
    return "passed"


@pytest.mark.parametrize("check", CHECKS)
def test_no_check_can_be_left_out(check: str, monkeypatch: Patch) -> None:
    def leave_out(trial: Trial) -> None:
        raise NotRunError("for no reason")

    monkeypatch.setitem(CHECKS, check, leave_out)
    verdict = reports.judge(check, None)  # type: ignore[arg-type]  # nobody looks at it
    assert outcome(CASE, check, lambda name: verdict) == "not run: for no reason"


@pytest.mark.parametrize(
    "mutate",
    [
        pytest.param(mutate, id=mutate.__name__, marks=needs_devices(2) if DEVICES in made else ())
        for mutate, made in MUTATIONS.items()
    ],
)
def test_what_is_not_run_by_mistake_fails(
    mutate: Callable[[Patch], None], other_process: SecondProcess, monkeypatch: Patch
) -> None:
    mutate(monkeypatch)
    found = functools.partial(reports.judge, trial=CASE.trial(other_process))
    for check in MUTATIONS[mutate]:
        assert outcome(CASE, check, found).startswith("not run: ")


def test_what_the_matrix_has_not_run_may_be_skipped_and_nothing_else() -> None:
    """Of the sample: limits that no episode shows, and on old versions what does not work there.

    Of a case that has no row yet, every flag must be examined.
    """
    may: set[tuple[str, str]] = set()
    for case in cases.sample_cases():
        skipped = {check for check in CHECKS if not committed.must_run(case, check)}
        if any(row.run for row in committed.by_label().get(str(case), [])):
            may |= {(str(case), check) for check in skipped}
        else:
            assert skipped.isdisjoint({*FLAGS} - {DEVICES})
    unlimited = {"jumanji::Game2048-v1", "pufferlib::breakout", "pufferlib::trash_pickup"}
    unlimited.add("bsuite::catch/0")
    unlimited.add("pufferlib::trash_pickup,forkable=True")
    unlimited |= {"pgx::minatar-breakout", "pgx::tic_tac_toe"}
    # No episode of these outlasts the seven steps of the limit that is tried.
    short = {
        "gymnasium::Blackjack-v1",
        "gymnasium::tabular/Blackjack-v0",
        "gymnax::MemoryChain-bsuite",
        "jaxmarl::switch_riddle",
    }
    # A stream decides its episodes, so two runs of one key prove nothing.
    stream = {"envpool::CartPole-v1"}
    assert {label for label, check in may if check in LIMITS} - stream <= unlimited | short
    no_bits = {label for label, check in may if check == BITS} - stream
    assert {label.partition("::")[0] for label in no_bits} <= {"ale"}
    on_host = {name for name in registry.BUILTIN if isinstance(registry.get(name), HostSuite)}
    if committed.NUM_DEVICES > 1:
        assert {label.partition("::")[0] for label, check in may if check == DEVICES} <= on_host
    assert {check for label, check in may if label not in stream} <= {*LIMITS, BITS, DEVICES}


@needs_devices(2)
def test_versions_without_rows_are_held_to_what_all_others_could(monkeypatch: Patch) -> None:
    run = committed.here(CASE) and committed.here(CASE).run
    cells = {column: Cell("pass") for column in CHECKS_BY_COLUMN}
    rows = [
        Row(str(CASE), "one", run, cells),
        Row(str(CASE), "other", run, {**cells, "own_bits": Cell(NOT_RUN)}),
        Row(str(CASE), "not run yet"),
    ]
    monkeypatch.setattr(committed, "here", lambda case: None)
    monkeypatch.setattr(committed, "by_label", lambda: {str(CASE): rows})
    assert {check for check in CHECKS if not committed.must_run(CASE, check)} == {BITS}
    monkeypatch.setattr(committed, "by_label", dict)  # a new environment
    # Callbacks on several devices may wait for ever before jax 0.5, so no new environment must.
    unknown = {committed.DEVICES} if jax.__version_info__ < (0, 5) else set()
    wanted = {ENDS, *FLAGS} - unknown
    assert {check for check in CHECKS if committed.must_run(CASE, check)} >= wanted


def test_a_suite_that_is_here_and_cannot_be_imported_fails_though_there_is_a_gap(
    monkeypatch: Patch,
) -> None:
    suite = registry.get("gymnax")
    assert suite.gap("MNISTBandit-bsuite", {})

    def broken(self: Any, submodule: str = "") -> Any:
        raise MissingDependencyError("gymnax is installed, but importing it failed")

    monkeypatch.setattr(type(suite), "load", broken)
    for name in ("MNISTBandit-bsuite", "CartPole-v1"):
        report = check_id(f"gymnax::{name}")
        assert [(each.check, each.value) for each in report.verdicts] == [("makes", FAIL)]
        assert "importing it failed" in report.verdicts[0].reason


def test_a_package_that_is_here_and_cannot_be_imported_is_no_reason_to_skip(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """As pytest's own `importorskip` has it, where what is missing is a dependency."""
    (tmp_path / "broken_suite.py").write_text("import no_such_dependency", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        needed("broken_suite")
    with pytest.raises(pytest.skip.Exception, match="no_such_suite is not installed"):
        needed("no_such_suite.anything")
