"""The spaces of every environment of every suite, inside of `jit`: see `docs/contract.md`, 2."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import envhub
from envhub import registry, spaces, wrappers
from envhub.testing.checks import refute_spaces_inside_jit
from tests.packages import needed

# Of each of the others the default run examines the sample, in `test_contract.py`.
CHEAP = ("gymnax", "jumanji", "craftax")
COSTLY = tuple(sorted(set(registry.BUILTIN) - set(CHEAP)))


def examine(suite_name: str) -> None:
    suite = registry.get(suite_name)
    needed(suite.module)
    for name in suite.known_names():
        if not suite.gap(name, {}):
            env, params = envhub.make(f"{suite_name}::{name}")
            refute_spaces_inside_jit(env, params)
            env.close()


@pytest.mark.parametrize("suite", CHEAP)
@pytest.mark.slow
def test_of_every_environment(suite: str) -> None:
    examine(suite)


@pytest.mark.full
@pytest.mark.parametrize("suite", COSTLY)
def test_of_every_other_environment(suite: str) -> None:
    examine(suite)


def test_bounds_are_those_of_the_traced_params() -> None:
    env, params = envhub.make("gymnax::Pendulum-v1")
    stronger, key = params.replace(max_torque=5.0), jax.random.key(0)
    sampled = jax.jit(lambda params: env.action_space(params).sample(key))(stronger)
    np.testing.assert_allclose(sampled, env.action_space(stronger).sample(key), rtol=1e-6)
    contains = jax.jit(lambda params: env.action_space(params).contains(np.float32([4.0])))
    assert contains(stronger)
    assert not contains(params)


def test_params_may_be_those_of_lanes() -> None:
    env, params = envhub.make("gymnax::BernoulliBandit-misc")
    limits = np.float32([50, 500])

    def highest(limit: jax.Array) -> jax.Array:
        space = env.observation_space(params.replace(max_steps_in_episode=limit))
        assert isinstance(space, spaces.Box)
        return jax.numpy.asarray(space.high[-1])

    assert jax.vmap(highest)(limits).tolist() == [1.0, 9.0]


@pytest.mark.parametrize(
    "wrap",
    [
        wrappers.DtypeObservation(dtype="int16"),
        wrappers.FlattenObservation,
        wrappers.FlickeringObservation(probability=0.5),
        wrappers.FrameStackObservation(stack_size=2),
        wrappers.NoisyObservation(scale=0.1),
        wrappers.PeriodicObservation(angles=[2]),
        wrappers.TimeAwareObservation,
        wrappers.MaskObservation(keep=[0]),
        wrappers.ReshapeObservation(shape=(2, 2)),
    ],
)
def test_wrappers_change_traced_bounds(wrap: object) -> None:
    env, params = envhub.make("gymnax::CartPole-v1", wrappers=[wrap])
    refute_spaces_inside_jit(env, params)


def test_a_batch_has_them_too() -> None:
    venv, params = envhub.make_vec("gymnax::Pendulum-v1", 3)
    refute_spaces_inside_jit(venv, params)
