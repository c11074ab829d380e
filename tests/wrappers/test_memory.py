"""Wrappers that remember the episode: Gymnasium's results, and nothing of the episode before."""

from __future__ import annotations

import functools
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import wrappers as gym

import envhub
from envhub import errors, spaces
from envhub.spaces._trees import zero_of
from envhub.testing import probes
from envhub.wrappers import (
    AddActionToObservation,
    AddRewardToObservation,
    AutoReset,
    ClipReward,
    DelayObservation,
    EpisodeDiscount,
    FrameStackObservation,
    TimeAwareObservation,
    TimeLimit,
    TransformObservation,
)

from .episodes import Echo, lanes_of, pendulum, rollout, same

KEY = jax.random.key(0)
CARTPOLE, PENDULUM = "gymnax::CartPole-v1", "gymnax::Pendulum-v1"


def made(env_id: str, *wrappers: Any, **options: Any) -> Any:
    return envhub.make(env_id, wrappers=wrappers, **options)[0]


SMALL = np.full(4, 0.1, np.float32)
OF_GYMNASIUM = [
    ("FrameStackObservation", "CartPole-v1", {"stack_size": 3}),
    ("FrameStackObservation", "CartPole-v1", {"stack_size": 1}),
    ("FrameStackObservation", "CartPole-v1", {"stack_size": 4, "padding_type": "zero"}),
    ("FrameStackObservation", "CartPole-v1", {"stack_size": 4, "padding_type": SMALL}),
    ("FrameStackObservation", "Blackjack-v1", {"stack_size": 2, "padding_type": "zero"}),
    ("DelayObservation", "CartPole-v1", {"delay": 3}),
    ("DelayObservation", "CartPole-v1", {"delay": 0}),
    ("DelayObservation", "Blackjack-v1", {"delay": 1}),
    ("TimeAwareObservation", "CartPole-v1", {}),
    ("TimeAwareObservation", "CartPole-v1", {"normalize_time": True}),
    ("TimeAwareObservation", "CartPole-v1", {"flatten": False}),
    ("TimeAwareObservation", "CartPole-v1", {"flatten": False, "normalize_time": True}),
]


@pytest.mark.parametrize(("name", "env_id", "options"), OF_GYMNASIUM)
def test_an_episode_is_that_of_gymnasiums_wrapper(name: str, env_id: str, options: Any) -> None:
    own = getattr(gym, name)(gymnasium.make(env_id), **options)
    is_time = name == "TimeAwareObservation"
    limit = [TimeLimit(max_episode_steps=500)] if is_time else []
    env = made(f"gymnasium::{env_id}", *limit, getattr(envhub.wrappers, name)(**options))
    if not (is_time and own.observation_space.shape):  # which Gymnasium has in float64
        assert spaces.to_gymnasium(env.observation_space()) == own.observation_space
    expected, _ = own.reset(seed=envhub.host_seed(KEY))
    shown, state = env.reset(KEY)
    same(shown, expected, 1e-6)
    step, done = jax.jit(env.step), False
    for action in np.random.default_rng(0).integers(0, 2, 50):
        if done:
            break
        expected, _, *flags, _ = own.step(action)
        result = step(KEY, state, action)
        state, done = result.state, any(flags)
        assert bool(result.done) == done
        assert env.observation_space().contains(result.obs)
        same(result.obs, expected, 1e-6)
    assert done


def stacked(episode: Any, pad: Any) -> list[Any]:
    frames = [obs for obs, _, _ in episode]
    padded = [pad(frames[0])] * 2 + frames
    return [np.stack(padded[index : index + 3]) for index in range(len(frames))]


def delayed(episode: Any) -> list[Any]:
    frames = [obs for obs, _, _ in episode]
    return ([np.zeros_like(frames[0])] * 2 + frames)[: len(frames)]


def added(episode: Any) -> list[Any]:
    return [
        {
            "obs": {"obs": obs, "step": np.array([step], np.int32)},
            "start": np.bool_(step == 0),
            "action": np.int32(0) if action is None else action,
            "reward": np.float32(0) if reward is None else reward,
        }
        for step, (obs, action, reward) in enumerate(episode)
    ]


TIMED = TimeAwareObservation(flatten=False, dict_time_key="step")
IN_EPISODES = [
    ("same_step", [FrameStackObservation(stack_size=3)], functools.partial(stacked, pad=np.copy)),
    (
        "next_step",
        [FrameStackObservation(stack_size=3, padding_type="zero")],
        functools.partial(stacked, pad=np.zeros_like),
    ),
    ("same_step", [DelayObservation(delay=2)], delayed),
    ("next_step", [TIMED, AddActionToObservation, AddRewardToObservation], added),
]


@functools.cache
def lanes(mode: Any, *wrappers: Any) -> Any:
    env = made(CARTPOLE, TimeLimit(max_episode_steps=12), *wrappers, AutoReset(mode=mode))
    return lanes_of(env, 40, jax.random.split(KEY, (2, 2)))


@pytest.mark.parametrize(("mode", "wrappers", "expected"), IN_EPISODES)
def test_each_episode_begins_anew(mode: Any, wrappers: Any, expected: Any) -> None:
    for episodes_inside, shown in zip(lanes(mode), lanes(mode, *wrappers), strict=True):
        assert len(shown) > 3
        for inside, episode in zip(episodes_inside, shown, strict=True):
            same([obs for obs, _, _ in episode], expected(inside))


def test_a_stack_of_pictures_takes_no_more_memory_than_its_older_frames() -> None:
    pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (10, 8, 3)), jnp.uint8)
    show = TransformObservation(
        func=lambda obs: pixels + (obs[0] * 100).astype(jnp.uint8),
        observation_space=spaces.Box(0, 255, (10, 8, 3), np.uint8),
    )
    env = made(CARTPOLE, show, FrameStackObservation(stack_size=4))
    obs, state = env.reset(KEY)
    assert (obs.shape, obs.dtype) == ((4, 10, 8, 3), np.uint8)
    own = jax.tree.leaves(state.frames)
    assert [(leaf.shape, leaf.dtype) for leaf in own] == [((3, 10, 8, 3), np.uint8)]
    # Nor is there a float copy, or a call to the host, on the way.
    traced = jax.make_jaxpr(env.step)(KEY, state, 0)
    assert "f32[4,10,8,3]" not in str(traced)
    assert not any("callback" in name for name in probes.primitives(traced.jaxpr))
    assert env.step(KEY, state, 0).obs.dtype == np.uint8


def test_no_array_of_a_state_is_empty() -> None:
    env = made(CARTPOLE, FrameStackObservation(stack_size=1), DelayObservation(delay=0))
    assert all(leaf.size for leaf in jax.tree.leaves(env.reset(KEY)[1]))


def test_the_limit_of_the_time() -> None:
    assert made(CARTPOLE, TimeAwareObservation).observation_space().high[-1] == 500
    unlimited, _ = envhub.make(
        "gymnasium::CartPole-v1", max_episode_steps=-1, wrappers=[TimeAwareObservation]
    )
    assert unlimited.observation_space().high[-1] == np.float32(2**31)
    with pytest.raises(errors.InvalidOptionError, match="max_episode_steps=, or put a TimeLimit"):
        TimeAwareObservation(unlimited.env, normalize_time=True)
    given = TimeAwareObservation(max_episode_steps=4, normalize_time=True, flatten=False)
    env = made(CARTPOLE, given, TimeLimit(max_episode_steps=6))
    _, _, results = rollout(env, 6, KEY)
    np.testing.assert_allclose(results.obs["time"][:, 0], [0.25, 0.5, 0.75, 1, 1, 1])
    numbers = TransformObservation(
        func=lambda obs: (obs > 0).astype(jnp.uint8),
        observation_space=spaces.Box(0, 1, (4,), np.uint8),
    )
    env = made(CARTPOLE, numbers, TimeAwareObservation)
    assert env.observation_space().dtype == env.reset(KEY)[0].dtype == np.int32


def test_actions_and_rewards_are_in_one_dict() -> None:
    action, reward = AddActionToObservation, AddRewardToObservation
    names = {"obs", "action", "reward", "start"}
    for wrappers in (
        [action, reward],
        [reward, action],
        [action, ClipReward(max_reward=1), reward],
    ):
        env = made(PENDULUM, *wrappers)
        space = env.observation_space()
        obs, state = env.reset(KEY)
        assert set(space) == set(obs) == names
        assert space.contains(obs)
        assert not obs["action"].any()
        assert bool(obs["start"])
        result = env.step(KEY, state, jnp.array([1.5]))
        same(result.obs["action"], np.array([1.5], np.float32))
        assert result.obs["reward"] == result.reward
        assert not bool(result.obs["start"])
        assert space.contains(result.obs)
    # What another wrapper has changed in between is an observation like any other.
    other = TransformObservation(
        func=lambda obs: obs["obs"], observation_space=made(PENDULUM).observation_space()
    )
    assert set(made(PENDULUM, action, other, action).observation_space()) == names - {"reward"}
    stacked_too = made(PENDULUM, action, FrameStackObservation(stack_size=2), reward)
    assert set(stacked_too.observation_space()) == names - {"action"}
    with pytest.raises(errors.InvalidOptionError, match="already"):
        made(PENDULUM, action, reward, action)


def test_a_zero_is_in_its_space() -> None:
    for space, expected in [
        (spaces.Discrete(3, start=2), 2),
        (spaces.Discrete(3, start=-1), 0),
        (spaces.Box(-np.inf, -1, (2,)), -1),
        (spaces.Box(False, True, (), np.bool_), False),
        (spaces.MultiBinary(2), 0),
        (spaces.Box(0, 255, (1,), np.uint8), 0),
    ]:
        zero = zero_of(space)
        assert (zero == expected).all()
        assert (zero.shape, zero.dtype) == (space.shape, space.dtype)


@pytest.mark.parametrize("is_outside", [False, True])
def test_discounts(is_outside: bool) -> None:
    order = [EpisodeDiscount(gamma=0.9), AutoReset]
    order = order[::-1] if is_outside else order
    env = made(CARTPOLE, TimeLimit(max_episode_steps=12), *order)
    _, _, results = rollout(env, 60, KEY)
    discount = results.info["discount"]
    assert discount.dtype == jnp.float32
    assert results.terminated.any()
    assert (results.truncated & ~results.terminated).any()
    np.testing.assert_array_equal(discount, np.where(results.terminated, 0, np.float32(0.9)))
    for bad in (-0.1, 1.1):
        with pytest.raises(errors.InvalidOptionError, match="gamma"):
            made(CARTPOLE, EpisodeDiscount(gamma=bad))


def test_several_agents_keep_their_leading_axis() -> None:
    env: Any = Echo()
    for wrap in (
        FrameStackObservation(stack_size=3, padding_type="zero"),
        DelayObservation(delay=1),
        TimeAwareObservation,
        AddActionToObservation,
        AddRewardToObservation,
        EpisodeDiscount,
    ):
        env = wrap(env)
    space = env.observation_space()
    obs, state = env.reset(KEY)
    assert space.contains(obs)
    for actions in ([1, 0], [1, 1]):
        obs, state, *_, info = env.step(KEY, state, jnp.array(actions))
        assert space.contains(obs)
    assert obs["obs"].tolist() == [[0, 0, 1, 2], [0, 0, 0, 2]]  # three frames, one late; the time
    assert obs["action"].tolist() == obs["reward"].tolist() == [1, 1]
    assert obs["start"].tolist() == [False, False]
    assert info["discount"].shape == (2,)


CLAIMS = [
    (AddActionToObservation, False),
    (AddRewardToObservation, False),
    (DelayObservation(delay=1), True),
    (TimeAwareObservation, True),
]


@pytest.mark.parametrize(("wrapper", "has_gradients"), CLAIMS)
def test_claims_of_gradients_are_true(wrapper: Any, has_gradients: bool) -> None:
    env = wrapper(pendulum(has_gradients))
    subject = probes.Subject(env, env.default_params)
    finding = probes.examine(subject, ["differentiable"])["differentiable"]
    assert finding.holds == env.capabilities.differentiable, finding


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        (FrameStackObservation(stack_size=2, padding_type=np.zeros(3)), "an observation in"),
        (TimeAwareObservation(flatten=False, dict_time_key="obs"), "Choose another name"),
    ],
)
def test_what_does_not_fit_is_refused(wrapper: Any, message: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=message):
        made(CARTPOLE, wrapper)


@pytest.mark.parametrize(
    "wrapper",
    [
        FrameStackObservation(stack_size=2),
        DelayObservation(delay=1),
        TimeAwareObservation,
        AddActionToObservation,
        AddRewardToObservation,
    ],
)
def test_they_belong_inside_of_autoreset(wrapper: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="inside AutoReset"):
        made(CARTPOLE, AutoReset, wrapper)


def test_what_cannot_be_flattened_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match="flatten=False"):
        made("gymnasium::Blackjack-v1", TimeAwareObservation)
    env = made("gymnasium::Blackjack-v1", TimeAwareObservation(flatten=False))
    assert env.observation_space().contains(env.reset(KEY)[0])
    with pytest.raises(errors.InvalidOptionError, match="Choose another name"):
        made(PENDULUM, AddActionToObservation, TimeAwareObservation(dict_time_key="start"))


def test_they_can_be_made_while_a_program_is_traced() -> None:
    @jax.jit
    def run(key: Any) -> Any:
        env = made(
            CARTPOLE,
            FrameStackObservation(stack_size=2, padding_type="zero"),
            TimeAwareObservation,
            AddActionToObservation,
            AddRewardToObservation,
        )
        return env.reset(key)[0]["obs"]

    assert run(KEY).shape == (9,)
