"""Whatever is given: an answer, or an error of envhub. `tests/fuzz_input.py` says what is given.

A run draws the same input each time. With --full it is 6,000 calls, of which 1,000
run in compiled programs, and 200 commands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import envhub
from envhub.errors import EnvHubError

from . import fuzz_input
from .fuzz_input import KNOWN
from .packages import needed

near_ids = st.builds(
    lambda known, cut, tail: known[:cut] + tail,
    st.sampled_from(KNOWN),
    st.integers(0, 40),
    st.sampled_from(["", "::", "-v0", "x", "\0", "…"]),
)
anything = st.one_of(st.text(), near_ids, st.none(), st.integers(), st.binary())


def times(few: int, many: int) -> Callable[[Callable[..., None]], Any]:
    """The test with a few examples, or with many where --full asks for what takes long."""

    def decorate(test: Callable[..., None]) -> Any:
        def run(pytestconfig: pytest.Config) -> None:
            slow = [HealthCheck.too_slow, HealthCheck.data_too_large]  # environments are made there
            number = many if pytestconfig.getoption("full") else few
            # Hypothesis refuses to set a test up twice, which `settings` remembers on it.
            settings(max_examples=number, deadline=None, suppress_health_check=slow)(test)()

        run.__doc__ = test.__doc__
        return run

    return decorate


def test_a_run_can_be_repeated(pytestconfig: pytest.Config) -> None:
    assert settings().derandomize or pytestconfig.getoption("--hypothesis-seed") is not None


@times(300, 1000)
@given(anything)
@example("gymnax::CartPole-v1")
@example("::")
@example("gymnax::gymnax::")
@example("gymnasium:::")
@example("gymnasium::.:x")
@example("gymnasium::a..b:x")
@example("gymnasium::json:")
@example("gymnasium::json: ")
@example("gymnasium::json:CartPole-v99")
@example("pufferlib:::")
@example("pufferlib::.:x")
@example("pufferlib::json:")
@pytest.mark.slow
def test_ids(env_id: object) -> None:
    with contextlib.suppress(EnvHubError):
        assert isinstance(envhub.capabilities(env_id), envhub.Capabilities)  # type: ignore[arg-type]
    if env_id not in KNOWN:  # making one is for the conformance suite
        with contextlib.suppress(EnvHubError):
            envhub.make(env_id)  # type: ignore[arg-type]


@times(60, 1000)
@given(fuzz_input.making())
@pytest.mark.slow
def test_keywords(drawn: tuple[str, dict[str, Any]]) -> None:
    env_id, options = drawn
    with contextlib.suppress(EnvHubError):
        env, params = envhub.make(env_id, **options)
        assert env.default_params is params
        env.close()


@times(60, 500)
@given(fuzz_input.wrapping())
def test_wrappers(drawn: tuple[str, Any, dict[str, Any]]) -> None:
    with contextlib.suppress(EnvHubError):
        fuzz_input.wrap_and_trace(*drawn)


@times(250, 2500)
@given(fuzz_input.calls())
@pytest.mark.slow
def test_keys_states_actions_and_params(drawn: tuple[str, str, dict[str, Any], bool]) -> None:
    with contextlib.suppress(EnvHubError):
        fuzz_input.make_call(*drawn)


@times(60, 1000)
@given(fuzz_input.calls(["process"]))
def test_what_is_given_to_processes(drawn: tuple[str, str, dict[str, Any], bool]) -> None:
    with contextlib.suppress(EnvHubError):
        fuzz_input.make_call(*drawn)


@pytest.fixture
def actors() -> None:
    """Made before anything is drawn: Ray draws too, and a run can be repeated."""
    needed("ray")
    fuzz_input.driven("ray")


@pytest.mark.usefixtures("actors")
@pytest.mark.xdist_group("ray")
@times(30, 1000)
@given(fuzz_input.calls(["ray"]))
@pytest.mark.slow
def test_what_is_given_to_actors(drawn: tuple[str, str, dict[str, Any], bool]) -> None:
    with contextlib.suppress(EnvHubError):
        fuzz_input.make_call(*drawn)


@times(60, 60)  # in all suites below
@given(fuzz_input.calls(fuzz_input.QUICK))
def test_in_a_compiled_program(drawn: tuple[str, str, dict[str, Any], bool]) -> None:
    refused_when_it_runs(*drawn[:3])


@pytest.mark.full
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fuzz_input.calls())
def test_in_compiled_programs_of_every_suite(drawn: tuple[str, str, dict[str, Any], bool]) -> None:
    refused_when_it_runs(*drawn[:3])


def test_what_the_host_refuses_in_a_compiled_program() -> None:
    one = fuzz_input.driven("gymnasium::CartPole-v1")
    arguments = {"key": jax.random.key(3), **one._asdict()}
    one.env.step(arguments["key"], one.state, one.action, one.params)  # the snapshot is needed now
    damaged = fuzz_input.broken(one.state, fuzz_input.CHANGES["bits"])
    for change in ({"action": jnp.int32(7)}, {"state": damaged}):
        assert refused_when_it_runs("gymnasium::CartPole-v1", "step", {**arguments, **change})


def refused_when_it_runs(env_id: str, method: str, arguments: dict[str, Any]) -> bool:
    """Whether the host refuses it in the middle of a program, of which JAX makes a text."""
    try:
        fuzz_input.make_call(env_id, method, arguments, True, is_compiled=True)
    except EnvHubError:
        return False
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
    else:
        return False
    refusal = fuzz_input.driven(env_id).env.last_error
    assert isinstance(refusal, EnvHubError)
    assert str(refusal) in text
    return True


@times(25, 200)
@given(fuzz_input.commands())
@pytest.mark.slow
def test_commands(arguments: list[str]) -> None:
    exit_code, said = fuzz_input.run_command(arguments)
    assert exit_code in (0, 1, 2)
    assert "Traceback" not in said


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=8), st.one_of(st.booleans(), st.none()))
def test_flags(flag: str, value: object) -> None:
    with contextlib.suppress(EnvHubError):
        envhub.list_envs("craftax", **{flag: value})  # type: ignore[arg-type]
    with contextlib.suppress(EnvHubError):
        envhub.require("brax::hopper", flag)
