"""Wrappers that show less of an observation, another form of it, or a disturbed one."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import Capabilities, Environment, StepResult, errors, spaces
from envhub.testing import probes
from envhub.wrappers import (
    AutoReset,
    FilterObservation,
    FlickeringObservation,
    MaskObservation,
    NoisyObservation,
    PeriodicObservation,
    RescaleObservation,
    ToFloat,
    TransformObservation,
)
from tests.devices import EXAMINED

KEY = jax.random.key(0)
CARTPOLE, PENDULUM, HOST = "gymnax::CartPole-v1", "gymnax::Pendulum-v1", "gymnasium::CartPole-v1"
BLACKJACK, NAVIX = "gymnasium::Blackjack-v1", "navix::Navix-Empty-5x5-v0"
STEPS = 12


def made(env_id: str, *wrappers: Any, **options: Any) -> Any:
    return envhub.make(env_id, wrappers=wrappers, **options)[0]


def episode(env: Any, actions: Any, inner_keys: bool = False) -> Any:
    """What a reset and steps show; `inner_keys` are those that a random wrapper hands inside."""

    def key_of(key: Any) -> Any:
        return jax.random.split(key)[0] if inner_keys else key

    def body(state: Any, step: Any) -> Any:
        result = env.step(key_of(step[0]), state, step[1])
        return result.state, result._replace(state=())

    obs, state = env.reset(key_of(KEY))
    keys = jax.random.split(KEY, len(actions))
    return obs, jax.jit(lambda s: jax.lax.scan(body, s, (keys, actions))[1])(state)


def cartpole_actions(count: int = STEPS) -> Any:
    return jax.random.bernoulli(KEY, 0.5, (count,)).astype(jnp.int32)


class Pair(Environment):
    """Two agents: each sees an angle and a number, which its actions turn and raise."""

    num_agents = 2

    def __init__(self) -> None:
        super().__init__(self, None, Capabilities.native(renderable="a test"))

    def reset_env(self, key: Any, params: Any) -> Any:
        state = jax.random.uniform(key, (2, 2), minval=0.5)
        return state, state

    def step_env(self, key: Any, state: Any, action: Any, params: Any) -> StepResult:
        state, nothing = state + action[:, None], jnp.zeros(2, bool)
        return StepResult(state, state, nothing, nothing, nothing, {})

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box([[-4, -1]] * 2, [[4, np.inf]] * 2)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(-1, 1, (2,))


STACKS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    CARTPOLE: (
        {"max_steps_in_episode": 5},
        [PeriodicObservation(angles=[2]), FlickeringObservation(probability=0.5)],
    ),
    HOST: ({"max_episode_steps": 5}, [NoisyObservation(scale=0.1), MaskObservation(keep=[0, 2])]),
    BLACKJACK: ({}, [FilterObservation(filter_keys=[2, 0])]),
    NAVIX: ({"max_steps": 5}, [ToFloat, FlickeringObservation(probability=0.5)]),
}
QUICK = [
    (CARTPOLE, "next_step", False),
    (HOST, "same_step", True),
    (BLACKJACK, "next_step", True),
]


@pytest.mark.parametrize(
    ("env_id", "mode", "is_outside"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.full)
        for case in itertools.product(STACKS, ["same_step", "next_step"], [False, True])
    ],
)
def test_lanes_of_episodes_stay_in_the_space(env_id: str, mode: Any, is_outside: bool) -> None:
    options, wrappers = STACKS[env_id]
    reset = AutoReset(mode=mode)
    env = made(env_id, *([reset, *wrappers] if is_outside else [*wrappers, reset]), **options)
    space, sample = env.observation_space(), env.action_space().sample

    def run(key: Any) -> Any:
        def body(carry: Any, key: Any) -> Any:
            result = env.step(key, carry[1], sample(key))
            last = result.info.get("final_obs", result.obs)
            contained = space.contains(result.obs) & space.contains(last)
            return (result.obs, result.state), (contained, result.done)

        first = env.reset(key)
        return space.contains(first[0]), jax.lax.scan(body, first, jax.random.split(key, STEPS))[1]

    start, (later, done) = jax.jit(jax.vmap(jax.vmap(run)))(jax.random.split(KEY, (2, 2)))
    assert start.all()
    assert later.all()
    assert done.any(-1).all()


def test_parts_of_a_tuple_are_those_of_gymnasium() -> None:
    own = gymnasium.wrappers.FilterObservation(gymnasium.make("Blackjack-v1"), [2, 0])
    env = made(BLACKJACK, FilterObservation(filter_keys=[2, 0]))
    assert spaces.to_gymnasium(env.observation_space()) == own.observation_space
    obs, state = env.reset(KEY)
    assert tuple(map(int, obs)) == own.reset(seed=envhub.host_seed(KEY))[0]
    for action in (1, 0):
        result = env.step(KEY, state, action)
        assert tuple(map(int, result.obs)) == own.step(action)[0]
        state = result.state


def with_time(dtype: Any) -> Any:
    """Shows a number beside the observation."""
    return TransformObservation(
        func=lambda obs: {"obs": obs, "time": jnp.zeros((), dtype)},
        observation_space=spaces.Dict(
            {"obs": spaces.Box(-8, 8, (3,)), "time": spaces.Box(0, 9, (), dtype)}
        ),
    )


def test_entries_of_a_dict() -> None:
    plain, _ = made(PENDULUM).reset(KEY)
    env = made(PENDULUM, with_time(np.int32), FilterObservation(filter_keys=["obs"]))
    assert env.observation_space() == spaces.Dict({"obs": spaces.Box(-8, 8, (3,))})
    obs, _ = env.reset(KEY)
    assert list(obs) == ["obs"]
    np.testing.assert_array_equal(obs["obs"], plain)


@pytest.mark.parametrize("keep", [[0, 2], [True, False, True, False], [-4, -2], np.array([0, 2])])
def test_a_mask_keeps_positions(keep: Any) -> None:
    actions = cartpole_actions()
    env, own = made(HOST, MaskObservation(keep=keep)), gymnasium.make("CartPole-v1")
    inner = own.observation_space
    assert env.observation_space() == spaces.Box(inner.low[[0, 2]], inner.high[[0, 2]])
    obs, results = episode(env, actions)
    np.testing.assert_array_equal(obs, own.reset(seed=envhub.host_seed(KEY))[0][[0, 2]])
    for shown, action in zip(results.obs, actions, strict=True):
        expected, _, terminated, _, _ = own.step(int(action))
        np.testing.assert_array_equal(shown, expected[[0, 2]])
        if terminated:
            break


def test_a_mask_shows_what_it_keeps_in_the_order_given() -> None:
    obs, _ = made(CARTPOLE).reset(KEY)
    np.testing.assert_array_equal(
        made(CARTPOLE, MaskObservation(keep=[3, 0])).reset(KEY)[0], obs[jnp.array([3, 0])]
    )


def test_angles_become_points_of_a_circle() -> None:
    def angles(obs: Any) -> Any:
        return jnp.stack([jnp.arctan2(obs[1], obs[0]), obs[2]])

    space = spaces.Box([-4, -8], [4, 8])
    turn = TransformObservation(func=angles, observation_space=space)
    plain, env = made(PENDULUM), made(PENDULUM, turn, PeriodicObservation(angles=[0]))
    assert env.observation_space() == plain.observation_space()
    actions = jnp.ones((STEPS, 1))
    (expected, path), (obs, shown) = episode(plain, actions), episode(env, actions)
    np.testing.assert_allclose(obs, expected, atol=1e-5)
    np.testing.assert_allclose(shown.obs, path.obs, atol=1e-5)


def test_angles_stand_where_they_stood() -> None:
    x, a, v, b = (np.asarray(each) for each in made(CARTPOLE).reset(KEY)[0])
    for angles in ([3, 1], [False, True, False, True]):
        env = made(CARTPOLE, PeriodicObservation(angles=angles))
        expected = [x, np.cos(a), np.sin(a), v, np.cos(b), np.sin(b)]
        np.testing.assert_allclose(env.reset(KEY)[0], expected, rtol=1e-5)
        space, inner = env.observation_space(), made(CARTPOLE).observation_space()
        np.testing.assert_array_equal(space.low, [inner.low[0], -1, -1, inner.low[2], -1, -1])
        np.testing.assert_array_equal(space.high, [inner.high[0], 1, 1, inner.high[2], 1, 1])


def test_noise_has_its_scale_after_resets_and_steps() -> None:
    scale = [0.0, 0.5, 0.5, 2.0]
    env, plain = made(CARTPOLE, NoisyObservation(scale=scale)), made(CARTPOLE)
    space, inner = env.observation_space(), plain.observation_space()
    np.testing.assert_array_equal(space.high, [inner.high[0], np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(space.low, [inner.low[0], -np.inf, -np.inf, -np.inf])

    def noise(key: Any) -> Any:
        inside, _ = jax.random.split(key)
        (obs, state), (expected, _) = env.reset(key), plain.reset(inside)
        later = env.step(key, state, 1).obs - plain.step(inside, state, 1).obs
        return jnp.stack([obs - expected, later])

    drawn = np.asarray(jax.jit(jax.vmap(noise))(jax.random.split(KEY, 4000)))
    np.testing.assert_allclose(drawn.std(0), [scale, scale], rtol=0.06)
    assert np.abs(drawn.mean(0)).max() < 0.15
    correlation = np.corrcoef(drawn[:, :, 1:].reshape(4000, -1).T)[:3, :3]  # of one observation
    np.testing.assert_allclose(correlation, np.eye(3), atol=0.08)


def test_flickering_hides_a_share_of_whole_observations() -> None:
    env, plain = made(CARTPOLE, FlickeringObservation(probability=0.3)), made(CARTPOLE)

    def shown(key: Any) -> Any:
        inside, _ = jax.random.split(key)
        (obs, state), (expected, _) = env.reset(key), plain.reset(inside)
        result, other = env.step(key, state, 1), plain.step(inside, state, 1)
        return (obs, result.obs), (expected, other.obs)

    keys = jax.random.split(KEY, 4000)
    for obs, expected in zip(*jax.jit(jax.vmap(shown))(keys), strict=True):
        is_hidden = np.asarray((obs == 0).all(-1))
        assert abs(is_hidden.mean() - 0.3) < 0.03
        np.testing.assert_array_equal(obs, np.where(is_hidden[:, None], 0, expected))


def test_observations_are_rescaled_from_the_bounds_of_the_params_of_the_call() -> None:
    env = made(PENDULUM, RescaleObservation(min_obs=0, max_obs=1))
    params = env.default_params.replace(max_speed=16.0)
    action = jnp.zeros(1)
    for given in (params, None):
        _, state = env.reset(KEY, given)
        inner = env.env.step(KEY, state, action, given).obs
        limit = np.array([1, 1, 16 if given else 8], np.float32)
        shown = env.step(KEY, state, action, given).obs
        np.testing.assert_allclose(shown, (inner / limit + 1) / 2, rtol=1e-5)


def test_the_space_of_a_flickering_observation_holds_zeros() -> None:
    away = RescaleObservation(min_obs=1, max_obs=2)
    env = made(NAVIX, away, FlickeringObservation(probability=0.9))
    assert env.observation_space() == spaces.Box(0, 2, (5, 5, 3))


@pytest.mark.parametrize(
    "wrapper", [NoisyObservation(scale=1.0), FlickeringObservation(probability=0.5)]
)
def test_the_last_observation_is_disturbed_by_itself(wrapper: Any) -> None:
    actions = cartpole_actions(150)
    _, results = episode(made(CARTPOLE, AutoReset, wrapper), actions)
    _, plain = episode(made(CARTPOLE, AutoReset), actions, inner_keys=True)
    done = np.asarray(plain.done)
    assert done.sum() > 4
    last, expected = results.info["final_obs"], plain.info["final_obs"]
    # One value; unoptimised, XLA may compute it twice, and round otherwise.
    np.testing.assert_allclose(results.obs[~done], last[~done], rtol=1e-5, atol=1e-6)
    assert np.any(last[done] != expected[done])
    assert np.any(results.obs[done] != plain.obs[done])
    # Not by the same noise, or both hidden each time.
    difference = np.asarray((results.obs - plain.obs) - (last - expected))[done]
    hidden = np.asarray((results.obs == 0).all(-1) != (last == 0).all(-1))[done]
    assert hidden.any() or (np.abs(difference).max(-1) > 1e-3).all()


def test_integers_as_shares() -> None:
    actions = jax.random.randint(KEY, (STEPS,), 0, 3)
    plain, env = made(NAVIX), made(NAVIX, ToFloat)
    assert env.observation_space() == spaces.Box(0, 1, (5, 5, 3))
    shares, pixels = (np.asarray(episode(each, actions)[1].obs) for each in (env, plain))
    assert (shares.dtype, pixels.dtype) == (np.float32, np.uint8)
    np.testing.assert_allclose(shares, pixels.astype(np.float32) / 255, rtol=1e-6)
    shifted = TransformObservation(
        func=lambda obs: jnp.array([-3, 0, 1], jnp.int32),
        observation_space=spaces.Box(-3, 1, (3,), np.int32),
    )
    np.testing.assert_allclose(made(CARTPOLE, shifted, ToFloat).reset(KEY)[0], [0, 0.75, 1])


def test_several_agents() -> None:
    pair = Pair()
    obs, _ = pair.reset(KEY)
    masked = MaskObservation(pair, keep=[1])
    np.testing.assert_array_equal(masked.reset(KEY)[0], obs[:, 1:])
    assert masked.observation_space() == spaces.Box(-1, np.inf, (2, 1))
    turned = PeriodicObservation(pair, angles=[0])
    expected = np.stack([np.cos(obs[:, 0]), np.sin(obs[:, 0]), obs[:, 1]], -1)
    np.testing.assert_allclose(turned.reset(KEY)[0], expected, rtol=1e-5)
    assert turned.observation_space() == spaces.Box([[-1, -1, -1]] * 2, [[1, 1, np.inf]] * 2)
    keys = jax.random.split(KEY, 200)
    hidden = FlickeringObservation(pair, probability=0.5)
    are_hidden = np.asarray((jax.vmap(lambda key: hidden.reset(key)[0])(keys) == 0).all(-1))
    assert {tuple(row) for row in are_hidden.tolist()} == {
        (a, b) for a in (True, False) for b in (True, False)
    }
    alone = MaskObservation(pair, keep=[0])
    flat = TransformObservation(alone, lambda o: o[:, 0], spaces.Box(-4, 4, (2,)))
    with pytest.raises(errors.InvalidOptionError, match="at least one axis"):
        MaskObservation(flat, keep=[0])
    noisy = NoisyObservation(pair, scale=[0, 1])
    shown = np.asarray(jax.vmap(lambda key: noisy.reset(key)[1] - noisy.reset(key)[0])(keys))
    assert (shown[..., 0] == 0).all()
    assert (shown[..., 1] != 0).all()


@pytest.mark.parametrize(
    ("wrappers", "holds"),
    [
        ([NoisyObservation(scale=0.1)], True),
        ([FlickeringObservation(probability=0.001)], True),
        ([MaskObservation(keep=[0, 1])], True),
        ([PeriodicObservation(angles=[2])], True),
        ([with_time(np.int32), FilterObservation(filter_keys=["obs"])], True),
        ([with_time(np.int32), FilterObservation(filter_keys=["time"])], False),
    ],
)
def test_gradients_are_where_they_are_claimed(wrappers: Any, holds: bool) -> None:
    env = made("gymnasium::phys2d/Pendulum-v0", *wrappers)  # gymnax 0.0.9 has no gradients
    found = probes.examine(probes.Subject(env, env.default_params), ["differentiable"])
    assert found["differentiable"].holds == env.capabilities.differentiable == holds, found
    assert holds or "filter_keys" in env.capabilities.why("differentiable")


@pytest.mark.full
@pytest.mark.parametrize(
    "wrapper", [NoisyObservation(scale=0.1), FlickeringObservation(probability=0.5)]
)
@pytest.mark.parametrize("env_id", [PENDULUM, HOST])
def test_what_is_random_is_random_by_the_key(env_id: str, wrapper: Any) -> None:
    env = made(env_id, wrapper)
    flags = {"jax_native", "forkable", "vmap_safe", "isolated_reset", "multi_device"}
    flags &= set(EXAMINED)
    found = probes.examine(probes.Subject(env, env.default_params), flags)
    assert {flag: found[flag].holds for flag in flags} == {
        flag: getattr(env.capabilities, flag) for flag in flags
    }


def integers(dtype: Any, low: Any, high: Any) -> Any:
    space = spaces.Box(low, high, (4,), dtype)
    return TransformObservation(func=lambda obs: obs.astype(dtype), observation_space=space)


INT32 = np.iinfo(np.int32)


@pytest.mark.parametrize(
    ("env_id", "wrappers", "message"),
    [
        (CARTPOLE, [FilterObservation(filter_keys=["obs"])], "Dict or Tuple.*MaskObservation"),
        (BLACKJACK, [FilterObservation(filter_keys=[3])], r"some of \[0, 1, 2\]"),
        (PENDULUM, [with_time(int), FilterObservation(filter_keys=["obs", "x"])], "'time'"),
        *(
            (CARTPOLE, [MaskObservation(keep=keep)], "below 4, or a list of 4 bools")
            for keep in ([4], [0, -4], [True, False])
        ),
        (BLACKJACK, [MaskObservation(keep=[0])], "Box"),
        (NAVIX, [PeriodicObservation(angles=[0])], "arrays of floats"),
        (NAVIX, [NoisyObservation(scale=1.0)], "arrays of floats"),
        (BLACKJACK, [NoisyObservation(scale=1.0)], "Box"),
        (CARTPOLE, [NoisyObservation(scale=[1.0, 2.0])], "does not broadcast"),
        (BLACKJACK, [FlickeringObservation(probability=0.5)], "Box"),
        (BLACKJACK, [ToFloat], "arrays of integers"),
        (CARTPOLE, [ToFloat], "RescaleObservation"),
        (CARTPOLE, [integers(np.int32, 0, INT32.max), ToFloat], "bounded arrays"),
        (CARTPOLE, [integers(np.int32, INT32.min, 0), ToFloat], "bounded arrays"),
    ],
)
def test_refusals(env_id: str, wrappers: Any, message: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=message):
        made(env_id, *wrappers)
