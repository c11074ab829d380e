"""Params, actions and keys as they are given: `docs/contract.md`, sections 2, 5 and 9."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors

KEY = jax.random.key(0)
LANES = 2


@pytest.fixture(scope="module")
def pendulum() -> tuple[envhub.Environment, Any]:
    return envhub.make("gymnax::Pendulum-v1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"g": np.float32([10, 1])}, r"params\.g is float\[2\].*vmap.*batched_params"),
        ({"g": [10.0, 1.0]}, r"params\.g is a list of 2.*vmap.*batched_params"),
        ({"g": "strong"}, r"params\.g is 'strong'"),
        ({"g": None}, r"params\.g is None"),
        ({"g": {"x": 1.0}}, r"params\.g is \{'x': "),
        ({"g": True}, r"params\.g is bool\[\]"),
        ({"max_steps_in_episode": 9.5}, r"params\.max_steps_in_episode is float\[\].*replace"),
    ],
)
def test_a_param_of_another_shape_or_kind(
    pendulum: tuple[envhub.Environment, Any], change: dict[str, Any], said: str
) -> None:
    env, params = pendulum
    _, state = env.reset(KEY)
    changed = params.replace(**change)
    for call in (
        lambda: env.reset(KEY, changed),
        lambda: env.step(KEY, state, jnp.zeros(1), changed),
        lambda: jax.jit(lambda key: env.reset(key, changed))(KEY),
        lambda: envhub.rollout(env, changed, None, KEY, 2),
    ):
        with pytest.raises(errors.InvalidParamsError, match=said):
            call()


def test_params_may_be_given_in_other_widths_and_as_integers(
    pendulum: tuple[envhub.Environment, Any],
) -> None:
    env, params = pendulum
    expected, _ = env.reset(KEY, params)
    for g in (10, np.float64(10), jnp.bfloat16(10), np.int8(10)):
        assert jnp.array_equal(env.reset(KEY, params.replace(g=g))[0], expected)


@pytest.mark.slow
def test_the_model_of_another_robot_is_refused() -> None:
    env, params = envhub.make("brax::inverted_pendulum", backend="mjx")
    other, _ = envhub.make("brax::reacher", backend="mjx")
    with pytest.raises(errors.InvalidParamsError, match=r"params\.sys"):
        env.reset(KEY, params.replace(sys=other.unwrapped.sys))
    own = env.unwrapped.sys
    two = own.replace(body_mass=jnp.stack([own.body_mass] * 2))
    with pytest.raises(errors.InvalidParamsError, match=r"params\.sys\.body_mass.*vmap"):
        env.reset(KEY, params.replace(sys=two))
    heavier = params.replace(sys=own.replace(body_mass=2 * own.body_mass))
    jax.eval_shape(env.reset, KEY, heavier)


def batch(**options: Any) -> tuple[envhub.VectorEnv, Any, Any]:
    venv, params = envhub.make_vec("gymnax::Pendulum-v1", LANES, **options)
    return venv, params, venv.reset(KEY)[1]


ACTIONS = jnp.zeros((LANES, 1))


@pytest.mark.parametrize(
    ("error", "said", "call"),
    [
        ("Key", "the batch splits", lambda venv, *_: venv.reset(jax.random.split(KEY, LANES))),
        ("Key", "got 0", lambda venv, *_: venv.reset(0)),
        ("Key", "uint32", lambda venv, _, s: venv.step(np.zeros(3, np.uint32), s, ACTIONS)),
        ("Action", r"\(3, 1\)", lambda venv, _, s: venv.step(KEY, s, jnp.zeros((3, 1)))),
        ("Action", r"\(\)", lambda venv, _, s: venv.step(KEY, s, jnp.zeros(2))),
        ("Action", r"\(2, 1\)", lambda venv, _, s: venv.step(KEY, s, 0.0)),
        ("State", "not made by", lambda venv, *_: venv.step(KEY, venv.env.reset(KEY)[1], ACTIONS)),
        ("Params", "vmap", lambda venv, p, _: venv.reset(KEY, p.replace(g=jnp.ones(2)))),
        ("Params", "structure", lambda venv, _, s: venv.step(KEY, s, ACTIONS, {})),
        ("Option", "5", lambda venv, _, s: venv.render(s, index=5)),
        ("Option", "1.0", lambda venv, _, s: venv.render(s, index=1.0)),
        ("Option", "True", lambda venv, _, s: venv.render(s, index=True)),
        ("Option", "-3", lambda venv, _, s: venv.render(s, index=-3)),
        ("State", "whole batch", lambda venv, *_: venv.render(venv.env.reset(KEY)[1])),
    ],
)
def test_a_batch_checks_what_it_is_given(error: str, said: str, call: Callable[..., Any]) -> None:
    with pytest.raises(getattr(errors, f"Invalid{error}Error"), match=said):
        call(*batch())


@pytest.mark.parametrize(
    ("g", "said"),
    [
        (1.0, r"params\.g is float\[\].*batch of 2 takes float\[2\].*leading axis"),
        (jnp.ones(3), r"params\.g is float\[3\]"),
        (jnp.ones((2, 3)), r"params\.g is float\[3\].*one environment"),
    ],
)
def test_batched_params_of_another_shape(g: Any, said: str) -> None:
    venv, params, state = batch(batched_params=True)
    with pytest.raises(errors.InvalidParamsError, match=said):
        venv.step(KEY, state, ACTIONS, params.replace(g=g))


@pytest.mark.parametrize("action", [2**40, 2**90, np.int64(2**40), -(2**31) - 1])
def test_an_action_beyond_32_bits_is_refused_and_not_cut(action: Any) -> None:
    env, _ = envhub.make("gymnax::CartPole-v1")
    _, state = env.reset(KEY)
    with pytest.raises(errors.InvalidActionError, match="32"):
        env.step(KEY, state, action)
    venv, _ = envhub.make_vec("gymnax::CartPole-v1", LANES)
    with pytest.raises(errors.InvalidActionError, match=r"32|dtype"):
        venv.step(KEY, venv.reset(KEY)[1], np.array([0, action]))


class Echo(gymnasium.Env[Any, Any]):
    """Shows the action that it was given."""

    def __init__(self, low: int, high: int, dtype: Any) -> None:
        self.action_space = gymnasium.spaces.Box(low, high, (), dtype)
        self.observation_space = gymnasium.spaces.Box(-1e9, 1e9, (), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        return np.float32(0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.float32(action), 0.0, False, False, {}


@pytest.mark.parametrize(
    ("low", "high", "dtype", "action", "inside_jit"),
    [
        (0, 255, np.uint8, 300, 255),  # which fills its dtype
        (-128, 127, np.int8, np.int16(-129), -128),
        (0, 3, np.uint8, -1, None),
        (0, 3, np.uint8, np.uint16(256), None),
        (5, 255, np.uint8, 300, None),
        (0, 10, np.uint32, -1, None),
    ],
)
def test_what_a_dtype_cannot_hold_is_refused_and_not_made_to_fit(
    low: int, high: int, dtype: Any, action: Any, inside_jit: int | None
) -> None:
    env, _ = envhub.wrap(lambda: Echo(low, high, dtype))
    given = jnp.asarray(action)
    ways: list[tuple[Any, Any]] = [
        (env, action),
        (env, given),
        (envhub.wrappers.TimeLimit(env, max_episode_steps=9), action),
        (envhub.VectorEnv(env, LANES), np.stack([np.asarray(action)] * LANES)),
        (envhub.MultiEnv({"echo": env}), {"echo": action}),
    ]
    before = env.counts.steps
    for each, wrong in ways:
        _, state = each.reset(KEY)
        with pytest.raises(errors.InvalidActionError):
            each.step(KEY, state, wrong)
    _, state = env.reset(KEY)
    compiled = jax.jit(env.step)
    if inside_jit is None:
        with pytest.raises(Exception, match="outside"):
            jax.block_until_ready(compiled(KEY, state, given))
    assert env.counts.steps == before
    if inside_jit is not None:
        assert compiled(KEY, state, given).obs == inside_jit
    env.close()


@pytest.mark.parametrize("name", ["gymnax::Pendulum-v1", "gymnasium::Pendulum-v1"])
def test_floats_of_any_width_are_actions(name: str) -> None:
    env, _ = envhub.make(name)
    _, state = env.reset(KEY)
    expected = env.step(KEY, state, np.float32([0.5])).obs
    for dtype in (jnp.bfloat16, np.float16, np.float64):
        assert jnp.array_equal(env.step(KEY, state, np.asarray([0.5], dtype)).obs, expected)
    discrete, _ = envhub.make("gymnax::CartPole-v1")
    with pytest.raises(errors.InvalidActionError, match="bfloat16"):
        discrete.step(KEY, discrete.reset(KEY)[1], jnp.bfloat16(1))


@pytest.mark.parametrize("name", ["gymnax::CartPole-v1", "gymnasium::CartPole-v1"])
def test_keys_of_every_generator(name: str) -> None:
    env, _ = envhub.make(name)
    typed = jax.random.key(0, impl="rbg")
    obs, state = env.reset(typed)
    env.step(typed, state, 1)
    legacy = jax.random.key_data(typed)
    with pytest.raises(errors.InvalidKeyError, match="wrap_key_data"):
        env.reset(legacy)
    with jax.default_prng_impl("rbg"):
        again, _ = env.reset(legacy)
        with pytest.raises(errors.InvalidKeyError, match="rbg"):
            env.reset(np.zeros(2, np.uint32))
    assert jnp.array_equal(obs, again)
