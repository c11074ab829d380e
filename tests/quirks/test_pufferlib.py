"""What is peculiar to PufferLib, and to its Ocean where that is installed."""

from __future__ import annotations

import ctypes
import functools
import gc
import hashlib
import importlib.util
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envhub.adapters.pufferlib import facts, libc, suite
from envhub.adapters.pufferlib.suite import has_ocean

import envhub
from envhub import _versions, errors, registry, spaces

from ..conftest import REPOSITORY
from ..packages import needed
from ..processes import fresh

SUITE = registry.get("pufferlib")
USERS = "pufferlib::tests.quirks.puffer_envs"
RUNNING = [name for name in facts.OCEAN if name not in facts.BROKEN]
EMULATED = ("multiagent", "spaces")
REAL = ("breakout", "squared", "snake", "connect4", "trash_pickup", "drone")
STEPS = 150

with_ocean = pytest.mark.skipif(not has_ocean(), reason="pufferlib-core has no Ocean")
without_ocean = pytest.mark.skipif(has_ocean(), reason="Ocean is installed")
KEY = jax.random.key(0)


def instance(name: str, **options: Any) -> Any:
    """One environment as the adapter makes it, without the bridge."""
    return SUITE.instances(name, options)()  # type: ignore[attr-defined]


def users(name: str) -> Any:
    SUITE.load()
    from . import puffer_envs

    return getattr(puffer_envs, name)


def actions_of(one: Any, count: int) -> list[Any]:
    keys = jax.random.split(KEY, count)
    return list(np.asarray(jax.jit(jax.vmap(one.action_space.sample))(keys)))


def shown(step: Any) -> Any:
    return [np.asarray(each).tobytes() for each in step[:4]]


# Importing it.


@pytest.mark.parametrize("kept", [False, True])
def test_importing_it_leaves_no_trace(tmp_path: Path, kept: bool) -> None:
    if kept:
        (tmp_path / "resources").write_text("mine", encoding="utf-8")
    code = (
        "import json, os, sys, warnings, envhub, jax\n"  # jax and numpy add filters of their own
        "def state():\n"
        "    return [os.getcwd(), id(sys.stdout), id(sys.stderr), id(os.symlink),\n"
        "            *map(str, warnings.filters)]\n"
        "before = state()\n"
        "env, _ = envhub.make('pufferlib::CartPole-v1')\n"
        "print(json.dumps([before == state(), 'pufferlib' in sys.modules]))"
    )
    done = fresh(code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [True, True]
    assert [path.name for path in tmp_path.iterdir()] == ["resources"] * kept
    if kept:
        assert (tmp_path / "resources").read_text(encoding="utf-8") == "mine"


def test_either_distribution_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def only(name: str, version: str) -> None:
        installed = {name: version}
        monkeypatch.setattr(_versions, "installed_version", installed.get)

    only("pufferlib", "3.0.0")
    assert (SUITE.require_installed(), SUITE.provider()) == ("3.0.0", "pufferlib")
    only("pufferlib-core", "3.0.7")
    assert (SUITE.require_installed(), SUITE.provider()) == ("3.0.7", "pufferlib-core")
    only("pufferlib-core", "3.0.23")  # with torch
    assert SUITE.require_installed() == "3.0.23"
    only("pufferlib", "2.0.6")
    with pytest.raises(errors.UnsupportedVersionError):
        SUITE.require_installed()
    only("another", "1")
    with pytest.raises(errors.MissingDependencyError, match=r"envhub-rl\[pufferlib\]"):
        SUITE.require_installed()


# Ocean.


@with_ocean
def test_the_table_has_the_names_of_ocean() -> None:
    own = SUITE.load("ocean.environment").MAKE_FUNCTIONS
    assert sorted(own) == facts.OCEAN
    tables = (facts.BROKEN, facts.KEPT, facts.NOT_REPRODUCIBLE, facts.DRAWS_NOTHING)
    assert {name for table in tables for name in table} <= set(own)


@with_ocean
@pytest.mark.parametrize("name", [name for name in RUNNING if name not in facts.NOT_REPRODUCIBLE])
def test_the_seed_decides_the_episode(name: str) -> None:
    """Whatever was played before, and although others draw in between."""
    one, used, other = (instance(name) for _ in range(3))
    actions = actions_of(one, STEPS if one.env.num_agents < 100 else 20)
    if name in EMULATED:  # these do not reset by themselves
        actions = actions[:1]
    expected = [one.reset(5).tobytes(), *(shown(one.step(action)) for action in actions)]
    used.reset(9)
    for action in actions[:10]:
        used.step(action)
    seen = [used.reset(5).tobytes()]
    other.reset(3)
    for action in actions:
        step = used.step(action)
        seen.append(shown(step))
        other.step(action)
        assert used.observation_space.contains(step.obs)
    assert seen == expected
    assert envhub.capabilities(f"pufferlib::{name}").reproducible
    for each in (one, used, other):
        each.close()


@with_ocean
@pytest.mark.parametrize("name", REAL)
def test_an_episode_is_that_of_ocean_to_the_bit(name: str) -> None:
    own = SUITE.load("ocean").env_creator(f"puffer_{name}")(num_envs=1)
    env, params = envhub.make(f"pufferlib::{name}")
    assert env.num_agents == own.num_agents
    keys = jax.random.split(KEY, STEPS)
    actions = jax.jit(jax.vmap(env.action_space(params).sample))(keys)

    def play(key: Any) -> Any:
        obs, state = env.reset(key, params)

        def body(state: Any, inputs: Any) -> Any:
            result = env.step(inputs[0], state, inputs[1], params)
            return result.state, result._replace(state=None)

        return obs, jax.lax.scan(body, state, (keys, actions))[1]

    first, path = jax.jit(play)(KEY)
    agents = () if own.num_agents == 1 else (own.num_agents,)
    assert path.reward.shape == (STEPS, *agents)
    own.reset(seed=envhub.host_seed(KEY))
    np.testing.assert_array_equal(first, own.observations.reshape(first.shape))
    for index in range(STEPS):
        action = np.asarray(actions[index])
        own.step(action.reshape(own.num_agents, *own.single_action_space.shape))
        np.testing.assert_array_equal(path.obs[index], own.observations.reshape(first.shape))
        np.testing.assert_array_equal(path.reward[index], own.rewards.reshape(agents))
        np.testing.assert_array_equal(path.terminated[index], own.terminals.reshape(agents))
        if path.done[index].all():  # it goes on by itself, and a state here does not
            break
    own.close()
    env.close()


@pytest.mark.full
@with_ocean
def test_what_memory_held_before_decides_nothing() -> None:
    """In another process, where malloc fills it with something else."""
    names = [name for name in RUNNING if name not in facts.NOT_REPRODUCIBLE]
    told = [digests(names, MALLOC_PERTURB_=fill) for fill in ("1", "165")]
    assert told[0] == told[1]


CLOCK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

time_t time(time_t *place) {
    time_t now = atoi(getenv("SECONDS"));
    if (place) *place = now;
    return now;
}

int clock_gettime(clockid_t clock, struct timespec *place) {
    if (clock != CLOCK_REALTIME) return syscall(SYS_clock_gettime, clock, place);
    *place = (struct timespec){.tv_sec = time(NULL)};
    return 0;
}

pid_t getpid(void) { return 1; }  // terraform mixes it in
"""


@pytest.mark.full
@with_ocean
def test_what_the_clock_decides_nothing_else_decides(tmp_path: Path) -> None:
    """Under a clock that stands still, whatever memory held before."""
    names = [name for name, why in facts.NOT_REPRODUCIBLE.items() if why == facts.CLOCKS]
    library, source = tmp_path / "clock.so", tmp_path / "clock.c"
    source.write_text(CLOCK, encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    told = [
        digests(names, MALLOC_PERTURB_=fill, SECONDS=seconds, LD_PRELOAD=str(library))
        for fill, seconds in (("0", "5"), ("165", "5"), ("0", "6"))
    ]
    assert told[0] == told[1]
    assert all(told[0][name] != told[2][name] for name in names)


def digests(names: list[str], **variables: str) -> dict[str, str]:
    """Of each, in another process with these variables in its environment."""
    code = (
        "import sys\n"
        "from tests.quirks import test_pufferlib as here\n"
        f"print(*(here.digest(name) for name in {names!r}))"
    )
    told = fresh(code, cwd=REPOSITORY, env={**os.environ, **variables}, timeout=600).stdout
    return dict(zip(names, told.split(), strict=True))


def digest(name: str) -> str:
    """Of two episodes."""
    one, seen = instance(name), hashlib.sha256()
    actions = actions_of(one, STEPS if one.env.num_agents < 100 else 20)
    for seed in (1, 2):
        seen.update(one.reset(seed).tobytes())
        for action in actions[:1] if name in EMULATED else actions:
            seen.update(b"".join(shown(one.step(action))))
    return seen.hexdigest()


@with_ocean
def test_two_ways_to_call_it() -> None:
    for name in ("breakout", "puffer_breakout"):
        env, _ = envhub.make(f"pufferlib::{name}")
        assert env.spec is not None
        assert (env.spec.name, env.spec.distribution) == ("breakout", "pufferlib")
        assert env.spec.version == "3.0.0"
    batch, _ = envhub.make("pufferlib::breakout", num_envs=3, brick_rows=2)
    assert (batch.num_agents, batch.observation_space().shape) == (3, (3, 46))
    with pytest.raises(errors.InvalidOptionError, match="brick_rows"):
        envhub.make("pufferlib::breakout", brick_row=2)


@with_ocean
def test_what_ocean_itself_cannot_run_is_refused() -> None:
    for name in facts.BROKEN:
        assert not any(envhub.capabilities(f"pufferlib::{name}").as_dict().values())
        with pytest.raises(errors.UnavailableEnvError):
            envhub.make(f"pufferlib::{name}")


@with_ocean
def test_a_report_of_no_game_is_no_error() -> None:
    """As it is in PufferLib, where `connect4` reports every 128 steps."""
    one = instance("connect4")
    one.reset(0)
    for _ in range(140):
        one.reset(0)
        one.step(3)
    assert one.env.report_interval > 1_000_000


@without_ocean
def test_without_ocean_its_names_say_how_to_get_it() -> None:
    assert "breakout" not in SUITE.known_names()
    with pytest.raises(errors.UnavailableEnvError, match=r"scripts/build_ocean\.py"):
        envhub.make("pufferlib::breakout")
    assert "build_ocean" in envhub.capabilities("pufferlib::puffer_breakout").why("vmap_safe")


# C's generator.


def test_a_generator_of_ones_own() -> None:
    if not libc.has_own_generators():
        pytest.skip(reason="not glibc's rand")
    library = ctypes.CDLL(None)
    library.srand(7)
    expected = [library.rand() for _ in range(6)]
    library.srand(7)
    one, other = libc.OwnGenerator(), libc.OwnGenerator()
    seen: dict[Any, list[int]] = {one: [], other: [], None: []}
    for generator in (one, other):
        with generator:
            library.srand(7)
    for _ in range(6):
        for generator in (one, other):
            with generator:
                seen[generator].append(library.rand())
        seen[None].append(library.rand())
    assert list(seen.values()) == [expected] * 3


def test_where_there_is_none_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "has_own_generators", lambda: False)
    monkeypatch.setattr(suite, "has_ocean", lambda: True)
    found = envhub.capabilities("pufferlib::breakout")
    for flag in ("reproducible", "vmap_safe", "isolated_reset", "multi_device"):
        assert not getattr(found, flag)
        assert "C's generator" in found.why(flag)
    assert envhub.capabilities("pufferlib::freeway").reproducible
    monkeypatch.setattr(libc, "_library", lambda: None)
    with libc.OwnGenerator():  # does nothing
        pass
    assert not libc.has_own_generators.__wrapped__()


# What users bring.


def test_a_factory_by_its_place_and_by_keyword() -> None:
    by_place, _ = envhub.make(f"{USERS}:Walkers", num_envs=2, length=5)
    by_keyword, _ = envhub.make(
        "pufferlib::mine", env_creator=users("Walkers"), env_kwargs={"num_envs": 2, "length": 5}
    )
    for env in (by_place, by_keyword):
        assert env.unwrapped.length == 5
        assert env.num_agents == 2
        assert env.capabilities.reproducible  # as was tried out
    assert envhub.make(f"{USERS}:Walkers")[0].num_agents == 1  # the fewest there are
    before = envhub.capabilities("pufferlib::mine", env_creator=Walkers)
    assert "not known before it is made" in before.why("reproducible")


def Walkers() -> None:  # noqa: N802 (only its being there matters)
    raise AssertionError("not to be called")


def test_several_agents_are_the_leading_axis() -> None:
    env, params = envhub.make(f"{USERS}:Walkers", num_envs=3)
    assert env.observation_space(params) == spaces.Box(-99, 99, (3, 2), np.float32)
    assert env.action_space(params) == spaces.MultiDiscrete([3, 3, 3], env.action_space().dtype)
    obs, state = env.reset(KEY, params)
    start = int(obs[0, 0])
    step = jax.jit(env.step)
    result = step(KEY, state, jnp.array([0, 1, 2]), params)
    assert result.reward.tolist() == [0, 1, 2]
    assert result.reward.dtype == jnp.float32
    walked = [start, start + 1, start + 2]
    assert result.terminated.tolist() == [each >= 3 for each in walked]
    assert result.obs[:, 0].tolist() == [each if each < 3 else 0 for each in walked]
    assert result.done.shape == (3,)
    assert result.info == {}


def test_an_episode_goes_on_until_all_agents_are_done() -> None:
    env, params = envhub.make(f"{USERS}:Walkers", num_envs=2, length=4)
    obs, state = env.reset(KEY, params)
    step = jax.jit(env.step)
    ends = []
    for _ in range(2):  # of the first, alone
        result = step(KEY, state, jnp.array([2, 0]), params)
        ends.append(result.done.tolist())
        obs, state = result.obs, result.state
    assert sorted(ends) == [[False, False], [True, False]]
    _, state, *_ = step(KEY, state, 2 - obs[:, 0].astype(int), params)
    result = step(KEY, state, jnp.array([2, 2]), params)
    assert result.done.all()
    again = step(KEY, result.state, jnp.array([1, 1]), params)
    np.testing.assert_array_equal(again.obs, result.obs)
    assert again.done.all()
    assert not again.reward.any()


def test_several_agents_are_forked_by_replay() -> None:
    """A snapshot has the flags of each agent, where an episode has ended for one or for all."""
    env, params = envhub.make(f"{USERS}:Walkers", num_envs=3, forkable=True, max_instances=2)
    assert env.capabilities.how("forkable").startswith("by replay")
    step = jax.jit(env.step)
    obs, state = env.reset(KEY, params)
    path = []
    for number in range(6):
        speeds = jnp.array([2, 0, 1]) if number < 2 else 2 - obs[:, 0].astype(int)
        if number > 2:
            speeds = jnp.array([1, 1, 1])
        path.append((state, speeds, step(KEY, state, speeds, params)))
        obs, state = path[-1][-1][:2]
    ends = [tuple(result.done.tolist()) for *_, result in path]
    assert any(any(each) and not all(each) for each in ends)
    assert (True, True, True) in ends
    for seed in range(4):  # other episodes take the instances
        step(KEY, env.reset(jax.random.key(seed), params)[1], jnp.array([0, 0, 0]), params)
    for before, speeds, result in reversed(path):
        again = step(KEY, before, speeds, params)
        for name in ("obs", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
        other = step(KEY, before, 2 - speeds, params)
        assert before.snapshot.shape == other.state.snapshot.shape


def test_agents_under_vmap() -> None:
    env, params = envhub.make(f"{USERS}:Walkers", num_envs=3)
    keys = jax.random.split(KEY, 4)
    _, states = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
    actions = jnp.arange(12).reshape(4, 3) % 3
    result = jax.jit(jax.vmap(env.step, in_axes=(0, 0, 0, None)))(keys, states, actions, params)
    np.testing.assert_array_equal(result.reward, actions)
    assert result.obs.shape == (4, 3, 2)


def test_what_is_shown_is_a_copy() -> None:
    one = instance("tests.quirks.puffer_envs:Walkers", num_envs=2)
    obs = one.reset(0)
    step = one.step(np.array([1, 1]))
    kept = obs.copy(), *(np.copy(each) for each in step[:4])
    one.step(np.array([2, 2]))
    for each, copy in zip((obs, *step[:4]), kept, strict=True):
        np.testing.assert_array_equal(each, copy)


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.slow
def test_each_environment_is_closed_once(forgotten: bool) -> None:
    closed = users("Walkers").closed
    jax.clear_caches()
    gc.collect()  # those of other tests
    closed.clear()
    env, params = envhub.make(f"{USERS}:Walkers", num_envs=2)
    jax.block_until_ready(jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(KEY, 3), params))
    if not forgotten:
        env.close()
        assert len(closed) == 4  # one was for trying it out
        env.close()
    del env
    gc.collect()
    jax.clear_caches()
    gc.collect()
    assert len(closed) == len(set(closed)) == 4


def test_a_nested_environment_is_flattened_by_pufferlib() -> None:
    env, params = envhub.make(f"{USERS}:Nested")
    assert env.observation_space(params).shape == (5,)
    obs, state = env.reset(KEY, params)
    assert sorted(obs.tolist()) == [0, 0, 1, 1, 1]
    results = []
    for _ in range(4):
        results.append(env.step(KEY, state, jnp.array([1, 2]), params))
        state = results[-1].state
    assert [float(result.reward) for result in results] == [12] * 4
    assert [bool(result.truncated) for result in results] == [False] * 3 + [True]
    # It does not reset by itself: this is what was seen last.
    assert sorted(results[-1].obs.tolist()) == [1, 1, 1, 4, 4]
    assert results[-1].info == {"time": 0.5}


def test_a_parallel_environment_of_pettingzoo() -> None:
    env, params = envhub.make(f"{USERS}:Pair")
    assert env.num_agents == 2
    _, state = env.reset(KEY, params)
    result = env.step(KEY, state, jnp.array([0, 1]), params)
    assert result.obs.tolist() == [[0], [1]]
    assert result.reward.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "options", "error", "says"),
    [
        ("nonsense", {}, errors.UnknownEnvError, "env_creator"),
        ("breakou", {}, errors.UnknownEnvError, "Ocean"),
        ("CartPole-v7", {}, errors.UnknownEnvError, "CartPole-v1"),
        ("no.such.module:Factory", {}, errors.MissingDependencyError, "no.such.module"),
        ("tests.quirks.puffer_envs:None", {}, errors.UnknownEnvError, "None"),
        ("tests.quirks.puffer_envs:nothing", {}, errors.InvalidOptionError, "PufferEnv"),
        ("mine", {"env_creator": 3}, errors.InvalidOptionError, "env_creator"),
        ("mine", {"env_creator": dict, "buf": 3}, errors.InvalidOptionError, "buf"),
        ("FrozenLake-v1", {}, errors.UnavailableEnvError, "whole numbers"),
        ("phys2d/CartPole-v1", {}, errors.UnavailableEnvError, "gymnasium::phys2d"),
    ],
)
def test_what_cannot_be_made_says_why(
    name: str, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        envhub.make(f"pufferlib::{name}", **options)


def test_emulation_gives_whole_numbers_no_room() -> None:
    import gymnasium

    for name in ("FrozenLake-v1", "Blackjack-v1", "Taxi-v4"):
        create = functools.partial(gymnasium.make, name)
        if name in gymnasium.registry:
            with pytest.raises((errors.UnavailableEnvError, ValueError)):
                instance("mine", env_creator=create).reset(0)


# Emulated ones of Gymnasium.


def test_an_emulated_environment_can_do_what_gymnasiums_can() -> None:
    for name, options in (("CartPole-v1", {}), ("Hopper-v5", {}), ("LunarLander-v3", {})):
        emulated = envhub.capabilities(f"pufferlib::{name}", **options)
        assert emulated == envhub.capabilities(f"gymnasium::{name}", **options)
    env, params = envhub.make("pufferlib::CartPole-v1", masspole=0.5, max_episode_steps=9)
    own, own_params = envhub.make("gymnasium::CartPole-v1", masspole=0.5, max_episode_steps=9)
    assert type(env.unwrapped).__name__ == "GymnasiumPufferEnv"
    (obs, state), (own_obs, own_state) = env.reset(KEY, params), own.reset(KEY, own_params)
    np.testing.assert_array_equal(obs, own_obs)
    for action in (0, 1, 0, 1, 0, 1, 0, 1, 0):
        result = env.step(KEY, state, action, params)
        expected = own.step(KEY, own_state, action, own_params)
        np.testing.assert_array_equal(result.obs, expected.obs)
        assert (result.terminated, result.truncated) == (expected.terminated, expected.truncated)
        state, own_state = result.state, expected.state
    assert result.truncated
    assert not result.terminated


def test_emulation_bends_no_value() -> None:
    """PufferLib alone makes zeros of it."""
    gymnasium = needed("gymnasium")
    box = gymnasium.spaces.Box(0, 255, (4,), np.uint8)

    def camera() -> Any:
        pole = gymnasium.make("CartPole-v1")
        return gymnasium.wrappers.TransformObservation(pole, lambda _: np.full(4, shown), box)

    gymnasium.register("Camera-v0", camera)
    try:
        shown: Any = np.uint8(7)
        env, _ = envhub.make("pufferlib::Camera-v0")
        obs, state = env.reset(KEY)
        assert obs.tolist() == [7] * 4
        shown = 0.5
        with pytest.raises(errors.HostEnvError, match=r"is 0.5, which uint8\[4\] cannot"):
            env.step(KEY, state, 0)
    finally:
        del gymnasium.registry["Camera-v0"]


@pytest.mark.parametrize(
    ("obs", "ends", "message"),
    [
        (np.array([0.4, 0.9]), False, r"is 0\.4, which uint8\[2\] cannot"),
        (np.zeros(2, np.uint8), 0.5, "terminated is 0.5, which bool cannot hold"),
    ],
)
def test_emulation_bends_no_value_of_what_a_factory_makes(
    obs: Any, ends: Any, message: str
) -> None:
    gymnasium = needed("gymnasium")

    class Later(gymnasium.Env):  # type: ignore[misc, name-defined]
        observation_space = gymnasium.spaces.Box(0, 255, (2,), np.uint8)
        action_space = gymnasium.spaces.Discrete(2)
        answer: Any = (np.zeros(2, np.uint8), 1.0, False, False, {})

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            return np.zeros(2, np.uint8), {}

        def step(self, action: Any) -> Any:
            return self.answer

    made = instance("mine", env_creator=Later)
    made.reset(0)
    made.step(0)
    made.env.env.env.answer = (obs, 1.0, ends, False, {})
    with pytest.raises(ValueError, match=message):
        made.step(0)


def test_a_snapshot_continues_in_an_instance_of_another_history() -> None:
    one, other = instance("MountainCarContinuous-v0"), instance("MountainCarContinuous-v0")
    actions = actions_of(one, 40)
    one.reset(1)
    for action in actions[:20]:
        obs = one.step(action).obs
    saved = one.save()
    expected = [shown(one.step(action)) for action in actions[20:]]
    for _ in range(2):
        other.restore(saved, obs)
        assert [shown(other.step(action)) for action in actions[20:]] == expected


# Building Ocean.


@pytest.fixture
def script() -> Any:
    path = REPOSITORY / "scripts" / "build_ocean.py"
    spec = importlib.util.spec_from_file_location("build_ocean", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_says_what_is_missing(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def says(*arguments: str) -> str:
        assert script.main(arguments) == 1
        told: str = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    absent, other = tmp_path / "absent.tar.gz", tmp_path / "other.tar.gz"
    other.write_bytes(b"something else")
    assert "no file" in says("--sdist", str(absent))
    assert "SHA-256" in says("--sdist", str(other))
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "no-such-compiler" in says("--sdist", str(other))
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    assert "pip install setuptools numpy" in says()
    monkeypatch.setattr(script.sys, "platform", "darwin")
    assert "Linux" in says()


def test_the_script_changes_the_sdist(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / f"pufferlib-{script.VERSION}"
    for name in (*script.LEFT_OUT, "pufferlib/ocean/breakout"):
        (tree / name).mkdir(parents=True)
    sdist = tmp_path / "sdist.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(tree, tree.name)
    digest = script.hashlib.sha256(sdist.read_bytes()).hexdigest()
    monkeypatch.setattr(script, "SHA256", digest)
    changed = script.unpack(sdist, tmp_path / "work")
    assert {path.name for path in changed.iterdir()} == {*script.NOT_DOWNLOADED, "pufferlib"}
    assert os.listdir(changed / "pufferlib" / "ocean") == ["breakout"]


def test_stand_ins_are_modules(script: Any, tmp_path: Path) -> None:
    script.write_module(tmp_path, "torch/utils/cpp_extension.py", "CUDA_HOME = None\n")
    code = "import torch.utils.cpp_extension as it; print(it.CUDA_HOME)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert fresh(code, env=environment).stdout == "None\n"
