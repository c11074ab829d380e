"""Forked processes: the first call says what is wrong, where JAX would hang."""

from __future__ import annotations

import functools
import multiprocessing
import os
import textwrap
import time
from collections.abc import Callable
from typing import Any

import jax
import pytest

import envhub
from envhub import errors
from envhub.export import to_gymnasium, to_gymnasium_vec
from tests.packages import needed

from .processes import fresh

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:.*fork"),  # of Python and JAX, which only warn
]
FORK = multiprocessing.get_context("fork")
SECONDS = 30
CARTPOLE = "gymnax::CartPole-v1"


def in_a_fork(call: Callable[[], Any]) -> str:
    """What a call raises in a forked process; where it hangs, the test fails."""
    ours, theirs = FORK.Pipe()

    def child() -> None:
        try:
            call()
            theirs.send("nothing")
        except BaseException as error:  # pytest's "did not raise" too
            theirs.send(f"{type(error).__name__}: {error}")

    process = FORK.Process(target=child)
    process.start()
    try:
        assert ours.poll(SECONDS), "it hangs"
        return str(ours.recv())
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("env_id", [CARTPOLE, "gymnasium::CartPole-v1"])
def test_every_first_call_in_a_forked_child_names_spawn(env_id: str) -> None:
    key = jax.random.key(0)
    env, params = envhub.make(env_id)
    # Gymnasium 1.0 has vector environments that reset in the next step alone.
    venv, _ = envhub.make_vec(env_id, 2, autoreset="next_step")
    fleet, _ = envhub.make_multi({"one": env_id})
    obs, state = env.reset(key, params)
    action = env.action_space(params).sample(key)
    venv_state, saved = venv.reset(key)[1], envhub.pack_state(state)
    states, gym_env, vector = fleet.reset(key)[1], to_gymnasium(env), to_gymnasium_vec(venv)
    gym_env.reset(seed=0)
    vector.reset(seed=0)
    envhub.rollout(env, params, None, key, 2)
    calls: list[Callable[[], Any]] = [
        lambda: envhub.make(env_id),
        lambda: envhub.wrap(lambda: None),
        lambda: env.reset(key, params),
        lambda: env.step(key, state, action, params),
        lambda: env.render(state),
        lambda: venv.reset(key),
        lambda: venv.step(key, venv_state, 0),
        lambda: venv.render(venv_state),
        lambda: fleet.reset(key),
        lambda: fleet.step(key, states, {"one": action}),
        lambda: gym_env.reset(seed=0),
        lambda: gym_env.step(0),
        lambda: vector.reset(seed=0),
        lambda: vector.step([0, 0]),
        lambda: envhub.rollout(env, params, None, key, 2),
        lambda: to_gymnasium(env),
        lambda: env.action_space(params).sample(key),
        lambda: env.observation_space(params).contains(obs),
        lambda: envhub.host_seed(key),
        lambda: envhub.unpack_state(env, saved),
        lambda: envhub.list_envs("gymnax"),
    ]

    def all_of_them() -> None:
        for call in calls:
            with pytest.raises(errors.ForkedProcessError, match=r"would hang.*spawn"):
                call()

    assert in_a_fork(all_of_them) == "nothing"
    assert env.step(key, state, action, params).obs.shape == obs.shape  # the parent goes on


def of_gymnasium() -> Any:
    make = functools.partial(_export, CARTPOLE)
    return needed("gymnasium").vector.AsyncVectorEnv([make, make], context="fork")


def of_stable_baselines3() -> Any:
    make = functools.partial(_export, CARTPOLE)
    vec_env = needed("stable_baselines3.common.vec_env")
    return vec_env.SubprocVecEnv([make, make], start_method="fork")


@pytest.mark.parametrize("start", [of_gymnasium, of_stable_baselines3])
def test_vector_environments_that_fork_end_and_do_not_hang(
    start: Callable[[], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """Their workers die of it before they can answer, and show what it was."""
    jax.random.key(0)
    with pytest.raises((EOFError, OSError)):
        start().reset()
    deadline, shown = time.monotonic() + SECONDS, ""
    while "spawn" not in shown and time.monotonic() < deadline:
        shown += capfd.readouterr().err
        time.sleep(0.05)
    assert "ForkedProcessError" in shown
    assert "spawn" in shown


@pytest.mark.full
def test_they_work_where_they_spawn() -> None:
    gymnasium = needed("gymnasium")
    make = functools.partial(_export, CARTPOLE)
    envs = gymnasium.vector.AsyncVectorEnv([make, make], context="spawn")
    obs, _ = envs.reset(seed=0)
    assert obs.shape == (2, 4)
    envs.close()


def _export(env_id: str) -> Any:
    return to_gymnasium(*envhub.make(env_id), seed=0)


def test_a_fork_before_jax_runs_works_and_takes_no_environment_along() -> None:
    """In a process of its own, in which nothing has run yet."""
    code = """
        import os, sys
        import jax, numpy as np
        import envhub
        from envhub import errors

        env, params = envhub.make("gymnasium::CartPole-v1")
        assert not jax._src.xla_bridge._backends
        key = np.array([0, 1], np.uint32)
        if os.fork():
            _, status = os.wait()
            sys.exit(os.waitstatus_to_exitcode(status))
        try:
            env.reset(key, params)
        except errors.ForkedProcessError as error:
            assert "made before this process was forked" in str(error), error
        else:
            raise AssertionError("its states have the names of the parent's")
        here, params = envhub.make("gymnasium::CartPole-v1")
        assert here.reset(key, params)[0].shape == (4,)
        os._exit(0)
    """
    fresh(textwrap.dedent(code))
