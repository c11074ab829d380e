"""What goes wrong around EnvPool: Ctrl-C, and pools and threads that stay."""

from __future__ import annotations

import os
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

from ..packages import needed

envpool: Any = needed("envpool")
SUITE: Any = registry.get("envpool")
KEY = jax.random.key(0)


def resident() -> int:
    """Bytes of memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


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
    def count() -> tuple[int, int]:
        env, params = envhub.make_vec("envpool::CartPole-v1", 4, num_threads=3)
        env.reset(KEY, params)
        there = threads()
        env.close()
        return there, threads()

    _, before = count()  # and JAX has its threads
    there, after = count()
    assert there >= before + 3
    assert after == before


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
