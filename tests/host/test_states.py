"""States of the bridge as values: forked, evicted, foreign, damaged, carried elsewhere."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any, ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host import transport
from envhub.wrappers import AutoReset

KEY = jax.random.key(0)
CARTPOLE = "gymnasium::CartPole-v1"


def walk(env: Any, state: Any, actions: Any) -> Any:
    results = []
    for action in actions:
        results.append(env.step(KEY, state, jnp.int32(action)))
        state = results[-1].state
    return results


def test_two_slots_serve_four_live_states() -> None:
    small, _ = envhub.make(CARTPOLE, max_instances=2)
    large, _ = envhub.make(CARTPOLE)
    keys = jax.random.split(KEY, 4)
    shown = []
    for env in (small, large):
        states = jax.vmap(lambda key, env=env: env.reset(key)[1])(keys)
        step = jax.jit(jax.vmap(lambda state, env=env: env.step(KEY, state, 1)))
        for _ in range(5):
            result = step(states)
            states = result.state
        shown.append(np.asarray(result.obs))
    np.testing.assert_array_equal(*shown)
    assert small.counts.instances == 2


def test_more_opaque_environments_than_slots_is_an_error() -> None:
    env, _ = envhub.make(CARTPOLE, forkable=False, max_instances=2)
    reset = jax.jit(jax.vmap(env.reset))
    with pytest.raises(Exception, match="max_instances"):
        jax.block_until_ready(reset(jax.random.split(KEY, 4)))
    assert isinstance(env.last_error, errors.StaleStateError)  # which jit turned into a text
    _, state = env.reset(KEY)  # and it is usable
    env.step(KEY, state, 1)


def test_an_opaque_state_is_stepped_once_or_the_same_way_again() -> None:
    env, _ = envhub.make(CARTPOLE, forkable=False)
    _, state = env.reset(KEY)
    first, again = env.step(KEY, state, 1), env.step(KEY, state, 1)
    np.testing.assert_array_equal(first.obs, again.obs)
    with pytest.raises(errors.StaleStateError, match="forkable=True"):
        env.step(KEY, state, 0)
    env.step(KEY, first.state, 0)  # the newest state is as good as ever
    with pytest.raises(errors.StaleStateError, match="stepped further"):
        env.step(KEY, state, 1)


def test_a_refused_batch_moves_nothing() -> None:
    env, _ = envhub.make(CARTPOLE, forkable=False)
    _, states = jax.vmap(env.reset)(jax.random.split(KEY, 2))
    before = env.counts.steps
    with pytest.raises(errors.InvalidActionError, match="outside"):
        jax.vmap(lambda state, action: env.step(KEY, state, action))(states, jnp.array([1, 7]))
    assert env.counts.steps == before
    jax.vmap(lambda state: env.step(KEY, state, 1))(states)


def test_the_end_is_a_latch() -> None:
    for forkable in (False, True):
        env, _ = envhub.make(CARTPOLE, forkable=forkable)
        _, state = env.reset(KEY)
        last = walk(env, state, [1] * 20)[-1]
        steps = env.counts.steps
        after = env.step(KEY, last.state, 0)
        assert last.terminated
        assert after.terminated
        assert env.counts.steps == steps
        np.testing.assert_array_equal(after.obs, last.obs)
        np.testing.assert_array_equal(after.state.handle, last.state.handle)


def test_a_state_continues_in_another_environment() -> None:
    """As in another process: a snapshot needs nothing of the pool that made it."""
    one, _ = envhub.make(CARTPOLE)
    _, state = one.reset(KEY)
    state = walk(one, state, [0, 1, 1])[-1].state
    expected = walk(one, state, [1, 0, 0])
    one.close()
    other, _ = envhub.make(CARTPOLE, max_instances=3)  # which is not what a snapshot is about
    for a, b in zip(expected, walk(other, state, [1, 0, 0]), strict=True):
        np.testing.assert_array_equal(a.obs, b.obs)


def test_states_of_others_are_refused() -> None:
    env, _ = envhub.make(CARTPOLE)
    opaque, _ = envhub.make(CARTPOLE, forkable=False)
    opaque_too, _ = envhub.make(CARTPOLE, forkable=False)
    _, foreign = opaque_too.reset(KEY)
    with pytest.raises(errors.StaleStateError, match="another environment"):
        opaque.step(KEY, foreign, 1)
    with pytest.raises(errors.InvalidStateError):
        env.step(KEY, foreign, 1)
    _, state = opaque.reset(KEY)
    opaque.close()
    with pytest.raises(Exception, match="closed"):
        opaque.step(KEY, state, 1)


@pytest.mark.parametrize("position", [0, 16, 30])  # its hash, whose it is, and what it holds
def test_a_damaged_snapshot_is_not_restored(position: int) -> None:
    env, _ = envhub.make(CARTPOLE)
    _, state = env.reset(KEY)
    assert state.snapshot is not None
    snapshot = state.snapshot.at[position].add(1)
    elsewhere = state._replace(handle=jnp.zeros(3, jnp.uint32), snapshot=snapshot)
    steps = env.counts.steps
    with pytest.raises(errors.InvalidStateError, match="damaged"):
        env.step(KEY, elsewhere, 1)
    assert env.counts.steps == steps


def test_params_change_the_physics_and_leave_no_trace() -> None:
    env, params = envhub.make(CARTPOLE)
    _, state = env.reset(KEY, params)
    heavy = params.replace(masspole=jnp.float32(5))
    plain = env.step(KEY, state, 1, params).obs
    changed = env.step(KEY, state, 1, heavy).obs
    assert not np.array_equal(plain, changed)
    np.testing.assert_array_equal(env.step(KEY, state, 1, params).obs, plain)
    lanes = jax.tree.map(lambda *leaves: jnp.stack(leaves), params, heavy)
    both = jax.jit(jax.vmap(lambda params: env.step(KEY, state, 1, params).obs))(lanes)
    np.testing.assert_array_equal(both, [plain, changed])


def test_params_of_mujocos_model() -> None:
    env, params = envhub.make("gymnasium::Hopper-v5")
    _, state = env.reset(KEY, params)
    light = params.replace(gravity=jnp.zeros(3))
    action = jnp.zeros(3)
    plain, floating = (env.step(KEY, state, action, each).obs for each in (params, light))
    assert not np.allclose(plain, floating)
    np.testing.assert_array_equal(env.step(KEY, state, action, params).obs, plain)


def test_what_cannot_be_forked_says_so() -> None:
    assert not envhub.capabilities("gymnasium::LunarLander-v3").forkable
    assert not envhub.capabilities(CARTPOLE, forkable=False).forkable
    with pytest.raises(errors.MissingCapabilityError, match="Box2D"):
        envhub.make("gymnasium::LunarLander-v3", snapshots="saved")
    with pytest.raises(errors.InvalidOptionError, match="omit one"):
        envhub.make("gymnasium::LunarLander-v3", snapshots="replay", forkable=False)


@pytest.mark.parametrize("name", ["max_instances", "snapshot_size", "forkable", "replay_steps"])
@pytest.mark.parametrize("value", [0, -1, "many", 1.5])
def test_options_of_the_bridge_are_checked(name: str, value: Any) -> None:
    if name == "forkable" and value == 0:
        return  # False, as Python has it
    with pytest.raises(errors.InvalidOptionError, match=name):
        envhub.make(CARTPOLE, **{name: value})


@pytest.mark.parametrize("env_id", [CARTPOLE, "gymnasium::LunarLander-v3"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("snapshots", "saves"), ("snapshots", np.zeros(2)), ("replay_cache", -1), ("replay_steps", 0)],
)
def test_so_are_those_of_replays(env_id: str, name: str, value: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match=name):
        envhub.make(env_id, **{"forkable": True, name: value})


def test_a_collected_environment_frees_its_instances() -> None:
    env, _ = envhub.make(CARTPOLE)
    _, state = env.reset(KEY)
    env.step(KEY, state, 1)
    pool = weakref.ref(env.unwrapped)
    del env
    gc.collect()
    assert pool() is None, "a compiled program keeps the instances alive"


@pytest.mark.slow
def test_a_program_outlives_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "force_portable", True)  # where JAX does not wait for the host

    def started() -> tuple[Any, Any]:
        env, _ = envhub.make(CARTPOLE)

        @jax.jit
        def play(key: Any) -> Any:
            _, state = env.reset(key)
            body = lambda state, _: env.step(KEY, state, 0)[1:3]  # noqa: E731
            return jax.lax.scan(body, state, None, 1000)[1].sum()

        return weakref.ref(env.unwrapped), play(KEY)

    pool, total = started()
    gc.collect()
    assert 5 < total < 15
    del total
    gc.collect()
    assert pool() is None


@pytest.mark.full
def test_resets_and_steps_leak_nothing() -> None:
    """A hundred thousand resets and a million steps: 50 MB and no descriptor."""
    env, _ = envhub.make(CARTPOLE, forkable=False)
    keys = jax.random.split(KEY, 200)

    @jax.jit
    def round_of(keys: Any) -> Any:
        _, states = jax.vmap(env.reset)(keys)

        def body(states: Any, _: Any) -> Any:
            return jax.vmap(lambda state: env.step(KEY, state, 1))(states).state, None

        return jax.lax.scan(body, states, None, 10)[0].handle

    def used() -> tuple[float, int]:
        with open("/proc/self/statm", encoding="utf-8") as statm:
            pages = int(statm.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd"))

    for _ in range(10):
        jax.block_until_ready(round_of(keys))
    memory, descriptors = used()
    for _ in range(500):
        jax.block_until_ready(round_of(keys))
    grown, more = used()
    assert grown - memory < 50
    assert more <= descriptors


def test_an_episode_starts_in_the_instance_in_which_the_last_one_ended() -> None:
    """What is known of the end stays, and the step to it is not taken twice."""
    env, params = envhub.make(CARTPOLE, forkable=False, max_episode_steps=3)
    auto = AutoReset(env)
    step = jax.jit(jax.vmap(auto.step, in_axes=(0, 0, 0, None)))
    plain = jax.jit(jax.vmap(env.step, in_axes=(None, 0, 0, None)))
    keys, actions = jax.random.split(KEY, 3), jnp.array([0, 1, 1], jnp.int32)
    before = jax.vmap(auto.reset, in_axes=(0, None))(keys, params)[1]
    for _ in range(2):
        before = step(keys, before, actions, params).state
    ended = step(keys, before, actions, params)
    later = step(keys, ended.state, actions, params)
    assert ended.truncated.all()
    assert (env.counts.instances, env.counts.steps, env.counts.resets) == (3, 12, 6)
    last = plain(KEY, before, actions, params)  # the same step again, without the reset
    stays = plain(KEY, last.state, 1 - actions, params)
    again = step(keys, before, actions, params)  # and with it
    np.testing.assert_array_equal(last.obs, ended.info["final_obs"])
    np.testing.assert_array_equal(stays.obs, ended.info["final_obs"])
    assert last.reward.all()
    assert last.truncated.all()
    assert stays.truncated.all()
    assert not stays.reward.any()
    shown = (jax.tree.leaves(result._replace(state=0)) for result in (again, ended))
    for one, other in zip(*shown, strict=True):
        np.testing.assert_array_equal(one, other)
    assert env.counts.steps == 12
    with pytest.raises(errors.StaleStateError, match="two different actions"):
        env.step(KEY, jax.tree.map(lambda leaf: leaf[0], before), 1)
    further = step(keys, later.state, actions, params)  # undisturbed by all that
    assert not further.done.any()
    assert env.counts.steps == 15


class Fussy(gymnasium.Env[Any, Any]):
    """Episodes of two steps, which some seeds do not start."""

    observation_space = gymnasium.spaces.Box(0, 9, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    refused: ClassVar[set[int]] = set()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed in self.refused:
            raise OSError("not this seed")
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self.count += 1
        return np.full(1, self.count, np.float32), 1.0, self.count == 2, False, {}


def test_an_episode_that_does_not_start_leaves_all_lanes_where_they_were() -> None:
    env, _ = envhub.wrap(Fussy)
    auto = AutoReset(env)
    step = jax.jit(jax.vmap(auto.step))
    keys, actions = jax.random.split(KEY, 3), jnp.array([0, 1, 1], jnp.int32)
    states = step(keys, jax.vmap(auto.reset)(keys)[1], actions).state
    Fussy.refused = {envhub.host_seed(jax.random.split(keys[1])[1])}
    with pytest.raises(Exception, match="not this seed"):
        jax.block_until_ready(step(keys, states, actions))
    assert "state" not in str(env.last_error), "there is none before a reset"
    Fussy.refused = set()
    again = step(keys, states, actions)
    assert again.terminated.all()
    assert not again.obs.any()
    assert again.info["final_obs"].tolist() == [[2]] * 3
    assert env.counts.steps == 6, "each step was taken once"


def test_a_transition_is_answered_again_after_several_resets() -> None:
    """In a `while` under `vmap`, lanes that are done wait, while others are reset one by one."""
    env, params = envhub.make("gymnasium::FrozenLake-v1", forkable=False, max_episode_steps=1)
    keys = jax.random.split(jax.random.key(0), 2)
    states = jax.vmap(env.reset, in_axes=(0, None))(keys, params)[1]
    step = jax.jit(jax.vmap(env.step, in_axes=(None, 0, None, None)))
    first = step(keys[0], states, 2, params)
    assert first.truncated.all()
    for turn in range(4):
        env.reset(jax.random.key(turn), params)
    again = step(keys[0], states, 2, params)
    jax.tree.map(np.testing.assert_array_equal, again.state, first.state)
