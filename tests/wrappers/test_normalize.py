"""Running statistics: Gymnasium's and NumPy's numbers, over lanes and over episodes."""

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
from envhub._sharding import shard_map
from envhub.testing import probes
from envhub.wrappers import (
    AddActionToObservation,
    AutoReset,
    NormalizeObservation,
    NormalizeReward,
    TimeLimit,
)
from envhub.wrappers._statistics import PRIOR, Statistics
from tests.devices import needs_devices

from .episodes import Echo, at, episodes, pendulum, rollout, same

KEY = jax.random.key(0)
CARTPOLE, PENDULUM = "gymnax::CartPole-v1", "gymnax::Pendulum-v1"
LIMIT = TimeLimit(max_episode_steps=20)


def made(env_id: str, *wrappers: Any, **options: Any) -> Any:
    return envhub.make(env_id, wrappers=wrappers, **options)[0]


def of_all(seen: Any) -> Statistics:
    """The statistics of these, and of what there is to begin with, in float64."""
    seen = np.asarray(seen, np.float64)
    count = len(seen) + PRIOR
    mean = seen.sum(0) / count
    variance = (((seen - mean) ** 2).sum(0) + PRIOR * (1 + mean**2)) / count
    return Statistics(mean, variance, count)


@pytest.mark.parametrize("mode", ["same_step", "next_step"])
def test_observations_are_those_of_gymnasiums_wrapper(mode: Any) -> None:
    env = made("gymnasium::CartPole-v1", AutoReset(mode=mode), NormalizeObservation)
    own = gym.NormalizeObservation(gymnasium.make("CartPole-v1"))
    assert spaces.to_gymnasium(env.observation_space()) == own.observation_space
    obs, state = env.reset(KEY)
    same(obs, own.reset(seed=envhub.host_seed(KEY))[0], 1e-4)
    step, done, ends = jax.jit(env.step), False, 0
    for key, action in zip(
        jax.random.split(KEY, 90), np.random.default_rng(0).integers(0, 2, 90), strict=True
    ):
        seed = envhub.host_seed(jax.random.split(key)[1])
        result = step(key, state, action)
        state, was_done, done = result.state, done, bool(result.done)
        if mode == "next_step" and was_done:
            expected, _ = own.reset(seed=seed)
        else:
            expected, *_ = own.step(action)
        if mode == "same_step" and done:
            expected, _ = own.reset(seed=seed)
        same(result.obs, expected, 1e-4)
        ends += done
    assert ends > 1
    same(state.statistics, Statistics(own.obs_rms.mean, own.obs_rms.var, own.obs_rms.count), 1e-4)


@pytest.mark.parametrize("mode", ["same_step", "next_step"])
@pytest.mark.slow
def test_rewards_are_scaled_by_the_returns_so_far(mode: Any) -> None:
    env = made(CARTPOLE, LIMIT, AutoReset(mode=mode))
    first, actions, plain = rollout(env, 160, KEY)
    _, _, scaled = rollout(NormalizeReward(env, gamma=0.9), 160, KEY)
    assert plain.terminated.any()
    assert (plain.truncated & ~plain.terminated).any()
    returns: list[float] = []
    expected = []
    for episode in episodes(mode, first, actions, plain):
        going_on = 0.0
        if mode == "next_step" and returns:
            expected.append(0.0)
        for _, _, reward in episode[1:]:
            going_on = 0.9 * going_on + reward
            returns.append(going_on)
            expected.append(reward / np.sqrt(of_all(returns).variance + 1e-8))
    same(scaled.reward, np.array(expected), 1e-3)
    same(at(scaled.state.statistics, -1), of_all(returns), 1e-4)


def test_rewards_are_those_of_gymnasiums_wrapper_until_an_episode_ends() -> None:
    env = made("gymnasium::Pendulum-v1", AutoReset, NormalizeReward, max_episode_steps=5)
    own = gym.NormalizeReward(gymnasium.make("Pendulum-v1", max_episode_steps=5))
    own.reset(seed=envhub.host_seed(KEY))
    _, state = env.reset(KEY)
    step = jax.jit(env.step)
    for key in jax.random.split(KEY, 12):
        action = np.array([0.5], np.float32)
        result = step(key, state, action)
        state = result.state
        _, reward, terminated, truncated, _ = own.step(action)
        np.testing.assert_allclose(result.reward, reward, rtol=1e-3)
        assert not terminated
        if truncated:
            own.reset(seed=envhub.host_seed(jax.random.split(key)[1]))
            own.discounted_reward[:] = 0  # what it leaves out


def test_a_batch_shares_its_statistics_as_gymnasiums_vectors_do() -> None:
    shared: Any = {"axis_name": "envs"}
    env = made("gymnasium::Pendulum-v1", NormalizeObservation(**shared), NormalizeReward(**shared))
    own: Any = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("Pendulum-v1")] * 3)
    own = gym.vector.NormalizeReward(gym.vector.NormalizeObservation(own))
    keys = jax.random.split(KEY, 3)
    obs, state = jax.jit(jax.vmap(env.reset, axis_name="envs"))(keys)
    same(obs, own.reset(seed=[envhub.host_seed(key) for key in keys])[0], 1e-4)
    step = jax.jit(jax.vmap(env.step, axis_name="envs"))
    for _ in range(6):
        actions = np.linspace(-2, 2, 3, dtype=np.float32)[:, None]
        result = step(keys, state, actions)
        state = result.state
        obs, reward, *_ = own.step(actions)
        same(result.obs, obs, 1e-3)
        np.testing.assert_allclose(result.reward, reward, rtol=1e-4)


@functools.cache
def lanes(*wrappers: Any) -> Any:
    """Rollouts of two seeds with three environments each."""
    env = made(CARTPOLE, LIMIT, AutoReset, *wrappers)
    inner = jax.vmap(functools.partial(rollout, env, 40), axis_name="envs")
    of_all_seeds = jax.jit(jax.vmap(inner, axis_name="seeds"))
    return jax.device_get(of_all_seeds(jax.random.split(KEY, (2, 3))))


def seen_in(first: Any, results: Any) -> Any:
    """All observations of a rollout of `same_step`, the last ones of episodes as well."""
    return np.concatenate([first[None], results.info["final_obs"], results.obs[results.done]])


@pytest.mark.parametrize("names", [None, "envs", ("seeds", "envs")])
def test_each_observation_counts_once_for_the_lanes_of_its_axes(names: Any) -> None:
    (first, _, plain), (_, _, results) = lanes(), lanes(NormalizeObservation(axis_name=names))
    assert (plain.done != plain.done[0, 0]).any()  # they do not end together
    for lane in np.ndindex(2, 3):
        with_it = {
            None: [lane],
            "envs": [(lane[0], other) for other in range(3)],
            ("seeds", "envs"): list(np.ndindex(2, 3)),
        }[names]
        seen = np.concatenate([seen_in(first[one], at(plain, one)) for one in with_it])
        statistics = at(results.state.statistics, (*lane, -1))
        same(statistics, of_all(seen), 1e-3)
        mean, deviation = statistics.mean, np.sqrt(statistics.variance + 1e-8)
        for shown, inside in (
            (results.obs, plain.obs),
            (results.info["final_obs"], plain.info["final_obs"]),
        ):
            same(shown[lane][-1], (inside[lane][-1] - mean) / deviation, 1e-3)


def test_large_means_cost_no_digits() -> None:
    env = made(PENDULUM, NormalizeObservation)
    values = np.random.default_rng(0).normal(2000, 1, (100_000, 3)).astype(np.float32)

    @jax.jit
    def run(values: Any) -> Any:
        def body(statistics: Any, value: Any) -> Any:
            return env.updated(statistics, value[None], jnp.array([True])), None

        return jax.lax.scan(body, env.first_statistics(), values)[0]

    statistics, expected = run(values), of_all(values)
    np.testing.assert_allclose(statistics.mean, expected.mean, atol=0.01)
    np.testing.assert_allclose(statistics.variance, values.astype(float).var(0), rtol=0.02)


def test_frozen_statistics_may_be_traced_and_stay() -> None:
    trained = Statistics(np.arange(3.0), np.array([0.5, 1, 2]), 100.0)
    of_returns = Statistics(-1.0, 4.0, 100.0)

    @jax.jit
    def evaluate(of_obs: Any, of_reward: Any, key: Any) -> Any:
        env = made(
            PENDULUM,
            AutoReset,
            NormalizeObservation(statistics=of_obs, update=False),
            NormalizeReward(statistics=of_reward, update=False),
        )
        return rollout(env, 5, key)

    first, _, results = evaluate(trained, of_returns, KEY)
    plain_first, _, plain = rollout(made(PENDULUM, AutoReset), 5, KEY)
    same(at(results.state.env.statistics, -1), trained)
    same(at(results.state.statistics, -1), of_returns)
    scale = np.sqrt(trained.variance)
    same(first, (plain_first - trained.mean) / scale, 1e-5)
    same(results.obs, (plain.obs - trained.mean) / scale, 1e-4)
    same(results.reward, plain.reward / 2, 1e-5)
    # Given ones go on where they may be updated, and those of each lane may be others.
    each = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), trained)
    counts = jax.vmap(
        lambda of: made(PENDULUM, NormalizeObservation(statistics=of)).reset(KEY)[1].statistics
    )(each).count
    same(counts, each.count + 1)


def test_what_is_no_number_stays() -> None:
    env = made(CARTPOLE, AddActionToObservation, AutoReset, NormalizeObservation)
    obs, state = env.reset(KEY)
    step, starts = jax.jit(env.step), 0
    for key in jax.random.split(KEY, 12):
        assert env.observation_space().contains(obs)
        obs, state, *_, info = result = step(key, state, 1)
        starts += int(obs["start"])
        assert obs["start"] == result.done
        assert obs["action"] == (0 if result.done else 1)
        assert info["final_obs"]["action"] == 1
    assert starts == 1
    assert state.statistics.mean.keys() == {"obs", "action", "start"}


def test_agents_are_normalised_each_by_itself() -> None:
    env = NormalizeReward(NormalizeObservation(Echo()))
    _, state = env.reset(KEY)
    for _ in range(3):
        obs, state, reward, *_ = env.step(KEY, state, jnp.array([1, 0]))
    assert env.observation_space().contains(obs)
    assert state.discounted_return.shape == reward.shape == (2,)
    assert reward[0] > reward[1] == 0
    same(state.statistics.variance, of_all([[1, 0], [1.99, 0], [2.9701, 0]]).variance, 1e-4)


def test_a_batch_of_make_vec_shares_its_statistics() -> None:
    shared: Any = {"axis_name": "envs"}
    wrappers = [AutoReset, NormalizeObservation(**shared), NormalizeReward(**shared)]
    venv, params = envhub.make_vec("gymnasium::CartPole-v1", 4, wrappers=wrappers, autoreset=None)
    obs, state = venv.reset(KEY, params)
    assert abs(obs.mean(0)).max() < 1e-3
    sample = venv.action_space(params).sample

    @jax.jit
    def run(state: Any) -> Any:
        def body(state: Any, key: Any) -> Any:
            result = venv.step(key, state, sample(key), params)
            return result.state, result.done.sum()

        return jax.lax.scan(body, state, jax.random.split(KEY, 30))

    state, ends = run(state)
    assert ends.sum() > 0
    same(state.env.statistics.count, np.full(4, 4 + 4 * 30 + ends.sum() + PRIOR), 1e-6)
    same(at(state.env.statistics, 0), at(state.env.statistics, 3))


@pytest.mark.full
@needs_devices(2)
def test_devices_share_their_statistics() -> None:
    env = made(CARTPOLE, AutoReset, NormalizeObservation(axis_name=("device", "envs")))
    run = jax.vmap(functools.partial(rollout, env, 20), axis_name="envs")
    sharding: Any = jax.sharding
    mesh = sharding.Mesh(np.array(jax.devices()[:2]), ("device",))
    shard = sharding.PartitionSpec("device")
    keys = jax.random.split(KEY, 6)
    sharded = shard_map(run, mesh=mesh, in_specs=(shard,), out_specs=shard)
    over_devices = jax.device_get(jax.jit(sharded)(keys))
    over_both = jax.vmap(
        jax.vmap(functools.partial(rollout, env, 20), axis_name="envs"),
        axis_name="device",
    )(keys.reshape(2, 3))
    same(
        over_devices[2].state.statistics,
        jax.tree.map(lambda leaf: leaf.reshape(6, *leaf.shape[2:]), over_both[2].state.statistics),
        1e-4,
    )


def test_gradients_flow_through_what_is_normalised() -> None:
    env = NormalizeReward(NormalizeObservation(pendulum(True)))
    subject = probes.Subject(env, env.default_params)
    finding = probes.examine(subject, ["differentiable"])["differentiable"]
    assert finding.holds == env.capabilities.differentiable, finding


@pytest.mark.parametrize("wrapper", [NormalizeObservation, NormalizeReward])
def test_what_a_shared_axis_costs(wrapper: Any) -> None:
    env = made(PENDULUM, wrapper(axis_name="envs"))
    assert "axis_name=None" in env.capabilities.why("vmap_safe")
    with pytest.raises(errors.MissingCapabilityError, match="'envs'"):
        envhub.require(env, "vmap_safe")
    assert made(PENDULUM, wrapper(axis_name="envs", update=False)).capabilities.vmap_safe
    _, state = made(PENDULUM, wrapper).reset(KEY)
    with pytest.raises(errors.InvalidOptionError, match=r"jax\.vmap\(…, axis_name='envs'\)"):
        env.step(KEY, state, jnp.zeros(1))


@pytest.mark.parametrize("wrapper", [NormalizeObservation, NormalizeReward])
def test_refusals(wrapper: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="outside AutoReset"):
        made(PENDULUM, wrapper, AutoReset)
    with pytest.raises(errors.InvalidOptionError, match="epsilon"):
        made(PENDULUM, wrapper(epsilon=0))
    states = jax.vmap(made(PENDULUM, wrapper).reset)(jax.random.split(KEY, 2))[1]
    for bad in (states.statistics, (0, 1, 1), jnp.zeros(3)):
        with pytest.raises(errors.InvalidOptionError, match=r"state\.statistics"):
            made(PENDULUM, wrapper(statistics=bad))


def test_what_is_to_be_normalised_is_checked() -> None:
    with pytest.raises(errors.InvalidOptionError, match="needs array"):
        made("gymnasium::Blackjack-v1", NormalizeObservation)
    for bad in (-0.1, 1.1):
        with pytest.raises(errors.InvalidOptionError, match="gamma"):
            made(PENDULUM, NormalizeReward(gamma=bad))


@pytest.mark.parametrize("wrapper", [NormalizeObservation, NormalizeReward])
@pytest.mark.parametrize("axis_name", [0, 30, ("envs", 1)])
def test_a_number_is_no_name_of_an_axis(wrapper: Any, axis_name: Any) -> None:
    env, _ = envhub.make("gymnax::CartPole-v1")
    with pytest.raises(errors.InvalidOptionError, match="axis_name must be a name"):
        wrapper(env, axis_name=axis_name)
