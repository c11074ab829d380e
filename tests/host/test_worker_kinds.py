"""What holds of workers of each kind: the contract, the episodes, and what a death leaves.

The tests of a kind share its workers; those of Ray, a cluster on this machine.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import envhub
from envhub.host.fleet import Fleet
from envhub.testing import CHECKS, NO, PASS, YES, check_env
from tests.host.test_workers import CARTPOLE, check_same, fleet_of, outlive_a_worker
from tests.host.toy import RAISE, STEP
from tests.packages import needed

SIZE = 6
EVERYONE = list(range(SIZE))
RAY = pytest.mark.xdist_group("ray")  # a cluster takes seconds to start
KINDS = ["thread", "process", pytest.param("ray", marks=RAY)]
HOW: dict[str, dict[str, Any]] = {
    "thread": {"num_workers": 2},
    "process": {"num_workers": 2},
    "ray": {"num_workers": 2, "ray_options": {"num_cpus": 0.1}},
}


@pytest.fixture(params=KINDS, scope="module")
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "ray":
        ray = needed("ray")
        yield request.param
        ray.shutdown()
        return
    yield request.param


@pytest.fixture(scope="module")
def env(kind: str) -> Iterator[Any]:
    made, _ = envhub.make(CARTPOLE, workers=kind, **HOW[kind])
    yield made
    made.close()


@pytest.fixture(scope="module")
def fleet(kind: str) -> Iterator[Any]:
    made = fleet_of(kind)
    yield made
    made.close()


# The contract.

SOME = ["step_returns_the_documented_types", "forkable", "vmap_safe", "isolated_reset"]
NOTHING_TO_COMPARE = "reset_and_step_equal_the_suites_own_bit_for_bit"  # tests/conformance does
REFUSED = {"jax_native", "differentiable"}  # of every callback environment


@pytest.mark.parametrize("checks", [SOME, pytest.param([*CHECKS], marks=pytest.mark.full)])
@pytest.mark.slow
def test_the_contract(checks: list[str], env: Any) -> None:
    verdicts = check_env(env, checks=checks).verdicts
    found = {each.check: each for each in verdicts if each.check != NOTHING_TO_COMPARE}
    assert set(found) >= {*checks} - {NOTHING_TO_COMPARE}
    for check, verdict in found.items():
        assert verdict.value == NO if check in REFUSED else verdict.value in (PASS, YES), verdict


# A death.


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)  # no thread dies alone
@pytest.mark.slow
def test_states_outlive_a_worker(env: Any, kind: str) -> None:
    told = {"process": "SIGKILL", "ray": "its actor on node .* died"}
    outlive_a_worker(env, envhub.make(CARTPOLE)[0], told[kind])


# Any calls.


class Call(NamedTuple):
    """A call of a fleet; `step` is of some lanes, and so on."""

    what: str
    numbers: list[int]
    value: int


calls = st.builds(
    Call,
    st.sampled_from(["reset", "step", "step", "step", "fail", "restore", "params", "replace"]),
    st.lists(st.sampled_from(EVERYONE), min_size=1, unique=True),
    st.integers(0, 99),
)


class Played:
    """A fleet with what its instances need to go on elsewhere: their states and params."""

    def __init__(self, fleet: Any) -> None:
        self.fleet: Fleet = fleet
        self.states: dict[int, tuple[bytes, Any]] = {}
        self.params: dict[int, float] = {}
        self.set_params(EVERYONE, 1.0)
        self.note(EVERYONE, self.fleet.reset(EVERYONE, EVERYONE))

    def note(self, numbers: list[int], outcomes: Any) -> Any:
        """Keep the states that a call led to."""
        assert not outcomes.failures
        states = zip(outcomes.saved, outcomes.obs, strict=True)
        self.states |= dict(zip(numbers, states, strict=True))
        return outcomes

    def set_params(self, numbers: list[int], value: float) -> None:
        self.params |= dict.fromkeys(numbers, value)
        self.fleet.set_params(numbers, np.full((len(numbers), 1), value, np.float32))

    def restore(self, numbers: list[int], sources: list[int]) -> None:
        saved, obs = zip(*[self.states[each] for each in sources], strict=True)
        self.fleet.restore(numbers, list(saved), list(obs))
        self.states |= dict(zip(numbers, zip(saved, obs, strict=True), strict=True))

    def again(self, numbers: list[int]) -> None:
        """Put new instances where others were."""
        self.restore(numbers, numbers)
        for number in numbers:
            self.set_params([number], self.params[number])

    def make(self, call: Call) -> Any:
        """Make a call, and return what is seen of it."""
        what, numbers, value = call
        if what == "reset":
            return self.note(numbers, self.fleet.reset(numbers, [value + n for n in numbers]))
        if what == "step":
            return self.note(numbers, self.fleet.step(numbers, [STEP] * len(numbers)))
        if what == "fail":
            found = self.fleet.step(numbers[:1], [RAISE])
            self.again(numbers[:1])
            return [str(error) for error in found.failures.values()]
        if what == "params":
            return self.set_params(numbers, float(value))
        if what == "replace":
            self.fleet.replace(numbers[0])
            return self.again(numbers[:1])
        return self.restore(numbers, numbers[::-1])

    def kill(self, part: int) -> None:
        """Kill one of two workers, which the next call of one of its instances finds out."""
        os.kill(self.fleet.processes[part], signal.SIGKILL)
        found = self.fleet.step([part], [STEP])
        assert sorted([part, *found.lost]) == EVERYONE[part::2]
        self.again(EVERYONE[part::2])


@pytest.mark.parametrize("many", [False, pytest.param(True, marks=pytest.mark.full)])
@pytest.mark.slow
def test_any_calls_give_what_they_give_serially(many: bool, fleet: Any, kind: str) -> None:
    """In the middle of some, a worker is killed."""
    few = {"thread": 30, "process": 15, "ray": 6}[kind]

    @settings(max_examples=8 * few if many else few, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(calls, min_size=4, max_size=16),
        st.integers(0, 3),
        st.sampled_from([None, 0, 1] if kind != "thread" else [None]),
    )
    def run(drawn: list[Call], place: int, victim: int | None) -> None:
        found, expected = Played(fleet), Played(fleet_of("serial"))
        for number, call in enumerate([*drawn, Call("step", EVERYONE, 0)]):
            if victim is not None and number == place:
                found.kill(victim)
            one, other = found.make(call), expected.make(call)
            if call.what in ("reset", "step"):
                check_same(other, one)
            else:
                assert one == other

    run()
