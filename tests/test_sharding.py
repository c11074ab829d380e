"""A batch that is split over devices gives what one device gives."""

from __future__ import annotations

import functools
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import envhub
from envhub import errors, wrappers
from envhub.testing.second_process import arrays_of
from envhub.vector import VectorEnv
from envhub.wrappers._base import Wrapper

from . import one_of_two_processes
from .conftest import REPOSITORY
from .devices import NUM_DEVICES, why_not

if NUM_DEVICES < 4:
    pytest.skip(reason=why_not(4), allow_module_level=True)

KEY, NUM, STEPS = jax.random.key(0), 8, 12
sharding: Any = jax.sharding
Spec = sharding.PartitionSpec
MESH = sharding.Mesh(np.array(jax.devices()), ("devices",))
# Its axes are explicit where JAX has such.
GRID = jax.make_mesh((2, 2), ("rows", "columns"))

NATIVE = [
    ("gymnax::CartPole-v1", {"max_steps_in_episode": 5}),
    ("navix::Navix-Empty-5x5-v0", {"max_steps": 5}),
    ("brax::fast", {"episode_length": 5}),
]  # Craftax, which compiles for a minute and a half here, has the check `multi_device`.
CARTPOLE = NATIVE[0]
ON_THE_HOST = [
    ("gymnasium::CartPole-v1", {"max_episode_steps": 5, "forkable": True}),
    (
        "gymnasium::CartPole-v1",
        {"max_episode_steps": 5, "forkable": False, "autoreset": "next_step"},
    ),
]


def rollout(venv: Any, actions: Any, key: Any, params: Any = None) -> Any:
    """What is seen of a reset and some steps, and the last state."""
    obs, state = venv.reset(key, params)

    def body(state: Any, given: Any) -> Any:
        key, action = given
        result = venv.step(key, state, action, params)
        return result.state, result._replace(state=None)

    state, results = lax.scan(body, state, (jax.random.split(key, STEPS), actions))
    return (obs, results), state


def some_actions(venv: Any) -> Any:
    """Drawn beforehand: on a grid, XLA (0.4.35) draws others where the program is split."""
    return jax.vmap(venv.action_space().sample)(jax.random.split(KEY, STEPS))


def run(venv: Any, key: Any = KEY, params: Any = None) -> Any:
    return jax.jit(functools.partial(rollout, venv))(some_actions(venv), key, params)


def same(one: Any, other: Any) -> None:
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def are_split(tree: Any, expected: Any) -> bool:
    """Whether the leading axis of each array, and it alone, is split so."""
    leaves = jax.tree.leaves(tree)
    return all(leaf.sharding.is_equivalent_to(expected, leaf.ndim) for leaf in leaves)


@pytest.mark.parametrize(("env_id", "options"), NATIVE)
@pytest.mark.slow
def test_four_devices_give_bit_for_bit_what_one_gives(env_id: str, options: Any) -> None:
    alone, _ = envhub.make_vec(env_id, NUM, **options)
    split, _ = envhub.make_vec(env_id, NUM, mesh=MESH, **options)
    expected, found = run(alone), run(split)
    assert expected[0][1].done.sum() >= 2 * NUM
    same(found, expected)
    (first, _), state = found
    assert are_split((first, state), split.sharding)
    assert split.sharding == sharding.NamedSharding(MESH, Spec("devices"))


host_on_devices = pytest.mark.skipif(
    jax.__version_info__ < (0, 5), reason="jax 0.4.35 hangs now and then, so this is refused there"
)


@host_on_devices
@pytest.mark.parametrize(("env_id", "options"), ON_THE_HOST)
def test_one_host_serves_four_devices(env_id: str, options: Any) -> None:
    alone, _ = envhub.make_vec(env_id, NUM, **options)
    split, _ = envhub.make_vec(env_id, NUM, mesh=MESH, **options)
    expected, (found, state) = run(alone)[0], run(split)
    assert expected[1].done.sum() >= 2 * NUM
    same(found, expected)
    assert are_split((found[0], state), split.sharding)
    jaxpr = jax.make_jaxpr(split.step)(KEY, state, jnp.zeros(NUM, jnp.int32))
    assert str(jaxpr).count("host_callback[") == 1
    handles = np.asarray(split.env.inner_state(state).handle)
    assert len(np.unique(handles[:, 0])) == NUM


@host_on_devices
def test_as_many_instances_live_as_the_devices_need_together() -> None:
    num_envs = 300  # which is more than the 256 of one device
    venv, _ = envhub.make_vec("gymnasium::CartPole-v1", num_envs, mesh=MESH, forkable=False)
    _, state = venv.reset(KEY)
    assert venv.step(KEY, state, np.zeros(num_envs, np.int32)).obs.shape == (num_envs, 4)
    venv.close()


@host_on_devices  # and where one program fails there, all later ones do
def test_an_error_of_the_host_is_raised_as_it_is() -> None:
    venv, _ = envhub.make_vec("gymnasium::CartPole-v1", NUM, mesh=MESH)
    _, state = venv.reset(KEY)
    with pytest.raises(errors.InvalidActionError, match="7 lies outside"):
        venv.step(KEY, state, np.full(NUM, 7))
    with pytest.raises(errors.InvalidActionError, match="shape"):
        venv.step(KEY, state, np.zeros((NUM, 2)))
    # A state is as good as before; and JAX forgets the error, which it keeps for its next barrier.
    assert venv.step(KEY, state, np.zeros(NUM, np.int32)).reward.all()


@pytest.mark.parametrize(
    "split",
    [
        {"mesh": GRID},
        {"sharding": sharding.NamedSharding(GRID, Spec("rows"))},
        {"sharding": sharding.NamedSharding(GRID, Spec(None))},
    ],
    ids=["all axes", "copies over columns", "copies everywhere"],
)
@pytest.mark.slow
def test_over_a_grid_and_under_vmap(split: Any) -> None:
    env_id, options = CARTPOLE
    alone, _ = envhub.make_vec(env_id, NUM, **options)
    venv, _ = envhub.make_vec(env_id, NUM, **split, **options)
    same(run(venv), run(alone))
    keys = jax.random.split(KEY, 3)
    of_seeds = jax.jit(jax.vmap(functools.partial(rollout, venv, some_actions(venv))))(keys)
    same(jax.tree.map(lambda leaf: leaf[1], of_seeds), run(alone, keys[1]))
    obs, state = venv.reset(KEY)
    expected = split.get("sharding") or sharding.NamedSharding(GRID, Spec(("rows", "columns")))
    assert are_split((obs, state), expected)


@pytest.mark.slow
def test_batched_params_are_split_and_others_are_on_all_devices() -> None:
    env_id, _ = CARTPOLE
    limits = np.arange(2, 2 + NUM, dtype=np.int32)
    alone, params = envhub.make_vec(env_id, NUM, batched_params=True)
    split, _ = envhub.make_vec(env_id, NUM, batched_params=True, mesh=MESH)
    params = params.replace(max_steps_in_episode=limits)
    found, expected = run(split, KEY, params), run(alone, KEY, params)
    for a, b in zip(arrays_of(found), arrays_of(expected), strict=True):
        # Two compilations may round a sum of products in two ways.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[0][1].truncated.sum(0), STEPS // limits)
    one, params = envhub.make_vec(env_id, NUM, mesh=MESH)
    placed = jax.device_put(
        params.replace(max_steps_in_episode=np.int32(4)), sharding.NamedSharding(MESH, Spec())
    )
    ends = run(one, KEY, placed)[0][1].truncated
    np.testing.assert_array_equal(ends.sum(0), np.full(NUM, STEPS // 4))


class MeanReward(Wrapper):
    """Tells in `info` the mean of something of all lanes of some axes."""

    def __init__(self, env: Any, axes: Any) -> None:
        super().__init__(env)
        self.axes = axes

    def step_env(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        result = self.env.step(key, state, action, params)
        return result._replace(info={"mean": lax.pmean(result.obs, self.axes)})


@pytest.mark.parametrize(
    "env_id",
    ["gymnax::CartPole-v1", pytest.param("gymnasium::CartPole-v1", marks=host_on_devices)],
)
def test_statistics_over_the_batch(env_id: str) -> None:
    env, _ = envhub.make(env_id)
    over_all = sharding.NamedSharding(MESH, Spec("devices"))
    batches = {
        "alone": VectorEnv(MeanReward(env, "envs"), NUM),
        "parts": VectorEnv(MeanReward(env, "envs"), NUM, sharding=over_all),
        "all": VectorEnv(MeanReward(env, ("devices", "envs")), NUM, sharding=over_all),
    }
    for name, venv in batches.items():
        results = run(venv)[0][1]
        size = 2 if name == "parts" else NUM
        groups = np.asarray(results.obs).reshape(STEPS, -1, size, 4)
        expected = np.repeat(groups.mean(2), size, axis=1)
        np.testing.assert_allclose(results.info["mean"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_envs": 6, "mesh": MESH}, "num_envs=6 .* 4 shards"),
        ({"mesh": MESH, "sharding": sharding.NamedSharding(MESH, Spec())}, "not both"),
        ({"mesh": 4}, "Mesh, got 4"),
        ({"sharding": jax.devices()[0]}, "NamedSharding"),
        ({"sharding": sharding.NamedSharding(GRID, Spec("rows", "columns"))}, "leading axis"),
        pytest.param(
            {
                "env_id": "gymnasium::CartPole-v1",
                "sharding": sharding.NamedSharding(GRID, Spec("rows")),
            },
            "callback environment",
            marks=host_on_devices,
        ),
    ],
)
def test_what_cannot_be_split_is_refused(given: Any, message: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=message):
        envhub.make_vec(**{"env_id": "gymnax::CartPole-v1", "num_envs": NUM, **given})


def test_what_needs_one_device_is_not_split() -> None:
    env, _ = envhub.make("gymnax::CartPole-v1")
    env.capabilities = env.capabilities.without(multi_device="it has one board.")
    over_all = sharding.NamedSharding(MESH, Spec("devices"))
    with pytest.raises(errors.MissingCapabilityError, match="it has one board"):
        VectorEnv(wrappers.AutoReset(env), NUM, sharding=over_all)
    one = sharding.NamedSharding(sharding.Mesh(np.array(jax.devices()[:1]), ("one",)), Spec("one"))
    VectorEnv(env, NUM, sharding=one).reset(KEY)


@pytest.mark.full
def test_two_processes_share_a_batch(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    flags = os.environ["XLA_FLAGS"].replace("device_count=4", "device_count=2")
    command, processes = [sys.executable, "-m", one_of_two_processes.__name__], []
    logs = [tmp_path / "0", tmp_path / "1"]
    try:
        for log in logs:
            with log.open("wb") as file:
                process = subprocess.Popen(
                    [*command, log.name, port],
                    cwd=REPOSITORY,
                    env={**os.environ, "XLA_FLAGS": flags},
                    stdout=file,
                    stderr=file,
                )
            processes.append(process)
        end = time.monotonic() + 120
        # Where one fails, the other waits for it in vain.
        while time.monotonic() < end and {each.poll() for each in processes} <= {None, 0}:
            if all(each.poll() == 0 for each in processes):
                break
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    shown = [log.read_text(encoding="utf-8") for log in logs]
    assert [each.returncode for each in processes] == [0, 0], "\n".join(shown)
    for env_id in one_of_two_processes.SUITES:
        for text in shown:
            ended = re.search(f"{env_id}: ([0-9]+) episodes ended", text)
            assert ended is not None
            assert int(ended[1]) > 0
