"""A cluster of three nodes on this machine, of which actors, nodes and the head are lost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host import HostEnvironment
from envhub.host.parallel import make_fleet
from tests.conftest import REPOSITORY
from tests.host.test_workers import CARTPOLE, KEY, check_the_same, started, stepped
from tests.host.toy import STEP, STUCK, Toy
from tests.host.training import ON_ACTORS, Training
from tests.packages import needed
from tests.test_examples import example

pytestmark = pytest.mark.full

KILLS = 50
LOOKS_AFTER = 30  # the seconds in which two actors have started; a step that is STUCK takes 60
# By default a node that does not answer is given up after a minute, and so is the head.
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 2,
    "gcs_rpc_server_reconnect_timeout_s": 5,
}


def new_cluster() -> Any:
    """Three nodes, each with room for eight actors of half a CPU."""
    from ray.cluster_utils import Cluster

    made = Cluster()
    made.add_node(num_cpus=4, include_dashboard=False, _system_config=QUICK)
    for _ in range(2):
        made.add_node(num_cpus=4)
    made.wait_for_nodes()
    return made


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = needed("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "180")  # on a machine that does much else
        ray.shutdown()  # what another file of tests may have left
        made = new_cluster()
        ray.init(address=made.address)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def serial() -> Any:
    return envhub.make(CARTPOLE)[0]


def on(resource: str, count: int = 2) -> dict[str, Any]:
    """The options of actors that run where there is such a resource."""
    options = {"num_cpus": 0, "resources": {resource: 1}, "scheduling_strategy": "SPREAD"}
    return {"workers": "ray", "num_workers": count, "ray_options": options}


def test_a_training_in_which_actors_are_killed_is_the_undisturbed_one(cluster: Any) -> None:
    training, ended = Training(**ON_ACTORS), threading.Event()
    env: Any = training.venv.find(HostEnvironment)
    assert len({place.node for place in env.workers}) == 3
    killed: list[int] = []

    def kill() -> None:
        rng = np.random.default_rng(0)
        while len(killed) < KILLS and not ended.wait(rng.uniform(0, 1)):
            # The next one dies after the training noticed this one: a call is repeated once.
            if len(training.retries) == len(killed):
                killed.append(int(rng.choice(env.counts.processes)))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        while len(training.retries) < KILLS:
            training.update()
    finally:
        ended.set()
        killer.join()
    training.update()
    assert training.retries == [1] * KILLS
    assert len(set(killed)) == KILLS, "another process each time"
    undisturbed = Training()
    while undisturbed.done < training.done:
        undisturbed.update()
    np.testing.assert_array_equal(training.theta, undisturbed.theta)
    assert np.abs(training.theta).max() > 0.01
    env.close()


@pytest.mark.parametrize("how", ["removed", "frozen"])
def test_a_node_is_lost(how: str, cluster: Any, serial: Any) -> None:
    nodes = [cluster.add_node(num_cpus=1, resources={how: 2}) for _ in range(2)]
    cluster.wait_for_nodes()
    env, _ = envhub.make(CARTPOLE, **on(how))
    states, here = stepped(env, started(env)).state, stepped(serial, started(serial)).state
    kept, lost = env.workers
    assert kept.node != lost.node
    node = next(node for node in nodes if node.node_id.startswith(_id_of(lost)))
    if how == "removed":
        cluster.remove_node(node, allow_graceful=False)
    else:
        stopped = [node.all_processes["raylet"][0].process.pid, lost.process]
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
    told, deadline = "", time.monotonic() + 30
    while not told and time.monotonic() < deadline:  # Ray notices it after a while
        try:
            states = stepped(env, states).state
            here = stepped(serial, here).state
        except errors.HostEnvError as error:
            told = str(error)
    numbers = ", ".join(map(str, lost.instances))
    assert f"its actor on node {lost.node} died: " in told
    assert f"it ran the instances {numbers}" in told
    check_the_same(stepped(env, states), stepped(serial, here))
    assert env.workers[0] == kept
    assert [place.node for place in env.workers] == [kept.node] * 2
    env.close()
    if how == "frozen":
        for process in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        cluster.remove_node(node, allow_graceful=False)
    cluster.remove_node(next(each for each in nodes if each is not node))


def _id_of(place: Any) -> str:
    """The beginning of the id of a node, from `address (id)`."""
    return str(place.node.partition("(")[2].rstrip(")"))


def test_a_node_that_joins_is_used_by_the_next_growth(cluster: Any) -> None:
    nodes = [cluster.add_node(num_cpus=1, resources={"late": 1})]
    cluster.wait_for_nodes()
    env, params = envhub.make(CARTPOLE, **on("late"))
    nodes.append(cluster.add_node(num_cpus=1, resources={"late": 1}))
    cluster.wait_for_nodes()
    assert len(env.workers) == 1
    jax.vmap(env.reset, (0, None))(jax.random.split(KEY, 4), params)
    ids = [_id_of(place) for place in env.workers]
    assert [node.node_id[: len(id_)] for node, id_ in zip(nodes, ids, strict=True)] == ids
    assert [place.instances for place in env.workers] == [[0, 2], [1, 3]]
    env.close()
    for node in nodes:
        cluster.remove_node(node)


def test_an_actor_runs_out_of_memory(cluster: Any) -> None:
    # Ray counts all memory of the machine, of which others take and free as they like. So the node
    # has too little from the start, and Ray looks again when the actor is in its step.
    limited = {
        "RAY_memory_usage_threshold": "0",
        "RAY_memory_monitor_refresh_ms": f"{LOOKS_AFTER * 1000}",
    }
    poor = cluster.add_node(num_cpus=1, resources={"small": 1}, env_vars=limited)
    rich = cluster.add_node(num_cpus=1, resources={"small": 1})  # of two actors, one for each
    cluster.wait_for_nodes()
    fleet: Any = make_fleet(Toy, Toy(), on("small"), saves=True, info=())
    fleet.grow(3)
    before = fleet.reset([0, 1, 2, 3], [0] * 4)
    ids = [_id_of(place) for place in fleet.workers]
    lost = next(part for part, id_ in enumerate(ids) if poor.node_id.startswith(id_))
    found = fleet.step([lost, 1 - lost], [STUCK, STEP])
    assert found.lanes == [1]
    assert found.lost == [lost + 2]
    error = str(found.failures[0])
    assert re.match(rf"its actor on node \S+ \({ids[lost]}\) died: .*memory", error)
    assert error.endswith(f"; it ran the instances {lost}, {lost + 2}")
    cluster.remove_node(poor)
    other = cluster.add_node(num_cpus=1, resources={"small": 1})
    cluster.wait_for_nodes()
    both = [lost, lost + 2]
    fleet.restore(both, [before.saved[i] for i in both], [before.obs[i] for i in both])
    assert other.node_id.startswith(_id_of(fleet.workers[lost]))
    assert [obs[0, 0] for obs in fleet.step([1 - lost, *both], [STEP] * 3).obs] == [2, 1, 1]
    fleet.close()
    for node in (rich, other):
        cluster.remove_node(node)


def test_learners_of_two_processes_share_the_actors_of_a_cluster(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = example("distributed_ppo", "flax", "optax")["main"]
    monkeypatch.delenv("XLA_FLAGS")  # with which the tests have several devices a process
    figure = tmp_path / "curve.svg"
    found = learn(["--short", "--address", cluster.address, "--out", str(figure)])
    assert "</svg>" in figure.read_text(encoding="utf-8")
    assert len({node for each in found for node in each.pop("nodes")}) > 1
    expected = learn(["--short", "--workers", "serial"])
    assert [each.pop("nodes") for each in expected] == [[], []]
    assert found == expected == [expected[0]] * 2
    returns = found[0]["returns"]
    assert returns[0] < 30
    assert returns[-1] > 120


def test_a_lost_actor_ends_all_processes_of_a_training(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One of them raises, and the other waits for it in XLA until it is gone."""
    import ray

    learn = example("distributed_ppo", "flax", "optax")["main"]
    monkeypatch.delenv("XLA_FLAGS")
    ended, killed = threading.Event(), [0.0]

    def kill() -> None:
        while not ended.wait(1.0):
            there = ray.util.list_named_actors(all_namespaces=True)
            if len(there) == 4:  # both processes have reset all their environments
                ended.wait(2.0)
                ray.kill(ray.get_actor(**there[0]))
                killed[:] = [time.monotonic()]
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(SystemExit, match="a process failed"):
            learn(["--address", cluster.address])  # returns when both have ended
    finally:
        ended.set()
        killer.join()
    assert time.monotonic() - killed[0] < 120, "a minute and more is JAX's own patience"
    told = capfd.readouterr().err
    assert re.search(r"HostEnvError: .*its actor on node .* died", told)


def test_after_the_head_a_new_driver_goes_on_from_the_checkpoint(
    cluster: Any, tmp_path: Path
) -> None:
    """The process that lost the head is ended by Ray; the next one has a cluster of its own."""
    updates, path = 40, tmp_path / "checkpoint.npz"
    first = new_cluster()
    driver = _driver(first, path, updates=100_000)
    assert driver.stdout is not None
    for _ in range(5):
        driver.stdout.readline()
    first.head_node.kill_gcs_server()
    done = int(driver.stdout.readlines()[-1])
    assert driver.wait(60) != 0
    assert done > 5, "steps went on for a while"
    first.shutdown()
    second = new_cluster()
    again = _driver(second, path, updates=done + updates)
    assert again.communicate(timeout=300)[0].split()[0] == str(done + 1)
    assert again.returncode == 0
    second.shutdown()
    undisturbed = Training()
    while undisturbed.done < done + updates:
        undisturbed.update()
    with np.load(path) as found:
        np.testing.assert_array_equal(found["theta"], undisturbed.theta)


def _driver(cluster: Any, path: Path, updates: int) -> subprocess.Popen[str]:
    arguments = [cluster.address, str(path), str(updates)]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.host.training", *arguments],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        text=True,
        encoding="utf-8",
    )
