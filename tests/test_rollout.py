"""`envhub.rollout`: it is the loop that its documentation shows, and compiles once."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import Trajectory, errors
from envhub._random_policy import CHUNK

from .devices import needs_devices

KEY, STEPS = jax.random.key(3), 50
NATIVE, HOST = "gymnax::CartPole-v1", "gymnasium::CartPole-v1"
DIRECTION = jnp.array([0.1, 0.4, 1.0, 0.8])


def balance(weights: jax.Array, key: jax.Array, obs: jax.Array) -> jax.Array:
    """A policy that uses what it is given, in a batch too."""
    noise = 0.1 * jax.random.normal(key, obs.shape[:-1])
    return (obs @ weights + noise > 0).astype(jnp.int32)


def policy(key: jax.Array, obs: jax.Array) -> jax.Array:
    return balance(DIRECTION, key, obs)


def same(one: Any, other: Any) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(*map(bits, (a, b)))


def bits(leaf: Any) -> Any:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def loop(env: Any, params: Any, act: Any, key: Any, num_steps: int) -> Trajectory:
    """The loop of the documentation."""
    key, reset_key = jax.random.split(key)
    obs, state = env.reset(reset_key, params)
    act, steps = jax.jit(act), []
    for _ in range(num_steps):
        key, policy_key, step_key = jax.random.split(key, 3)
        action = act(policy_key, obs)
        result = env.step(step_key, state, action, params)
        others = (result.reward, result.terminated, result.truncated, result.info)
        steps.append((obs, action, *others))
        obs, state = result.obs, result.state
    seen = jax.tree.map(lambda *leaves: jnp.stack(leaves), *steps)
    return Trajectory._make((*seen, (obs, state), key))


def seen(trajectory: Trajectory) -> Trajectory:
    """Without the state, whose handles on the host name other instances each time."""
    return trajectory._replace(last=trajectory.last[0])


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        (NATIVE, {}),  # without an AutoReset: beyond the end of an episode
        (NATIVE, {"autoreset": "same_step"}),
        (HOST, {"autoreset": "next_step"}),
        (HOST, {"forkable": False}),
    ],
)
@pytest.mark.parametrize("act", [policy, None])
def test_a_rollout_is_the_loop(env_id: str, options: dict[str, Any], act: Any) -> None:
    env, params = envhub.make(env_id, **options)
    space = env.action_space(params)
    expected = loop(env, params, act or (lambda key, obs: space.sample(key)), KEY, STEPS)
    trajectory = envhub.rollout(env, params, act, KEY, STEPS)
    same(seen(trajectory), seen(expected))
    assert trajectory.obs.shape == (STEPS, 4)
    assert set(np.unique(trajectory.action)) == {0, 1}
    if act is None:
        assert trajectory.done.any()


@pytest.mark.parametrize("env_id", [NATIVE, HOST])
@pytest.mark.slow
def test_a_rollout_of_a_batch_is_the_loop(env_id: str) -> None:
    venv, params = envhub.make_vec(env_id, 3, batched_params=True)
    trajectory = envhub.rollout(venv, None, policy, KEY, STEPS)
    same(seen(trajectory), seen(loop(venv, params, policy, KEY, STEPS)))
    assert trajectory.obs.shape == trajectory.info["final_obs"].shape == (STEPS, 3, 4)
    at_random = envhub.rollout(venv, params, None, KEY, STEPS)
    assert at_random.action.shape == (STEPS, 3)
    assert at_random.done.any()


@pytest.mark.parametrize(("env_id", "options"), [(NATIVE, {}), (HOST, {"forkable": False})])
def test_two_rollouts_are_one_that_is_longer(env_id: str, options: dict[str, Any]) -> None:
    env, params = envhub.make(env_id, autoreset="same_step", **options)
    whole = envhub.rollout(env, params, None, KEY, STEPS)
    first = envhub.rollout(env, params, None, KEY, 10)
    second = envhub.rollout(env, params, None, first.key, STEPS - 10, state=first.last)
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), first[:-2], second[:-2])
    same((joined, second.last[0], second.key), (whole[:-2], whole.last[0], whole.key))


def compiled(caplog: pytest.LogCaptureFixture, function: Callable[[], Any]) -> list[str]:
    """What JAX compiled in a call."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.DEBUG):
        function()
    return [text for text in caplog.messages if text.startswith("Compiling")]


@pytest.mark.slow
def test_a_second_rollout_compiles_nothing(caplog: pytest.LogCaptureFixture) -> None:
    jax.clear_caches()  # of the programs of other tests, beside which JAX would drop some of these
    env, params = envhub.make(NATIVE)
    venv, _ = envhub.make_vec(NATIVE, 2)
    keys = jax.random.split(KEY, 3)
    changed = params.replace(gravity=5.0)
    weights = [DIRECTION, -DIRECTION, 2 * DIRECTION]

    def collect(index: int) -> Any:
        act: Any = jax.tree_util.Partial(balance, weights[index])  # type: ignore[no-untyped-call]
        for where in (env, venv):
            for each in (None, policy, act):
                envhub.rollout(where, [params, changed, None][index], each, keys[index], 5)
        return envhub.rollout(env, params, act, keys[0], 5).action

    assert compiled(caplog, lambda: collect(0))
    assert compiled(caplog, lambda: [collect(1), collect(2)]) == []
    assert not np.array_equal(collect(0), collect(1))  # the weights are those of the call
    assert compiled(caplog, lambda: envhub.rollout(env, params, policy, KEY, 6))


@pytest.mark.parametrize("env_id", [NATIVE, HOST])
def test_seeds_side_by_side(env_id: str) -> None:
    env, params = envhub.make(env_id, autoreset="same_step")
    keys = jax.random.split(KEY, 3)

    def collect(key: jax.Array, params: Any) -> Any:
        return seen(envhub.rollout(env, params, None, key, STEPS))

    together = jax.jit(jax.vmap(collect, (0, None)))(keys, params)
    for lane, key in enumerate(keys):
        alone = collect(key, params)
        same(jax.tree.map(lambda leaf, lane=lane: leaf[lane], together), alone)

    def advance(carry: Any, _: None) -> Any:
        key, start = carry
        part = envhub.rollout(env, params, None, key, 5, state=start)
        return (part.key, part.last), part.obs

    key, reset_key = jax.random.split(keys[0])
    _, obs = jax.lax.scan(advance, (key, env.reset(reset_key, params)), None, STEPS // 5)
    # In another program XLA may round otherwise.
    np.testing.assert_allclose(obs.reshape(STEPS, 4), together.obs[0], atol=1e-5)


@pytest.mark.parametrize("num_steps", [7, 2 * CHUNK + 7])
@pytest.mark.parametrize("has_rich", [True, False])
def test_progress_changes_nothing(
    num_steps: int,
    has_rich: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_rich:
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    env, params = envhub.make(NATIVE, autoreset="same_step")
    quiet = envhub.rollout(env, params, policy, KEY, num_steps)
    assert capsys.readouterr() == ("", "")
    same(envhub.rollout(env, params, policy, KEY, num_steps, progress=True), quiet)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("100%" if has_rich else f"steps: {num_steps} of {num_steps}\n") in err


@pytest.mark.full
@needs_devices(2)
def test_a_batch_over_several_devices() -> None:
    whole, params = envhub.make_vec(NATIVE, 4)
    mesh = jax.make_mesh((2,), ("devices",), devices=jax.devices()[:2])
    split, _ = envhub.make_vec(NATIVE, 4, mesh=mesh)
    expected = envhub.rollout(whole, params, None, KEY, CHUNK + 1)
    trajectory = envhub.rollout(split, params, None, KEY, CHUNK + 1, progress=True)
    assert len(trajectory.reward.sharding.device_set) == 2
    same(trajectory.action, expected.action)
    np.testing.assert_allclose(trajectory.obs, expected.obs, atol=1e-5)


def test_progress_is_refused_where_nothing_can_be_shown() -> None:
    env, params = envhub.make(NATIVE)
    for around in (jax.jit, jax.vmap):
        with pytest.raises(errors.InvalidOptionError, match="outside jit and vmap"):
            around(lambda key: envhub.rollout(env, params, None, key, 5, progress=True).reward)(
                KEY[None] if around is jax.vmap else KEY
            )


def test_actions_follow_the_params() -> None:
    env, params = envhub.make("gymnax::Pendulum-v1")
    wider = params.replace(max_torque=50.0)
    assert jnp.abs(envhub.rollout(env, params, None, KEY, STEPS).action).max() <= 2
    assert jnp.abs(envhub.rollout(env, wider, None, KEY, STEPS).action).max() > 10


@pytest.mark.parametrize("num_steps", [0, -1, 2.0, True, "5", None])
def test_a_number_of_steps_is_a_positive_integer(num_steps: Any) -> None:
    env, params = envhub.make(NATIVE)
    with pytest.raises(errors.InvalidOptionError, match="num_steps"):
        envhub.rollout(env, params, None, KEY, num_steps)


def test_what_does_not_fit_is_an_error_of_envhub() -> None:
    env, params = envhub.make(NATIVE)
    obs, state = env.reset(KEY, params)
    other = envhub.make("gymnax::Pendulum-v1")[0]

    def roll(
        env: Any = env, params: Any = params, act: Any = None, key: Any = KEY, **more: Any
    ) -> Any:
        return envhub.rollout(env, params, act, key, 5, **more)

    cases: list[tuple[type[Exception], Any]] = [
        (errors.InvalidOptionError, {"env": NATIVE}),
        (errors.InvalidOptionError, {"act": "random"}),
        (errors.InvalidKeyError, {"key": 0}),
        (errors.InvalidParamsError, {"params": {"gravity": 1.0}}),
        (errors.InvalidParamsError, {"params": params.replace(gravity="strong")}),
        (errors.InvalidStateError, {"state": state}),
        (errors.InvalidStateError, {"state": (obs, other.reset(KEY)[1])}),
        (errors.InvalidStateError, {"state": (obs, "state")}),
        (errors.InvalidActionError, {"act": lambda key, obs: obs}),
    ]
    for error, given in cases:
        with pytest.raises(error):
            roll(**given)


def test_an_error_of_the_host_is_raised_as_it_is() -> None:
    env, params = envhub.make(HOST, forkable=False)
    trajectory = envhub.rollout(env, params, None, KEY, 3)
    envhub.rollout(env, params, None, trajectory.key, 3, state=trajectory.last)
    with pytest.raises(errors.StaleStateError):
        envhub.rollout(env, params, lambda key, obs: 0, KEY, 3, state=trajectory.last)


@pytest.mark.parametrize("env_id", [NATIVE, HOST])
def test_an_environment_is_collected_with_its_programs(env_id: str) -> None:
    env, params = envhub.make(env_id)
    envhub.rollout(env, params, policy, KEY, 5)
    alive = weakref.ref(env)
    del env
    gc.collect()
    assert alive() is None
