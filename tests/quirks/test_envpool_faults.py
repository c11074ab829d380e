"""What goes wrong around EnvPool: Ctrl-C, pools and threads that stay, and names that crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from envhub.adapters.envpool.facts import EXACT, STREAM
from envhub.adapters.envpool.fleet import PoolFleet

import envhub
from envhub import registry
from tests.presses import Presses

from ..conftest import REPOSITORY
from ..packages import needed

envpool: Any = needed("envpool")
SUITE: Any = registry.get("envpool")
KEY = jax.random.key(0)
SHARDS = 4


def resident() -> int:
    """Bytes of memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def threads() -> set[str]:
    """Which there are: those of other tests' garbage end when they like, so none is counted."""
    return set(os.listdir("/proc/self/task"))


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_a_step_leaves_the_pools_usable() -> None:
    """An answer that nobody received would be the next one's."""
    env, params = envhub.make("envpool::CartPole-v1", seeding=EXACT)
    obs, kept = env.reset(KEY, params)
    stepped, rng = np.asarray(env.step(KEY, kept, 0, params).obs), np.random.default_rng(0)

    def step_until_interrupted() -> None:
        while True:
            env.step(KEY, env.reset(KEY, params)[1], 0, params)

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt), Presses(rng.uniform(0, 0.01)):
            step_until_interrupted()
        again, state = env.reset(KEY, params)
        np.testing.assert_array_equal(again, obs)
        np.testing.assert_array_equal(env.step(KEY, state, 0, params).obs, stepped)
    env.close()


def test_closing_an_environment_ends_the_threads_of_its_pools() -> None:
    def own(before: set[str]) -> tuple[set[str], set[str]]:
        env, params = envhub.make_vec("envpool::CartPole-v1", 4, num_threads=3)
        env.reset(KEY, params)
        there = threads() - before
        env.close()
        return there, there & threads()

    own(set())  # and JAX has its threads
    there, left = own(threads())
    assert len(there) >= 3
    assert left == set()


@pytest.mark.full
@pytest.mark.parametrize("seeding", [EXACT, STREAM])
def test_a_hundred_thousand_resets_take_no_memory(seeding: str) -> None:
    fleet, lanes = PoolFleet(SUITE.recipe("CartPole-v1", {}), is_exact=seeding == EXACT), 10
    fleet.grow(lanes - 1)

    def reset(times: int) -> None:
        for turn in range(times // lanes):
            fleet.reset(np.arange(lanes), [turn] * lanes)

    reset(10_000)
    before = resident()
    reset(100_000)
    assert resident() - before < 100e6
    fleet.close()


THROWS = """
import jax, numpy as np, envhub
from envhub import errors, registry
from envhub.adapters.envpool.fleet import PoolFleet
env, params = envhub.make("envpool::MiniGrid-DoorKey-5x5-v0")
_, state = env.reset(jax.random.key(0), params)
try:
    env.step(jax.random.key(0), state, 99, params)
except errors.InvalidActionError:
    print("refused", flush=True)
fleet = PoolFleet(registry.get("envpool").recipe("MiniGrid-DoorKey-5x5-v0", {}), is_exact=True)
fleet.reset(np.arange(1), [0])
fleet.step(np.arange(1), np.array([99]))
print("survived", flush=True)
"""


@pytest.mark.full
def test_what_makes_a_thread_of_envpool_throw_is_refused_before_it_reaches_it() -> None:
    """Nothing can catch it: EnvPool prints what it missed, and aborts the whole process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", THROWS],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.stdout.split() == ["refused"]
    assert done.returncode == -signal.SIGABRT
    assert "Check failed" in done.stderr


LEFT_OUT = ("envpool_assets-", "__editable__")
WITHOUT_ASSETS = """
import sys
sys.path.insert(0, sys.argv[1])
import envhub
try:
    envhub.make("envpool::CoinrunEasy-v0")
except envhub.errors.MissingDependencyError as error:
    print(error)
"""


@pytest.mark.full
def test_absent_assets_are_noticed_before_envpool_ends_the_process(tmp_path: Path) -> None:
    """All that is installed here, but for the package of the assets of Procgen."""
    if gap := SUITE.gap("CoinrunEasy-v0", {}):
        pytest.skip(reason=gap.reason)
    for file in Path(envpool.__file__).parents[1].iterdir():
        if file.name != "envpool_assets" and not file.name.startswith(LEFT_OUT):
            (tmp_path / file.name).symlink_to(file)
    done = subprocess.run(
        [sys.executable, "-S", "-c", WITHOUT_ASSETS, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert "is installed without envpool-assets<" in done.stdout, done.stderr[-2000:]
    assert done.returncode == 0


@pytest.mark.full
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_name_is_made_reset_and_stepped(shard: int, tmp_path: Path) -> None:
    """In a process that goes on behind a name that ends it."""
    there = [name for name in SUITE.live_names() if not SUITE.gap(name, {})]
    names, ended = there[shard::SHARDS], {}
    while names:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.each_envpool", *names],
            cwd=tmp_path,  # ViZDoom leaves a file in the working directory
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=1800,
        )
        names = names[len(done.stdout.splitlines()) :]
        if names:
            ended[names.pop(0)] = done.returncode, done.stderr[-300:]
    assert ended == {}
