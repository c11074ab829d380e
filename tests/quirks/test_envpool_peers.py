"""Environments of EnvPool beside the same environments of the libraries that had them first."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import envhub

from ..packages import needed

envpool: Any = needed("envpool")


def pool_of(name: str, **options: Any) -> Any:
    return envpool.make(name, env_type="gymnasium", num_envs=1, env_seed=[0], **options)


def test_a_step_of_cartpole_is_close_to_gymnasiums() -> None:
    """From the same state; EnvPool says it in floats of 32 bits."""
    pool, theirs = pool_of("CartPole-v1"), needed("gymnasium").make("CartPole-v1").unwrapped
    obs, _ = pool.reset()
    theirs.reset(seed=0)
    for _ in range(100):
        theirs.state = tuple(obs[0].astype(np.float64))
        action = int(obs[0, 2] + obs[0, 3] > 0)
        obs, reward, terminated, *_ = pool.step(np.array([action], np.int32))
        expected, gain, ends, *_ = theirs.step(action)
        np.testing.assert_allclose(obs[0], expected, rtol=0, atol=1e-6)
        assert (reward[0], terminated[0]) == (gain, ends) == (1, False)


@pytest.mark.full
def test_a_step_of_hopper_is_close_to_gymnasiums() -> None:
    needed("mujoco")
    pool, theirs = pool_of("Hopper-v5"), needed("gymnasium").make("Hopper-v5").unwrapped
    rng, (obs, _) = np.random.default_rng(0), pool.reset()
    theirs.reset(seed=0)
    for _ in range(30):
        theirs.set_state(np.concatenate([[0], obs[0, :5]]), obs[0, 5:])
        action = rng.uniform(-0.1, 0.1, (1, 3))
        obs, reward, terminated, *_ = pool.step(action)
        expected, gain, ends, *_ = theirs.step(action[0])
        np.testing.assert_allclose(obs[0], expected, rtol=0, atol=1e-12)
        assert reward[0] == pytest.approx(gain, abs=1e-6)
        assert (terminated[0], ends) == (False, False)


def test_an_episode_of_an_empty_room_is_that_of_minigrid() -> None:
    needed("minigrid")
    name = "MiniGrid-Empty-5x5-v0"
    pool, theirs = pool_of(name), needed("gymnasium").make(name)
    rng, (obs, _), (expected, _) = np.random.default_rng(0), pool.reset(), theirs.reset(seed=0)
    ended = False
    while not ended:
        np.testing.assert_array_equal(obs["image"][0], expected["image"])
        assert obs["direction"][0] == expected["direction"]
        assert bytes(obs["mission"][0]).rstrip(b"\0").decode() == expected["mission"]
        action = rng.integers(3)
        obs, reward, terminated, truncated, _ = pool.step(np.array([action], np.int32))
        expected, gain, *ends, _ = theirs.step(action)
        assert reward[0] == pytest.approx(gain, abs=1e-6)
        assert [terminated[0], truncated[0]] == ends
        ended = any(ends)
    assert gain > 0


@pytest.mark.full
def test_an_empty_room_of_navix_is_seen_and_rewarded_otherwise() -> None:
    needed("navix")
    key = jax.random.key(0)
    for env_id, shape, gain in (
        ("navix::Navix-Empty-5x5-v0", (5, 5, 3), 1),
        ("envpool::MiniGrid-Empty-5x5-v0", (7, 7, 3), 0.955),
    ):
        env, params = envhub.make(env_id)
        obs, state = env.reset(key, params)
        assert getattr(obs, "shape", None) == shape or obs["image"].shape == shape
        step = jax.jit(env.step)
        for action in (2, 2, 1, 2, 2):
            result = step(key, state, action, params)
            state = result.state
        assert result.terminated
        assert float(result.reward) == pytest.approx(gain)


@pytest.mark.full
def test_an_episode_of_pong_is_that_of_ale() -> None:
    """Both press fire first. The three older frames of the first stack, and the last, differ."""
    games = needed("ale_py.vector_env")
    pool = pool_of("Pong-v5", noop_max=1)
    theirs = games.AtariVectorEnv("pong", 1, noop_max=1)
    rng, (obs, _), (expected, _) = (
        np.random.default_rng(0),
        pool.reset(),
        theirs.reset(seed=np.array([0])),
    )
    ended, steps = False, 0
    while not ended:
        shared = slice(max(0, 3 - steps), None)
        np.testing.assert_array_equal(obs[0, shared], expected[0, shared])
        action, steps = rng.integers(6, size=1), steps + 1
        obs, reward, terminated, truncated, _ = pool.step(action.astype(np.int32))
        expected, gain, ends, limits, _ = theirs.step(action)
        assert (reward[0], terminated[0], truncated[0]) == (gain[0], ends[0], limits[0])
        ended = bool(ends[0] or limits[0])
    assert steps > 500
