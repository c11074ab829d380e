"""Episodes that follow each other: exactly those of a reset of everything and a selection."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import _reset_where, errors
from envhub._reset_where import reset_where
from envhub.testing.episodes import optimised
from envhub.wrappers import AutoReset, RecordEpisodeStatistics

KEY, STEPS = jax.random.key(0), 12

IDS = [
    ("gymnax::CartPole-v1", {"max_steps_in_episode": 5}),
    ("navix::Navix-Empty-5x5-v0", {"max_steps": 5}),
    pytest.param(
        "craftax::Craftax-Classic-Symbolic-v1", {"max_timesteps": 5}, marks=pytest.mark.full
    ),
    ("brax::fast", {"episode_length": 5}),
    ("gymnasium::CartPole-v1", {"max_episode_steps": 5}),
    ("gymnasium::CartPole-v1", {"max_episode_steps": 5, "forkable": False}),
    pytest.param("ale::pong", {"max_num_frames_per_episode": 20}, marks=pytest.mark.full),
]


def naive(env: Any, key: Any, state: Any, action: Any, params: Any) -> Any:
    """What `AutoReset` is to equal: reset everything, and select."""
    step_key, reset_key = jax.random.split(key)
    result = env.step(step_key, state, action, params)
    fresh = env.reset(reset_key, params)
    obs, state = jax.tree.map(
        functools.partial(jnp.where, result.done), fresh, (result.obs, result.state)
    )
    return result._replace(obs=obs, state=state, info={**result.info, "final_obs": result.obs})


def rollout(step: Any, env: Any, params: Any, key: Any) -> Any:
    start, *keys = jax.random.split(key, STEPS + 1)
    sample = env.action_space(params).sample

    def body(state: Any, key: Any) -> Any:
        result = step(key, state, sample(jax.random.fold_in(key, 1)), params)
        return result.state, result._replace(state=())

    first, state = env.reset(start, params)
    return first, jax.lax.scan(body, state, jnp.stack(keys))[1]


def is_equal(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("env_id", "options"), IDS)
@pytest.mark.slow
def test_nested_lanes_equal_the_naive_ones_bit_for_bit(env_id: str, options: Any) -> None:
    env, params = envhub.make(env_id, **options)
    auto, keys = AutoReset(env), jax.random.split(KEY, (2, 3))

    def of_each(step: Any, env: Any) -> Any:
        return jax.vmap(jax.vmap(functools.partial(rollout, step, env, params)))

    exact, expected = of_each(auto.step, auto), of_each(functools.partial(naive, env), env)
    first, results = jax.jit(exact)(keys)
    if not is_equal((first, results), jax.jit(expected)(keys)):
        # Unoptimised, XLA (0.4.35) may round one expression in two ways: ask it again.
        first, results = optimised(exact)(keys)
        assert is_equal((first, results), optimised(expected)(keys))
    assert (results.truncated | results.terminated).sum() >= 2 * 3 * 2
    last = results.info["final_obs"]
    shown = jax.tree.map(lambda a, b: np.any(a != b), last, results.obs)
    assert any(jax.tree.leaves(shown))


@pytest.mark.parametrize("whole", [_reset_where.WHOLE, 1], ids=["whole", "in parts"])
@pytest.mark.slow
def test_a_gpu_resets_a_batch_whole_or_a_part_at_once(
    whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_reset_where, "platform", lambda: "gpu")
    monkeypatch.setattr(_reset_where, "WHOLE", whole)
    monkeypatch.setattr(_reset_where, "PARTS", 2)  # of six lanes
    jax.clear_caches()  # equal environments share what was traced, for the platform that there was
    env, params = envhub.make(IDS[0][0])
    step = jax.vmap(AutoReset(env).step, in_axes=(0, 0, None, None))
    keys = jax.random.split(KEY, 6)
    _, states = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
    jaxpr = jax.make_jaxpr(step)(keys, states, jnp.int32(0), params)
    assert ("while" in str(jaxpr)) == (whole == 1)
    test_nested_lanes_equal_the_naive_ones_bit_for_bit(*IDS[0])


@pytest.mark.parametrize(("env_id", "options"), [IDS[0], IDS[1], IDS[4], IDS[5]])
@pytest.mark.slow
def test_next_step_resets_where_an_episode_had_ended(env_id: str, options: Any) -> None:
    env, params = envhub.make(env_id, **options)
    auto = AutoReset(env, mode="next_step")
    assert jax.tree.structure(auto.reset(KEY, params)[1]) is not None
    keys = jax.random.split(KEY, (2, 2))
    run = jax.jit(jax.vmap(jax.vmap(functools.partial(rollout, auto.step, auto, params))))
    _, results = run(keys)
    done = np.asarray(results.terminated | results.truncated)
    assert done[..., 4].all() or done[..., :5].any(-1).all()
    after = np.roll(done, 1, axis=-1)
    after[..., 0] = False
    assert not (done & after).any()
    assert not np.asarray(results.reward)[after].any()
    resets = jax.jit(jax.vmap(lambda key: env.reset(key, params)[0]))
    for lane in np.ndindex(2, 2):
        _, *step_keys = jax.random.split(keys[lane], STEPS + 1)
        fresh = resets(jnp.stack([jax.random.split(key)[1] for key in step_keys]))
        for a, b in zip(jax.tree.leaves(fresh), jax.tree.leaves(results.obs), strict=True):
            np.testing.assert_array_equal(a[after[lane]], b[lane][after[lane]])


def test_gradients_flow_through_the_steps_and_not_the_resets() -> None:
    env, params = envhub.make("brax::fast", episode_length=5)
    auto = AutoReset(env)

    def total(action: Any, key: Any) -> Any:
        _, state = auto.reset(key, params)

        def body(state: Any, key: Any) -> Any:
            result = auto.step(key, state, action, params)
            return result.state, result.reward + result.obs.sum()

        return jax.lax.scan(body, state, jax.random.split(key, STEPS))[1].sum()

    action, keys = jnp.full(env.action_space(params).shape, 0.1), jax.random.split(KEY, 4)
    over_lanes = jax.grad(lambda action: jax.vmap(total, in_axes=(None, 0))(action, keys).sum())
    by_lane = jax.vmap(jax.grad(total), in_axes=(None, 0))
    one, other = jax.jit(over_lanes)(action), jax.jit(by_lane)(action, keys).sum(0)
    np.testing.assert_allclose(one, other, rtol=1e-4)
    assert np.isfinite(one).all()


def twice(function: Any) -> Any:
    return jax.grad(jax.grad(function))


@pytest.mark.parametrize("derivative", [jax.hessian, twice])
def test_second_derivatives_are_those_of_a_selection(derivative: Any) -> None:
    def reset(key: Any, params: Any) -> Any:
        return jax.random.normal(key, (2,)) * params, jnp.int32(0)

    def selected(done: Any, reset: Any, key: Any, params: Any, otherwise: Any) -> Any:
        fresh = jax.lax.stop_gradient(reset(key, params))
        return jax.tree.map(functools.partial(jnp.where, done), fresh, otherwise)

    def total(choose: Any, factor: Any, key: Any) -> Any:
        def body(carry: Any, key: Any) -> Any:
            x, steps = carry
            x, steps = choose(x.sum() > 3, reset, key, factor, (x + jnp.sin(factor * x), steps + 1))
            return (x, steps), (x**2).sum() * steps

        start = jnp.ones(2), jnp.int32(0)
        return jax.lax.scan(body, start, jax.random.split(key, STEPS))[1].sum()

    def second(choose: Any) -> Any:
        of_one = derivative(functools.partial(total, choose))
        return jax.jit(jax.vmap(of_one, in_axes=(None, 0)))(0.7, jax.random.split(KEY, 3))

    one, other = second(reset_where), second(selected)
    np.testing.assert_allclose(one, other, rtol=1e-3)
    assert np.all(one)


def test_params_of_each_lane_are_in_force_in_its_reset() -> None:
    env, params = envhub.make("gymnax::CartPole-v1")
    auto = AutoReset(env)
    limits = jnp.array([2, 3, 4])

    def run(limit: Any, key: Any) -> Any:
        return rollout(auto.step, auto, params.replace(max_steps_in_episode=limit), key)[
            1
        ].truncated

    ends = jax.jit(jax.vmap(run, in_axes=(0, None)))(limits, KEY)
    np.testing.assert_array_equal(ends.sum(1), STEPS // limits)


def test_an_ended_episode_on_the_host_takes_no_other_reset() -> None:
    env, params = envhub.make("gymnasium::CartPole-v1", max_episode_steps=5)
    auto = AutoReset(env)
    jaxpr = jax.make_jaxpr(auto.step)(KEY, env.reset(KEY)[1], jnp.int32(0), params)
    assert str(jaxpr).count("host_callback[") == 1


def test_no_other_lane_is_reset_on_the_host() -> None:
    env, params = envhub.make("gymnasium::CartPole-v1", forkable=False)
    auto = AutoReset(RecordEpisodeStatistics(env))
    run = jax.jit(jax.vmap(functools.partial(rollout, auto.step, auto, params)))
    _, results = jax.block_until_ready(run(jax.random.split(KEY, 16)))
    ends = np.asarray(results.terminated).sum()
    assert ends > 1  # and not all of a step
    assert env.counts.resets == 16 + ends  # type: ignore[attr-defined]


def test_unknown_modes_are_refused() -> None:
    env, _ = envhub.make("gymnax::CartPole-v1")
    with pytest.raises(errors.InvalidOptionError, match="next_step"):
        AutoReset(env, mode="later")
