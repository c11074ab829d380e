"""Instances in threads and processes: the same episodes, whatever dies, and nothing left behind."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import _versions, errors
from envhub.host import BRIDGE_OPTIONS, Instance
from envhub.host.fleet import Fleet, SerialFleet, admitting, deferred
from envhub.host.options import check_options
from envhub.host.outcomes import OF_LANES, Outcomes
from envhub.host.parallel import fleet as parallel_fleet
from envhub.host.parallel import make_fleet
from envhub.host.parallel.parts import WorkerError
from tests.host.toy import (
    CRASH,
    EXIT,
    INTERRUPT,
    KILL,
    LOOK,
    ODDLY,
    RAISE,
    SIGNAL,
    STEP,
    STUCK,
    Toy,
    loaded,
)
from tests.processes import fresh

KINDS = ("thread", "process")
INFO = ("count", "drawn")
CARTPOLE = "gymnasium::CartPole-v1"
KEY = jax.random.key(0)
ACTIONS = jnp.array([0, 1, 1, 0])

pytestmark = pytest.mark.usefixtures("ctrl_c")


def fleet_of(kind: str, *, size: int = 6, count: int = 2, **how: Any) -> Any:
    construct = functools.partial(Toy, **how)
    options: dict[str, Any] = {"workers": kind}
    if kind != "serial":
        options["num_workers"] = count
    if kind == "ray":
        options["ray_options"] = {"num_cpus": 0.1}
    fleet = make_fleet(construct, construct(), options, saves=True, info=INFO)
    fleet.grow(size - 1)
    return fleet


@pytest.fixture(scope="module")
def fleets() -> Iterator[dict[str, Any]]:
    """One of each kind, with six instances; processes take a second to start."""
    made = {kind: fleet_of(kind) for kind in KINDS}
    yield made
    for fleet in made.values():
        fleet.close()


@pytest.fixture(params=KINDS)
def fleet(request: pytest.FixtureRequest, fleets: dict[str, Any]) -> Any:
    return fleets[request.param]


def is_same(one: Any, other: Any) -> bool:
    """Of one type, and equal to the bit."""
    if isinstance(one, dict):
        same_keys = isinstance(other, dict) and list(one) == list(other)
        return same_keys and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return bool(one == other)


def check_same(expected: Outcomes, found: Outcomes) -> None:
    for name in OF_LANES:
        column, other = getattr(expected, name), getattr(found, name)
        if name == "infos":  # of which only numbers are sent
            column, other = (
                [{key: value for key, value in info.items() if key != "text"} for info in infos]
                for infos in (column, other)
            )
        assert len(column) == len(other), name
        for lane, (one, another) in enumerate(zip(column, other, strict=True)):
            assert is_same(one, another), (name, lane, one, another)


def play(fleet: Fleet) -> list[Outcomes]:
    """Resets and steps of all instances, of some, and in any order."""
    everyone, shuffled, some = [0, 1, 2, 3, 4, 5], [5, 2, 0, 1, 4, 3], [3, 5, 0]
    played = [fleet.reset(everyone, [seed + 10 for seed in everyone])]
    for numbers in (everyone, everyone, shuffled, some, [4], everyone):
        played.append(fleet.step(numbers, [STEP] * len(numbers)))
    played.append(fleet.reset(some, [7, 8, 9]))
    played.append(fleet.step(everyone, np.zeros(6, np.int64)))
    return played


# Together with a serial fleet.


def test_the_same_outcomes_as_in_one_thread(fleet: Any) -> None:
    for expected, found in zip(play(fleet_of("serial")), play(fleet), strict=True):
        assert found.lanes is None
        assert not found.failures
        check_same(expected, found)


@pytest.mark.parametrize("kind", KINDS)
def test_nested_and_large_observations(kind: str) -> None:
    how = {"nested": True, "side": 300}  # more than the memory holds at first
    fleet = fleet_of(kind, count=1 if kind == "process" else 4, **how)
    try:
        for expected, found in zip(play(fleet_of("serial", **how)), play(fleet), strict=True):
            check_same(expected, found)
        saved, obs = found.saved, found.obs
        fleet.reset([0, 1], [1, 2])
        fleet.restore([1, 0], [saved[2], saved[3]], [obs[2], obs[3]])
        check_same(fleet.step([2, 3], [0, 0]), fleet.step([1, 0], [0, 0]))
    finally:
        fleet.close()


def test_a_state_goes_on_in_any_worker(fleet: Any) -> None:
    fleet.reset([0, 1, 2, 3], [1, 2, 3, 4])
    before = fleet.step([0, 1, 2], [STEP] * 3)
    expected = fleet.step([0, 1, 2], [STEP] * 3)
    fleet.restore([5, 4, 3], before.saved, before.obs)
    check_same(expected, fleet.step([5, 4, 3], [STEP] * 3))
    with pytest.raises(AssertionError):
        fleet.restore([0], before.saved[:1], [before.obs[0] + 1])


def test_params_and_pictures(fleet: Any) -> None:
    fleet.reset([0, 1, 2], [5, 5, 5])
    fleet.set_params([2, 1], np.array([[2.0], [3.0]], np.float32))
    rewards = fleet.step([0, 1, 2], [STEP] * 3).rewards
    np.testing.assert_allclose(rewards, rewards[0] * np.array([1, 3, 2]))
    fleet.step([1], [STEP])
    assert [fleet.render(number)[0, 0, 0] for number in (0, 1)] == [1, 2]
    fleet.replace(1)
    fleet.replace(2)
    fleet.reset([0, 1, 2], [5, 5, 5])
    assert len(set(fleet.step([0, 1, 2], [STEP] * 3).rewards)) == 1, "they are fresh"


def test_a_worker_imports_no_jax(fleets: dict[str, Any]) -> None:
    fleets["process"].reset([0], [0])
    (error,) = fleets["process"].step([0], [LOOK]).failures.values()
    assert error.args == ([],)
    assert loaded(), "the test itself runs JAX"


# What goes wrong in an instance.


def test_the_others_of_a_part_stay_where_they_are(fleet: Any) -> None:
    everyone = list(range(6))
    fleet.reset(everyone, everyone)
    # Parts are the even and the odd ones; each stops at its first error.
    found = fleet.step(everyone, [STEP, STEP, RAISE, STEP, STEP, RAISE])
    assert found.lanes == [0, 1, 3]
    assert [obs[0, 0] for obs in found.obs] == [1, 1, 1]
    assert sorted(found.failures) == [2, 5]
    assert len(found.saved) == len(found.infos) == 3
    assert found.lost == []
    error = found.failures[2]
    assert (type(error), str(error)) == (OSError, "told to")
    if fleet.processes:  # where the traceback itself cannot come along
        assert "toy.py" in error.__notes__[0]
    assert [obs[0, 0] for obs in fleet.step([0, 1, 3, 4], [STEP] * 4).obs] == [2, 2, 2, 1]
    fleet.reset([2, 5], [0, 0])


def test_an_exception_that_cannot_be_sent_is_quoted(fleets: dict[str, Any]) -> None:
    fleets["process"].reset([0], [0])
    (error,) = fleets["process"].step([0], [ODDLY]).failures.values()
    assert type(error) is RuntimeError
    assert "OddError: toldto" in str(error)


# Interrupts.


def test_an_interrupt_in_an_instance_is_one_of_its_failures(fleet: Any) -> None:
    fleet.reset([0, 1], [0, 0])
    found = fleet.step([0, 1], [INTERRUPT, STEP])
    assert isinstance(found.failures[0], KeyboardInterrupt)
    assert found.lanes == [1]


def test_an_interrupt_is_kept_for_the_end_or_until_it_is_admitted() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), deferred():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        done.append("all of it")
    assert done == ["all of it"]
    with deferred():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            admitting(lambda: done.append("nothing"))
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_call_is_finished(fleet: Any) -> None:
    fleet.reset([0, 1, 2, 3], [0] * 4)
    found = fleet.step([0, 1, 2, 3], [STEP, SIGNAL, STEP, STEP])
    # Somebody has to be told, as in a serial fleet; the others have moved.
    assert found.lanes == [0, 1, 3]
    assert isinstance(found.failures[2], KeyboardInterrupt)
    assert [obs[0, 0] for obs in fleet.step([0, 1, 3], [STEP] * 3).obs] == [2, 2, 2]
    fleet.reset([2], [0])


def test_a_worker_that_does_not_return_is_given_up(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_fleet, "PATIENCE", 1.0)
    fleet.reset([0, 1, 2, 3], [0] * 4)
    found = fleet.step([0, 1], [STUCK, SIGNAL])
    assert found.lanes == [1]
    assert isinstance(found.failures[0], KeyboardInterrupt)
    assert found.lost == [2, 4]
    fleet.reset([0, 2, 4], [0] * 3)
    assert [obs[0, 0] for obs in fleet.step([0, 1, 2], [STEP] * 3).obs] == [1, 2, 1]


# What goes wrong in a process.


@pytest.mark.parametrize(
    ("fault", "how"), [(KILL, "SIGKILL"), (EXIT, "exit status 3"), (CRASH, "SIGSEGV")]
)
def test_a_worker_dies_in_a_step(fault: int, how: str, fleets: dict[str, Any]) -> None:
    told = died_in_a_step(fault, fleets["process"])
    assert told == f"its worker died ({how}); it ran the instances 1, 3, 5"


def died_in_a_step(fault: int, fleet: Any) -> str:
    """Lose one of two workers with a fault, and return what is told."""
    before = fleet.reset([0, 1, 2, 3], [0] * 4)
    odd, even = fleet.processes[1], fleet.processes[0]
    found = fleet.step([0, 1, 3], [STEP, fault, STEP])
    assert found.lanes == [0]
    assert sorted(found.failures) == [1, 2]
    assert found.lost == [5]
    (told,) = {str(error) for error in found.failures.values()}
    # The others, and in a new process its states, go on.
    fleet.restore([5, 3], [before.saved[1], before.saved[3]], [before.obs[1], before.obs[3]])
    assert [obs[0, 0] for obs in fleet.step([0, 5, 3], [STEP] * 3).obs] == [2, 1, 1]
    assert fleet.processes[0] == even
    assert fleet.processes[1] != odd
    return told


CALLS: list[Callable[[Fleet], Any]] = [
    lambda fleet: fleet.set_params([1], np.ones((1, 1), np.float32)),
    lambda fleet: fleet.grow(2),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_worker_was_killed_between_calls(
    call: Callable[[Fleet], Any], fleets: dict[str, Any]
) -> None:
    fleet = fleets["process"]
    fleet.reset([0, 1], [0, 0])
    size = fleet.size
    os.kill(fleet.processes[1], signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL") as caught:
        call(fleet)
    assert list(caught.value.lost) == list(range(1, size, 2))
    assert fleet.size == size
    fleet.reset([1], [0])
    call(fleet)
    assert fleet.step([0, 1], [STEP, STEP]).lanes is None


# Nothing is left behind.


def open_files() -> set[str]:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return set(os.listdir(folder))


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["close", "collect"])
@pytest.mark.slow
def test_nothing_is_left(kind: str, ending: str) -> None:
    gc.collect()
    threads, files = set(threading.enumerate()), open_files()
    fleet = fleet_of(kind, count=1)
    fleet.reset([0, 1, 2], [0] * 3)
    pids = fleet.processes if kind == "process" else []
    assert (set(threading.enumerate()) > threads) == (kind == "thread")
    if ending == "close":
        fleet.close()
        fleet.close()
        with pytest.raises(RuntimeError, match="closed"):
            fleet.step([0], [STEP])
    del fleet
    gc.collect()
    assert not any(map(is_there, pids)), "or it is a zombie"
    assert set(threading.enumerate()) <= threads  # one of an earlier test may have ended meanwhile
    assert open_files() == files


SCRIPT = """
import functools, os, signal, sys, threading, time
from envhub.host.parallel import make_fleet
from tests.host.test_workers import STUCK, fleet_of
fleet = fleet_of("process", count=1)
fleet.reset([0, 1], [0, 0])
print(*fleet.processes, flush=True)
"""
ENDINGS = {
    "exit": "",
    "killed": """
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
fleet.step([0], [STUCK])
""",
    "a copy by fork": """
if os.fork() == 0:
    fleet.close()
    os._exit(0)
os.wait()
assert fleet.step([0, 1], [0, 0]).lanes is None
print("well", flush=True)
""",
}


def runs(process: str) -> bool:
    """Whether a process does; a zombie is the business of whoever adopted it."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", process], check=False, capture_output=True)
    return told.stdout.strip() not in (b"", b"Z")


def run(script: str) -> subprocess.CompletedProcess[str]:
    return fresh(script, flags=("-W", "ignore"), fails=True, timeout=60)


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_process_outlives_the_interpreter(ending: str) -> None:
    done = run(SCRIPT + ENDINGS[ending])
    pids, *more = done.stdout.splitlines()
    assert more == (["well"] if "fork" in ending else []), done.stderr
    deadline = time.monotonic() + 5
    while any(map(runs, pids.split())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(runs, pids.split()))


# Starting.


def test_what_cannot_be_pickled_is_refused_with_the_way_out() -> None:
    options = {"workers": "process", "num_workers": 1}
    with pytest.raises(errors.InvalidOptionError, match=r"in a module.*workers='thread'"):
        make_fleet(lambda: Toy(side=3), Toy(), options, saves=False, info=INFO)


def test_a_class_of_a_script_is_refused_with_the_way_out() -> None:
    done = run(
        "from envhub.host.parallel import make_fleet\n"
        "from tests.host.toy import Toy\n"
        "class Mine(Toy):\n    pass\n"
        "options = {'workers': 'process', 'num_workers': 1}\n"
        "make_fleet(Mine, Mine(), options, saves=False, info=())"
    )
    assert "InvalidOptionError: workers='process'" in done.stderr
    assert "Define it in a module" in done.stderr


def _poor() -> Instance:
    raise FileNotFoundError("the map")


@pytest.mark.parametrize("kind", KINDS)
def test_an_instance_that_cannot_be_made_says_why(kind: str) -> None:
    options = {"workers": kind, "num_workers": 2 if kind == "thread" else 1}
    with pytest.raises(FileNotFoundError, match="the map"):
        make_fleet(_poor, Toy(), options, saves=False, info=INFO)


def test_options() -> None:
    assert {"workers", "num_workers"} < set(BRIDGE_OPTIONS)
    assert isinstance(make_fleet(Toy, Toy(), {}, saves=False, info=INFO), SerialFleet)
    capabilities = envhub.capabilities("gymnasium::CartPole-v1")
    wrong: Sequence[tuple[dict[str, Any], str]] = [
        ({"forkable": 0}, "forkable must be True or False, got 0"),
        ({"forkable": np.False_}, "forkable must be True or False, got "),
        ({"forkable": np.zeros(2)}, "forkable must be True or False, got "),
        ({"workers": "processes"}, "'serial', 'thread', 'process', 'ray', got 'processes'"),
        ({"workers": "thread", "num_workers": 0}, "num_workers must be a positive integer"),
        ({"num_workers": 2}, "serial instances have none"),
        ({"workers": "serial", "num_workers": 2}, "serial instances have none"),
        ({"workers": "process", "ray_options": {"num_cpus": 1}}, "needs workers='ray'"),
        ({"workers": "ray", "ray_options": 0.5}, "must be a dict of the options of Ray's actors"),
        ({"workers": "ray", "ray_options": {"max_restarts": 1}}, "envhub decides 'max_restarts'"),
    ]
    for options, message in wrong:
        with pytest.raises(errors.InvalidOptionError, match=message):
            check_options("id", options, capabilities)


@pytest.mark.parametrize(
    ("version", "kind", "message"),
    [
        (None, errors.MissingDependencyError, r'Run: pip install "envhub-rl\[ray\]"'),
        ("2.9.3", errors.UnsupportedVersionError, r"ray 2\.9\.3 is installed; envhub supports"),
    ],
)
def test_ray_that_cannot_be_used_is_refused_with_the_way_out(
    version: str | None, kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _versions.installed_version
    monkeypatch.setattr(
        _versions, "installed_version", lambda name: version if name == "ray" else found(name)
    )
    with pytest.raises(kind, match=message):
        envhub.make(CARTPOLE, workers="ray")


# Through the hub.


@pytest.fixture(scope="module")
def parallel() -> Iterator[Any]:
    env, _ = envhub.make(CARTPOLE, workers="process", num_workers=2)
    yield env
    env.close()


@pytest.fixture(scope="module")
def serial() -> Any:
    return envhub.make(CARTPOLE)[0]


def workers_of(env: Any) -> list[int]:
    processes: list[int] = env.counts.processes
    return processes


def started(env: Any) -> Any:
    """Four states of new instances, two in each worker."""
    return jax.vmap(lambda key: env.reset(key)[1])(jax.random.split(KEY, 4))


def stepped(env: Any, states: Any, params: Any = None) -> Any:
    return jax.vmap(lambda state, action: env.step(KEY, state, action, params))(states, ACTIONS)


def shown(result: Any) -> list[np.ndarray[Any, Any]]:
    """All but the handles, which name instances."""
    leaves = (result.obs, result.state.snapshot, result.reward, result.terminated, result.info)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(leaves)]


def check_the_same(one: Any, other: Any) -> None:
    for leaf, another in zip(shown(one), shown(other), strict=True):
        np.testing.assert_array_equal(leaf, another)


def test_the_same_episodes_as_serially(parallel: Any, serial: Any) -> None:
    results = []
    for env in (parallel, serial):

        def body(states: Any, _: Any, env: Any = env) -> Any:
            result = stepped(env, states)
            return result.state, result

        results.append(jax.jit(lambda e=env, b=body: jax.lax.scan(b, started(e), None, 30)[1])())
    assert results[0].terminated.any()
    check_the_same(*results)


def test_states_outlive_a_worker(parallel: Any, serial: Any) -> None:
    outlive_a_worker(parallel, serial, "SIGKILL")


def outlive_a_worker(parallel: Any, serial: Any, told: str) -> None:
    """Kill a worker, of which an error tells so."""
    heavy = parallel.default_params.replace(masspole=jnp.float32(3))
    states = stepped(parallel, started(parallel), heavy).state
    expected = stepped(serial, stepped(serial, started(serial), heavy).state, heavy)
    lost = np.asarray(states.handle)[:, 0]
    lost = sorted(lost[lost % 2 == 1].tolist())
    os.kill(workers_of(parallel)[1], signal.SIGKILL)
    named = ", ".join(map(str, lost))
    with pytest.raises(errors.HostEnvError, match=rf"instance {named}, .*{told}"):
        stepped(parallel, states, heavy)
    check_the_same(stepped(parallel, states, heavy), expected)


def test_a_death_that_another_call_finds(parallel: Any, serial: Any) -> None:
    states = stepped(parallel, started(parallel)).state
    os.kill(workers_of(parallel)[0], signal.SIGKILL)
    keys = jax.random.split(KEY, 2 * parallel.counts.instances)
    with pytest.raises(errors.HostEnvError, match="SIGKILL"):  # while it makes more instances
        jax.vmap(parallel.reset)(keys)
    expected = stepped(serial, stepped(serial, started(serial)).state)
    check_the_same(stepped(parallel, states), expected)


def test_opaque_states_of_a_dead_worker_are_gone_and_others_are_not() -> None:
    env, _ = envhub.make(CARTPOLE, workers="process", num_workers=2, forkable=False)
    processes = lost_opaque_states(env, "SIGKILL")
    env.close()
    assert not any(map(is_there, processes))


def lost_opaque_states(env: Any, told: str) -> list[int]:
    """Kill one of two workers, of which an error tells so, and return the processes."""
    states = started(env)
    one = [jax.tree.map(lambda leaf, lane=lane: leaf[lane], states) for lane in range(4)]
    slots = np.asarray(states.handle)[:, 0].tolist()
    gone, here = slots.index(1), slots.index(2)
    os.kill(workers_of(env)[1], signal.SIGKILL)
    env.step(KEY, one[here], 1)
    with pytest.raises(errors.HostEnvError, match=rf"instance 1, .*{told}"):
        env.step(KEY, one[gone], 1)
    for state in (one[gone], one[slots.index(3)]):
        with pytest.raises(errors.StaleStateError):
            env.step(KEY, state, 1)
    assert not env.step(KEY, one[slots.index(0)], 1).terminated
    assert not stepped(env, started(env)).terminated.any()
    return workers_of(env)


def test_what_an_environment_raises_in_a_worker() -> None:
    name = "gymnasium::tests.host.broken:Broken-v0"
    for kind, fault, message in (
        ("process", "raise", "OSError: the seventh step"),
        ("thread", "shape", r"float32\[1\]"),
    ):
        env, _ = envhub.make(name, workers=kind, num_workers=1, fault=fault)
        _, state = env.reset(KEY)
        for _ in range(6):
            state = env.step(KEY, state, 1).state
        with pytest.raises(errors.HostEnvError, match=message):
            env.step(KEY, state, 1)
        assert isinstance(env.last_error.__cause__, OSError if fault == "raise" else ValueError)
        env.close()


CTRL_C = """
import os, signal, threading, time, jax, envhub
from tests.host.test_workers import workers_of
signal.signal(signal.SIGINT, signal.default_int_handler)
os.setpgid(0, 0)  # as of a job in a terminal: Ctrl-C is sent to all of it
env, _ = envhub.make("gymnasium::CartPole-v1", workers="WORKERS", num_workers=1)
key = jax.random.key(0)
_, first = env.reset(key)
def body(state, _):
    env.step(key, state, 1)
    return env.reset(key)[1], None
scan = jax.jit(lambda state: jax.lax.scan(body, state, None, 10_000)).lower(first).compile()
before = workers_of(env)
threading.Timer(0.3, os.killpg, (os.getpgrp(), signal.SIGINT)).start()
try:
    jax.block_until_ready(scan(first))
    time.sleep(1)
    print("not interrupted")
except BaseException as error:
    print("KeyboardInterrupt" in repr(error))
print(env.step(key, first, 1).obs.shape, before == workers_of(env))
"""


def test_ctrl_c_leaves_everybody_usable() -> None:
    check_ctrl_c("process")


def check_ctrl_c(workers: str) -> None:
    done = run(CTRL_C.replace("WORKERS", workers))
    assert done.stdout.split("\n")[:-1] == ["True", "(4,) True"], done.stderr
