"""Programs in the style of PureJaxRL train on what `to_gymnax` gives, compiled over seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub.export import to_gymnax
from envhub.wrappers import DiscretizeAction, FlattenObservation
from tests.packages import needed

gymnax = needed("gymnax")
needed("flax")
needed("optax")

from . import gymnax_dqn, gymnax_ppo  # noqa: E402 (where their packages are installed)

SEEDS = 2
ALGORITHMS: dict[str, Callable[..., Any]] = {
    "ppo": gymnax_ppo.make_train,
    "recurrent": functools.partial(gymnax_ppo.make_train, is_recurrent=True),
    "dqn": gymnax_dqn.make_train,
}
SHORT: dict[str, dict[str, Any]] = {
    "ppo": {"num_updates": 3, "num_envs": 4},
    "recurrent": {"num_updates": 3, "num_envs": 4},
    "dqn": {"num_steps": 150, "num_envs": 4, "learning_starts": 8, "explored": 100},
}
CASES: dict[str, list[Any]] = {
    "gymnax::CartPole-v1": [],
    "navix::Navix-Empty-5x5-v0": [],
    "jumanji::Snake-v1": [FlattenObservation],
    "brax::fast": [DiscretizeAction(bins=3)],
    "gymnasium::CartPole-v1": [],
    "pufferlib::CartPole-v1": [],
}
all_three = pytest.mark.parametrize(
    "name", ["ppo", *(pytest.param(name, marks=pytest.mark.full) for name in ("recurrent", "dqn"))]
)


def trained(name: str, env: Any, params: Any, **options: Any) -> dict[str, Any]:
    """What each seed was told of its training."""
    train = jax.jit(jax.vmap(ALGORITHMS[name](env, params, **options)))
    keys = jax.random.split(jax.random.key(0), SEEDS)
    # jaxlib 0.10.2 on CPUs: a long program that multiplies the matrices of several seeds now and
    # then waits forever for a thread of the pool in which it multiplies them.
    compiled = train.lower(keys).compile(compiler_options={"xla_cpu_multi_thread_eigen": False})
    return jax.tree.map(np.asarray, compiled(keys))


@all_three
@pytest.mark.slow
def test_on_a_gymnax_environment_it_trains_as_on_gymnaxs_own(name: str) -> None:
    own, own_params = gymnax.make("CartPole-v1")
    env = to_gymnax(*envhub.make("gymnax::CartPole-v1"), api="0.0")
    expected = trained(name, own, own_params, **SHORT[name])
    found = trained(name, env, env.default_params, **SHORT[name])
    assert expected["done"].sum() > 10
    assert len(np.unique(expected["loss"])) > SEEDS
    # Unoptimised, as the tests compile, XLA rounds one expression in two ways.
    np.testing.assert_allclose(found.pop("loss"), expected.pop("loss"), rtol=1e-4)
    for told, values in expected.items():
        np.testing.assert_array_equal(found[told], values, told)


@pytest.mark.full
@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_learns(name: str) -> None:
    env = to_gymnax(*envhub.make("gymnax::CartPole-v1"), api="0.0")
    told = trained(name, env, env.default_params)
    for done, returns in zip(told["done"], told["return"], strict=True):
        first, last = returns[done][:50].mean(), returns[done][-50:].mean()
        assert first < 40
        assert last > 1.8 * first


@pytest.mark.full
@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("env_id", CASES)
def test_it_trains_on_every_suite(name: str, env_id: str) -> None:
    env, params = envhub.make(env_id, wrappers=CASES[env_id])
    exported = to_gymnax(env, params, api="0.0", max_steps_in_episode=8)
    told = trained(name, exported, exported.default_params, **SHORT[name])
    assert np.isfinite(told["loss"]).all()
    assert np.isfinite(told["return"]).all()
    assert told["done"].any((1, 2)).all()
    assert told["length"].max() == 8
    assert told["done"][told["length"] == 8].all()
