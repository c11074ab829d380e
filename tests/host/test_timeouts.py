"""Workers that hang, are stopped or killed: nothing waits for ever, and states go on elsewhere."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host.parallel import make_fleet, parts, processes
from envhub.host.parallel.parts import WorkerError
from tests.host.toy import STEP, STUCK, Toy

KEY = jax.random.key(0)
CARTPOLE = "gymnasium::CartPole-v1"
SECONDS = 1.0
SOON = 20.0  # on a machine that does much else
LANES = 16  # as many as there are instances: a call of all lanes needs both workers


@contextlib.contextmanager
def soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_the_lanes_of_a_worker_that_hangs_fail_and_the_others_have_moved(kind: str) -> None:
    construct = functools.partial(Toy)
    options = {"workers": kind, "num_workers": 2, "timeout": SECONDS}
    fleet: Any = make_fleet(construct, construct(), options, saves=True, info=())
    fleet.grow(5)
    before = fleet.reset([0, 1, 2, 3], [0] * 4)
    with soon():
        found = fleet.step([0, 1, 3], [STUCK, STEP, STEP])
    assert found.lanes == [1, 2]
    assert "did not answer within timeout=1.0 s" in str(found.failures[0])
    assert found.lost == [2, 4]
    fleet.restore([0], before.saved[:1], before.obs[:1])  # in a new worker
    assert [obs[0, 0] for obs in fleet.step([0, 1], [STEP, STEP]).obs] == [1, 2]
    fleet.close()


class Sticks(gymnasium.Env[Any, Any]):
    """Once it is set to, it never returns from a step."""

    observation_space = gymnasium.spaces.Box(-1e6, 1e6, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    is_stuck: ClassVar[bool] = False

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        while Sticks.is_stuck:
            time.sleep(0.01)
        self.steps += 1
        return np.full(1, self.steps, np.float32), 0.0, False, False, {}


def test_what_hangs_is_named_and_replaced_though_there_are_no_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gymnasium.register("TestsOwnSticks-v0", Sticks)
    try:
        env, params = envhub.make("gymnasium::TestsOwnSticks-v0", timeout=SECONDS)
    finally:
        gymnasium.registry.pop("TestsOwnSticks-v0")
    _, state = env.reset(KEY, params)
    monkeypatch.setattr(Sticks, "is_stuck", True)
    with soon(), pytest.raises(errors.HostEnvError, match="did not answer within") as caught:
        env.step(KEY, state, 1, params)
    for part in ("gymnasium::TestsOwnSticks-v0", "instance", "action 1", "timeout=1.0 s"):
        assert part in str(caught.value)
    monkeypatch.setattr(Sticks, "is_stuck", False)
    _, state = env.reset(KEY, params)
    assert env.step(KEY, state, 1, params).obs == 1
    env.close()


@pytest.fixture(scope="module")
def made() -> Iterator[Any]:
    how = {"num_workers": 2, "max_instances": LANES, "timeout": SECONDS}
    env, _ = envhub.make(CARTPOLE, workers="process", **how)
    yield env
    env.close()


@pytest.fixture
def parallel(made: Any) -> Any:
    find_out(made)
    return made


def fails(call: Callable[[], Any]) -> bool:
    """Whether a call finds a worker gone, which is all that it may fail of."""
    try:
        jax.block_until_ready(call())
    except Exception as error:
        if "HostEnvError" not in f"{type(error).__name__}: {error}":
            raise
        return True
    return False


def find_out(env: Any) -> None:
    """Use every instance, so that no worker is gone that nobody has missed yet."""
    everybody = jax.random.split(KEY, LANES)
    while fails(lambda: jax.vmap(lambda key: env.reset(key)[0])(everybody)):
        pass


def scan_of(env: Any) -> Any:
    """Steps of all lanes, compiled; the poles stand for 15 of them."""

    def step(state: Any, turn: Any) -> Any:
        return env.step(KEY, state, turn % 2)

    def body(states: Any, turn: Any) -> Any:
        result = jax.vmap(step, in_axes=(0, None))(states, turn)
        return result.state, result.obs

    return jax.jit(lambda states, turns: jax.lax.scan(body, states, turns)[1])


def started(env: Any) -> Any:
    return jax.vmap(lambda key: env.reset(key)[1])(jax.random.split(KEY, LANES))


@pytest.mark.parametrize("how", ["SIGSTOP", "SIGKILL"])
@pytest.mark.parametrize("whom", ["one", "all"])
def test_workers_that_are_stopped_or_killed_at_once_are_replaced(
    how: str, whom: str, parallel: Any
) -> None:
    """Before a call, which finds it out; the same states go on, to the bit."""
    states, scan = started(parallel), scan_of(parallel)
    expected = np.asarray(scan(states, jnp.arange(15)))  # computed before anything is killed
    workers = parallel.counts.processes
    victims = workers if whom == "all" else workers[:1]
    for process in victims:
        os.kill(process, getattr(signal, how))
    with soon(), pytest.raises(Exception, match=r"did not answer|SIGKILL"):
        jax.block_until_ready(scan(states, jnp.arange(15)))
    assert isinstance(parallel.last_error, errors.HostEnvError)
    again = scan(states, jnp.arange(15))
    np.testing.assert_array_equal(again, expected)
    assert not set(parallel.counts.processes) & set(victims)


@pytest.mark.parametrize("how", ["SIGSTOP", "SIGKILL"])
def test_in_the_middle_of_a_compiled_scan(
    how: str, parallel: Any, pytestconfig: pytest.Config
) -> None:
    """20 runs in the full tests, at moments of which some are in a call and some between two."""
    states, scan, rng = started(parallel), scan_of(parallel), np.random.default_rng(0)
    expected, many = np.asarray(scan(states, jnp.arange(15))), jnp.arange(300)
    jax.block_until_ready(scan(states, many))
    raised = 0
    for _ in range(20 if pytestconfig.getoption("full") else 1):
        workers = parallel.counts.processes
        victim = workers[rng.integers(len(workers))]
        kill = functools.partial(os.kill, victim, getattr(signal, how))
        timer = threading.Timer(rng.uniform(0, 0.05), kill)
        timer.start()
        with soon():
            raised += fails(lambda: scan(states, many))
        timer.join()
        find_out(parallel)  # if it came too late
        np.testing.assert_array_equal(scan(states, jnp.arange(15)), expected)
    assert raised


@pytest.mark.parametrize("how", ["SIGSTOP", "SIGKILL"])
def test_while_they_are_made(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "STARTING", 0.5)
    begun: list[subprocess.Popen[bytes]] = []

    def start(*given: Any, **how_else: Any) -> subprocess.Popen[bytes]:
        begun.append(real(*given, **how_else))
        begun[-1].send_signal(getattr(signal, how))
        return begun[-1]

    real = subprocess.Popen
    monkeypatch.setattr(processes.subprocess, "Popen", start)
    construct = functools.partial(Toy)
    options = {"workers": "process", "num_workers": 2, "timeout": SECONDS}
    with soon(), pytest.raises(WorkerError, match=r"did not answer|SIGKILL"):
        make_fleet(construct, construct(), options, saves=True, info=())
    assert begun
    assert all(process.poll() is not None for process in begun)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), True, "1"])
def test_a_timeout_is_a_positive_number(timeout: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="timeout must be a positive number"):
        envhub.make(CARTPOLE, timeout=timeout)
