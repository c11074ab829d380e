"""Instances in actors of Ray: what holds of all workers, and what is peculiar to a cluster."""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host import HostEnvironment
from envhub.host.parallel import actors, make_fleet, parts
from tests.conftest import REPOSITORY

# These run here over `fleet`, which is one of actors.
from tests.host.test_workers import (  # noqa: F401
    CARTPOLE,
    INFO,
    KEY,
    check_ctrl_c,
    check_same,
    check_the_same,
    died_in_a_step,
    fleet_of,
    lost_opaque_states,
    outlive_a_worker,
    play,
    runs,
    started,
    stepped,
    test_a_state_goes_on_in_any_worker,
    test_a_worker_imports_no_jax,
    test_an_exception_that_cannot_be_sent_is_quoted,
    test_an_interrupt_in_an_instance_is_one_of_its_failures,
    test_params_and_pictures,
    test_the_others_of_a_part_stay_where_they_are,
    test_the_same_episodes_as_serially,
    test_the_same_outcomes_as_in_one_thread,
)
from tests.host.toy import CRASH, EXIT, KILL, STEP, STUCK, Toy
from tests.packages import needed

SMALL = {"num_cpus": 0.1}
PAGE = (REPOSITORY / "docs" / "scaling.md").read_text(encoding="utf-8")

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("ctrl_c")]


# With a cluster on this machine, which the first environment begins.


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    module = needed("ray")
    module.shutdown()  # what another file of tests may have left
    actors.connect()
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    yield module
    module.shutdown()


@pytest.fixture(scope="module")
def fleets(ray: Any) -> Iterator[dict[str, Any]]:
    """The fleet of actors, under the name by which tests of workers ask for one of processes."""
    fleet = fleet_of("ray")
    yield {"process": fleet}
    fleet.close()


@pytest.fixture
def fleet(fleets: dict[str, Any]) -> Any:
    return fleets["process"]


@pytest.fixture(scope="module")
def parallel(ray: Any) -> Iterator[Any]:
    env, _ = envhub.make(CARTPOLE, workers="ray", num_workers=2, ray_options=SMALL)
    yield env
    env.close()


@pytest.fixture(scope="module")
def serial() -> Any:
    return envhub.make(CARTPOLE)[0]


def test_a_cluster_that_begins_here_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, str | None]] = []
    module = needed("ray")
    reports = "RAY_USAGE_STATS_ENABLED"
    monkeypatch.delenv(reports, raising=False)
    monkeypatch.setattr(module, "is_initialized", lambda: False)
    monkeypatch.setattr(
        module, "init", lambda address, **_: begun.append((address, os.environ.get(reports)))
    )
    actors.connect()
    assert begun == [("local", "0")]
    assert reports not in os.environ


def test_nested_and_large_observations(ray: Any) -> None:
    how = {"nested": True, "side": 600}  # more than Ray sends in a message
    fleet = fleet_of("ray", **how)
    for expected, found in zip(play(fleet_of("serial", **how)), play(fleet), strict=True):
        check_same(expected, found)
    fleet.close()


def test_the_block_of_the_page_runs(ray: Any) -> None:
    found = re.findall(
        r'^```python title="Ray ([\d.]+)"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE
    )
    ((version, block),) = found
    assert version == ray.__version__
    exec(compile(block, "scaling.md", "exec"), {})


def test_where_instances_live(parallel: Any, ray: Any) -> None:
    stepped(parallel, started(parallel))
    (node,) = ray.nodes()
    places = parallel.workers
    assert [place.instances[0] for place in places] == [0, 1]
    for place in places:
        assert place.node.startswith(node["NodeManagerAddress"])
        assert node["NodeID"][:8] in place.node
    assert [place.process for place in places] == parallel.counts.processes
    names = [name for name in ray.util.list_named_actors() if name.startswith(f"{CARTPOLE}#")]
    assert len(names) == 2


def test_an_actor_starts_when_it_has_an_instance(ray: Any) -> None:
    env, params = envhub.make(CARTPOLE, workers="ray", num_workers=3, ray_options=SMALL)
    assert len(env.workers) == 1
    jax.vmap(env.reset, (0, None))(jax.random.split(KEY, 2), params)
    assert len(env.workers) == 2
    env.close()
    assert env.workers == []


@pytest.mark.parametrize("fault", [KILL, EXIT, CRASH])
def test_an_actor_dies_in_a_step(fault: int, fleet: Any) -> None:
    fleet.reset([0, 1], [0, 0])
    node = fleet.workers[1].node
    told = died_in_a_step(fault, fleet)
    assert told.startswith(f"its actor on node {node} died: ")
    assert told.endswith("; it ran the instances 1, 3, 5")


def test_states_outlive_an_actor(parallel: Any, serial: Any) -> None:
    outlive_a_worker(parallel, serial, "its actor on node .* died")
    # A state goes on where there are no actors, and there again.
    states = jax.tree.map(jnp.asarray, stepped(serial, started(serial)).state)
    check_the_same(stepped(parallel, states), stepped(serial, states))


def test_opaque_states_of_a_dead_actor_are_stale(ray: Any) -> None:
    how = {"workers": "ray", "num_workers": 2, "ray_options": SMALL}
    env, _ = envhub.make(CARTPOLE, **how, forkable=False)
    lost_opaque_states(env, "its actor on node .* died")
    env.close()


def test_members_of_a_fleet_live_in_actors(ray: Any) -> None:
    how = {"workers": "ray", "num_workers": 1, "ray_options": SMALL}
    fleet, _ = envhub.make_multi({"there": (CARTPOLE, how), "here": CARTPOLE})
    plain, _ = envhub.make_multi({"there": CARTPOLE, "here": CARTPOLE})
    found, expected = (envhub.rollout(each, None, None, KEY, 5) for each in (fleet, plain))
    for one, other in zip(
        jax.tree.leaves((found.obs, found.reward)),
        jax.tree.leaves((expected.obs, expected.reward)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    (place,) = fleet.find(HostEnvironment)["there"].workers
    assert place.node
    assert fleet.find(HostEnvironment)["here"].workers == []
    fleet.close()


def test_an_actor_that_hangs_is_replaced(ray: Any) -> None:
    options = {"workers": "ray", "num_workers": 2, "timeout": 2.0, "ray_options": SMALL}
    fleet: Any = make_fleet(Toy, Toy(), options, saves=True, info=())
    fleet.grow(5)
    before = fleet.reset([0, 1, 2, 3], [0] * 4)
    found = fleet.step([0, 1, 3], [STUCK, STEP, STEP])
    assert found.lanes == [1, 2]
    assert "its actor on node" in str(found.failures[0])
    assert "did not answer within timeout=2.0 s" in str(found.failures[0])
    assert found.lost == [2, 4]
    fleet.restore([0], before.saved[:1], before.obs[:1])
    assert [obs[0, 0] for obs in fleet.step([0, 1], [STEP, STEP]).obs] == [1, 2]
    fleet.close()


def test_an_interrupted_call_is_finished(parallel: Any) -> None:
    states = started(parallel)
    scan = jax.jit(
        lambda states: jax.lax.scan(
            lambda states, _: (jax.vmap(lambda key: parallel.reset(key)[1])(keys), None),
            states,
            None,
            100_000,
        )[0]
    )
    keys = jax.random.split(KEY, 4)
    compiled = scan.lower(states).compile()
    before = parallel.counts.processes
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(BaseException, match="KeyboardInterrupt") as caught:
        jax.block_until_ready(compiled(states))
    assert "KeyboardInterrupt" in repr(caught.value)
    assert stepped(parallel, started(parallel)).obs.shape == (4, 4)
    assert parallel.counts.processes == before


def test_ctrl_c_in_a_terminal_leaves_everybody_usable(ray: Any) -> None:
    check_ctrl_c("ray")  # with a cluster of its own, whose processes the terminal interrupts too


def test_an_actor_that_goes_on_after_an_interrupt_is_given_up(fleet: Any) -> None:
    before = fleet.reset([0, 1, 2, 3], [0] * 4)
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    found = fleet.step([0, 1], [STUCK, STEP])
    assert found.lanes == [1]
    assert isinstance(found.failures[0], KeyboardInterrupt)
    assert found.lost == [2, 4]
    fleet.restore([0, 2], before.saved[0:3:2], before.obs[0:3:2])
    assert [obs[0, 0] for obs in fleet.step([0, 1, 2], [STEP] * 3).obs] == [1, 2, 1]


# Starting.


def test_what_no_module_defines_travels(ray: Any) -> None:
    sent = {**SMALL, "runtime_env": {"env_vars": {"SIDE": "3"}}}
    options = {"workers": "ray", "num_workers": 1, "ray_options": sent}
    make = lambda: Toy(side=int(os.environ["SIDE"]))  # noqa: E731 (no module shall define it)
    fleet: Any = make_fleet(make, Toy(), options, saves=False, info=INFO)
    assert fleet.reset([0], [1]).obs[0].shape == (3, 3)
    fleet.close()


def test_what_cannot_be_pickled_is_refused_with_the_way_out(ray: Any) -> None:
    held = threading.Lock()
    options = {"workers": "ray", "num_workers": 1}
    with pytest.raises(errors.InvalidOptionError, match=r"cannot be pickled.*workers='thread'"):
        make_fleet(functools.partial(Toy, held), Toy(), options, saves=False, info=INFO)


def test_a_module_that_the_node_lacks_is_named(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from tests.host.toy import Toy\nclass Mine(Toy): ...\n"
    (tmp_path / "only_here.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    options = {"workers": "ray", "num_workers": 1, "ray_options": SMALL}
    fleet: Any = make_fleet(only_here.Mine, Toy(), options, saves=False, info=INFO)  # from its path
    fleet.close()
    (tmp_path / "only_here.py").unlink()
    for left in (tmp_path / "__pycache__").glob("*"):
        left.unlink()
    with pytest.raises(errors.InvalidOptionError, match=r"node .*'only_here'.*on every node"):
        make_fleet(only_here.Mine, Toy(), options, saves=False, info=INFO)
    del sys.modules["only_here"]


def another_installation(folder: Path) -> None:
    """Of an envhub of another version, as a node may have it where this process has its own."""
    unread = shutil.ignore_patterns("__pycache__", "*.json", "adapters")
    shutil.copytree(REPOSITORY / "envhub", folder / "envhub", ignore=unread)
    shutil.copytree(REPOSITORY / "adapters", folder / "envhub" / "adapters", ignore=unread)
    source = folder / "envhub" / "__init__.py"
    own = f'__version__ = "{envhub.__version__}"'
    text = source.read_text(encoding="utf-8")
    assert own in text
    source.write_text(text.replace(own, '__version__ = "0.0.7"'), encoding="utf-8")


def test_another_version_of_envhub_on_a_node_is_named(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_installation(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # this process has imported its own already
    here = re.escape(envhub.__version__)
    told = (
        rf"node \S+ \(\w+\) has other versions .*: envhub is {here} here and 0\.0\.7 there\. Inst"
    )
    with pytest.raises(errors.UnsupportedVersionError, match=told):
        envhub.make(CARTPOLE, workers="ray", num_workers=1, ray_options=SMALL)
    monkeypatch.undo()
    env, _ = envhub.make(CARTPOLE, workers="ray", num_workers=1, ray_options=SMALL)
    env.close()


def test_other_versions_of_a_suite_on_a_node_that_is_used_later_are_named(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, params = envhub.make(CARTPOLE, workers="ray", num_workers=2, ray_options=SMALL)
    for name in ("gymnasium", "numpy"):
        facts = tmp_path / f"{name}-0.0.7.dist-info" / "METADATA"
        facts.parent.mkdir()
        facts.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.7\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(errors.UnsupportedVersionError) as caught:  # the second actor starts here
        jax.vmap(env.reset, (0, None))(jax.random.split(KEY, 2), params)
    for name in ("gymnasium", "numpy"):
        assert re.search(rf"{name} is \d\S+ here and 0\.0\.7 there", str(caught.value))
    env.close()


def test_actors_that_find_no_room_are_an_error_that_says_what_is_free(
    ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = r"within 3 s: it needs 444 CPU, .* of \d+ CPU free"
    monkeypatch.setattr(parts, "STARTING", 3.0)
    with pytest.raises(errors.EnvHubError, match=told):
        envhub.make(CARTPOLE, workers="ray", num_workers=1, ray_options={"num_cpus": 444})
    monkeypatch.undo()  # what the error advises
    env, _ = envhub.make(CARTPOLE, workers="ray", num_workers=1, ray_options={"num_cpus": 0.5})
    env.close()


def test_what_ray_refuses_is_refused(ray: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"Ray refuses ray_options: .*num_cpuz"):
        envhub.make(CARTPOLE, workers="ray", ray_options={"num_cpuz": 1})


@pytest.mark.parametrize("ending", ["close", "collect"])
def test_nothing_is_left(ending: str, ray: Any) -> None:
    fleet = fleet_of("ray")
    fleet.reset([0, 1], [0, 0])
    pids = list(map(str, fleet.processes))
    assert len(pids) == 2
    if ending == "close":
        fleet.close()
        with pytest.raises(RuntimeError, match="closed"):
            fleet.step([0], [STEP])
    del fleet
    deadline = time.monotonic() + 20
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(runs, pids))


def test_a_cluster_that_goes_away(ray: Any, serial: Any) -> None:
    """It ends the module's cluster, and begins another."""
    env, _ = envhub.make(CARTPOLE, workers="ray", num_workers=1, ray_options=SMALL)
    states = stepped(env, started(env)).state
    ray.shutdown()
    with pytest.raises(errors.HostEnvError, match="the cluster of Ray that ran it is gone"):
        stepped(env, states)
    with pytest.raises(errors.HostEnvError, match=r"after ray\.init"):
        stepped(env, states)
    actors.connect()
    expected = stepped(serial, stepped(serial, started(serial)).state)
    check_the_same(stepped(env, states), expected)
    env.close()


def test_a_module_that_is_sent_to_the_nodes(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the error of a module that a node lacks advises; the last one, with its own cluster."""
    package = tmp_path / "sent_along"
    package.mkdir()
    source = "from tests.host.toy import Toy\nclass Mine(Toy): ...\n"
    (package / "__init__.py").write_text(source, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        module = importlib.import_module("sent_along")
    ray.shutdown()
    ray.init("local", include_dashboard=False, runtime_env={"py_modules": [str(package)]})
    options = {"workers": "ray", "num_workers": 1, "ray_options": SMALL}
    fleet: Any = make_fleet(module.Mine, Toy(), options, saves=False, info=INFO)
    assert fleet.reset([0], [1]).obs[0].shape == (4, 4)
    fleet.close()
    del sys.modules["sent_along"]
