"""What each wrapper changes: spaces, values, flags, and what it refuses."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.wrappers import (
    AutoReset,
    ClipAction,
    ClipReward,
    DtypeObservation,
    FlattenObservation,
    GrayscaleObservation,
    RecordEpisodeStatistics,
    RescaleAction,
    RescaleObservation,
    ReshapeObservation,
    ResizeObservation,
    TimeLimit,
    TransformAction,
    TransformObservation,
    TransformReward,
)

KEY = jax.random.key(0)
CARTPOLE, PENDULUM = "gymnax::CartPole-v1", "gymnax::Pendulum-v1"


def made(env_id: str, *wrappers: Any, **options: Any) -> Any:
    return envhub.make(env_id, wrappers=wrappers, **options)[0]


def picture_env() -> Any:
    """CartPole, seen as a picture."""
    pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (30, 20, 3)), jnp.uint8)
    space = spaces.Box(0, 255, (30, 20, 3), np.uint8)
    return made(CARTPOLE, TransformObservation(func=lambda obs: pixels, observation_space=space))


def rollout(env: Any, steps: int, key: Any = KEY) -> Any:
    """A reset, and the results of steps."""
    sample = env.action_space().sample

    def body(state: Any, key: Any) -> Any:
        result = env.step(key, state, sample(jax.random.fold_in(key, 1)))
        return result.state, result._replace(state=())

    obs, state = env.reset(key)
    return obs, jax.jit(lambda s: jax.lax.scan(body, s, jax.random.split(key, steps))[1])(state)


STACKS = [
    (CARTPOLE, [FlattenObservation, TimeLimit(max_episode_steps=4), RecordEpisodeStatistics]),
    (PENDULUM, [RescaleAction, ClipReward(min_reward=-1.0), ReshapeObservation(shape=(3, 1))]),
    (PENDULUM, [ClipAction, RescaleObservation(min_obs=-1, max_obs=1), RecordEpisodeStatistics]),
    ("gymnasium::CartPole-v1", [RecordEpisodeStatistics, DtypeObservation(dtype="float16")]),
    ("gymnasium::Pendulum-v1", [RescaleAction(min_action=0.0), TransformReward(func=abs)]),
]


@pytest.mark.parametrize("mode", [None, "same_step", "next_step"])
@pytest.mark.parametrize(("env_id", "wrappers"), STACKS)
def test_stacks_keep_the_contract(env_id: str, wrappers: Any, mode: Any) -> None:
    env = made(env_id, *wrappers, autoreset=mode)
    obs, state = env.reset(KEY)
    space = env.observation_space()
    assert space.contains(obs)
    keys = jax.random.split(KEY, 3)
    step = jax.jit(jax.vmap(env.step, in_axes=(0, None, None)))
    results = step(keys, state, env.action_space().sample(KEY))
    assert jax.vmap(space.contains)(results.obs).all()
    same = jax.tree.map(lambda new, old: new.shape[1:] == old.shape, results.state, state)
    assert all(jax.tree.leaves(same))
    assert results.reward.dtype == jnp.float32
    assert env.unwrapped is envhub.Wrapper.find(env, type(env)).unwrapped  # type: ignore[union-attr]


def test_a_time_limit_truncates() -> None:
    env = made("gymnax::Pendulum-v1", TimeLimit(max_episode_steps=3))
    _, results = rollout(env, 5)
    assert results.truncated.tolist() == [False, False, True, True, True]
    assert not results.terminated.any()
    _, results = rollout(AutoReset(env), 7)
    assert results.truncated.tolist() == [False, False, True] * 2 + [False]
    for bad in (0, -1, 2.0):
        with pytest.raises(errors.InvalidOptionError, match="max_episode_steps"):
            made(CARTPOLE, TimeLimit(max_episode_steps=bad))
    with pytest.raises(errors.InvalidOptionError, match="inside AutoReset"):
        made(CARTPOLE, AutoReset, TimeLimit(max_episode_steps=3))


@pytest.mark.parametrize("mode", ["same_step", "next_step"])
@pytest.mark.parametrize("is_outside", [False, True])
def test_returns_and_lengths(mode: Any, is_outside: bool) -> None:
    limited = made("gymnasium::Pendulum-v1", max_episode_steps=4)
    inner = [RecordEpisodeStatistics, AutoReset(mode=mode)]
    env: Any = limited
    for wrap in reversed(inner) if is_outside else inner:
        env = wrap(env)
    _, results = rollout(env, 13)
    ends = np.flatnonzero(results.truncated)
    assert ends.tolist() == ([3, 7, 11] if mode == "same_step" else [3, 8])
    np.testing.assert_array_equal(results.info["_episode"], results.truncated)
    start = 0
    for end in ends:
        np.testing.assert_allclose(
            results.info["episode"]["r"][end], results.reward[start : end + 1].sum(), rtol=1e-5
        )
        assert results.info["episode"]["l"][end] == 4
        start = end + 1


def test_actions_are_those_of_gymnasiums_wrappers() -> None:
    own = gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), 0.0, 1.0)
    env = made("gymnasium::Pendulum-v1", RescaleAction(min_action=0.0, max_action=1.0))
    assert spaces.to_gymnasium(env.action_space()) == own.action_space
    own.reset(seed=envhub.host_seed(KEY))
    _, state = env.reset(KEY)
    for action in ([0.0], [0.3], [1.0]):
        given = np.array(action, np.float32)
        result = env.step(KEY, state, given)
        np.testing.assert_allclose(result.obs, own.step(given)[0], rtol=1e-5)
        state = result.state
    clipped, plain = made(PENDULUM, ClipAction), made(PENDULUM)
    _, state = plain.reset(KEY)
    np.testing.assert_array_equal(
        clipped.step(KEY, state, jnp.array([9.0])).obs, plain.step(KEY, state, jnp.array([2.0])).obs
    )
    turned = made(CARTPOLE, TransformAction(func=lambda action: 1 - action))
    _, state = made(CARTPOLE).reset(KEY)
    np.testing.assert_array_equal(
        turned.step(KEY, state, 0).obs, made(CARTPOLE).step(KEY, state, 1).obs
    )


def test_rewards() -> None:
    _, plain = rollout(made(PENDULUM), 5)
    _, clipped = rollout(made(PENDULUM, ClipReward(min_reward=-3.0, max_reward=-2.0)), 5)
    np.testing.assert_array_equal(clipped.reward, plain.reward.clip(-3, -2))
    with pytest.raises(errors.InvalidOptionError, match="min_reward"):
        made(PENDULUM, ClipReward)
    with pytest.raises(errors.InvalidOptionError, match="above"):
        made(PENDULUM, ClipReward(min_reward=1, max_reward=0))


def test_pictures() -> None:
    env = picture_env()
    obs, _ = env.reset(KEY)
    gray, _ = GrayscaleObservation(env).reset(KEY)
    expected = (np.asarray(obs) * np.array([0.2125, 0.7154, 0.0721])).sum(-1)
    assert np.abs(np.asarray(gray, float) - expected).max() <= 1
    kept = GrayscaleObservation(env, keep_dim=True)
    assert kept.observation_space().contains(kept.reset(KEY)[0])
    for inner in (env, GrayscaleObservation(env)):
        small = ResizeObservation(inner, shape=(8, 9))
        shown, _ = small.reset(KEY)
        assert small.observation_space().contains(shown)
        assert shown.shape[:2] == (8, 9)
        assert abs(float(shown.mean()) - float(inner.reset(KEY)[0].mean())) < 3
    same, _ = ResizeObservation(env, shape=(30, 20)).reset(KEY)
    np.testing.assert_array_equal(same, obs)


@pytest.mark.slow
def test_pictures_of_floats_and_of_more_channels_than_colours() -> None:
    floats = made("craftax::Craftax-Classic-Pixels-v1", ResizeObservation(shape=(21, 21)))
    channels = made("gymnax::Breakout-MinAtar", ResizeObservation(shape=(5, 20)))
    for env, shape in ((floats, (21, 21, 3)), (channels, (5, 20, 4))):
        space = env.observation_space()
        assert (space.shape, space.dtype) == (shape, np.float32)
    assert GrayscaleObservation(floats).observation_space().shape == (21, 21)
    with pytest.raises(errors.InvalidOptionError, match="needs images"):
        GrayscaleObservation(channels)
    obs, _ = channels.reset(KEY)
    assert channels.observation_space().contains(obs)
    assert (np.asarray(obs) % 1 != 0).any()


def test_the_last_observation_is_changed_too() -> None:
    env = made(CARTPOLE, AutoReset, TransformObservation(func=lambda obs: obs + 10))
    _, results = rollout(env, 60)
    assert results.done.any()
    assert (results.info["final_obs"] > 5).all()


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        (GrayscaleObservation, "needs images"),
        (ResizeObservation(shape=(84, 84)), "needs images"),
        (ReshapeObservation(shape=(5,)), "do not fit"),
        (ClipAction, r"ClipAction needs a Box \(float\) action space"),
        (RescaleAction, r"needs a Box \(float\) action space; got Discrete\(2\)"),
    ],
)
def test_what_a_wrapper_needs_is_asked_at_construction(wrapper: Any, message: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=message):
        made(CARTPOLE, wrapper)


def test_what_is_no_array_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match="Box"):
        made("gymnasium::Blackjack-v1", GrayscaleObservation)
    with pytest.raises(errors.InvalidOptionError, match="by keyword"):
        ResizeObservation((84, 84))
    with pytest.raises(errors.InvalidOptionError, match="height and a width"):
        ResizeObservation(picture_env(), shape=(84,))


@pytest.mark.parametrize(
    ("wrapper", "options"),
    [
        ("TransformAction", {"func": 3}),
        ("TransformObservation", {"func": "x"}),
        ("TransformObservation", {"func": jnp.abs, "observation_space": 3}),
        ("TransformReward", {"func": None}),
        ("ClipReward", {"min_reward": "0"}),
        ("ClipReward", {"max_reward": float("nan")}),
        ("ClipReward", {"max_reward": 10**40}),
        ("ScaleReward", {"scale": 10**400}),
        ("TimeLimit", {"max_episode_steps": 2**31}),
        ("NormalizeReward", {"epsilon": 10**400}),
        ("DtypeObservation", {"dtype": []}),
        ("DtypeObservation", {"dtype": "float64"}),
        ("TimeAwareObservation", {"dict_time_key": 2}),
    ],
)
def test_what_a_wrapper_cannot_use_is_refused_when_it_is_made(wrapper: str, options: Any) -> None:
    made = getattr(envhub.wrappers, wrapper)
    with pytest.raises(errors.InvalidOptionError, match=[*options][-1].split("_")[0]):
        envhub.make("gymnax::CartPole-v1", wrappers=[made(**options)])


def test_whole_numbers_beyond_32_bits_are_floats() -> None:
    env, params = envhub.make(
        "gymnax::CartPole-v1", wrappers=[envhub.wrappers.ScaleReward(scale=2**40)]
    )
    _, state = env.reset(jax.random.key(0), params)
    assert env.step(jax.random.key(1), state, 1, params).reward == 2.0**40
