"""rejax's six algorithms train on what `to_gymnax` gives, compiled as one program."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub.export import to_gymnax
from tests.packages import needed

rejax = needed("rejax")
pytestmark = pytest.mark.full
POLICY = {"total_timesteps": 128, "eval_freq": 128, "num_envs": 2}
BUFFER = {"buffer_size": 64, "fill_buffer": 16, "batch_size": 8}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo": ("gymnax::Pendulum-v1", {"num_steps": 16, "num_minibatches": 2, "num_epochs": 1}),
    "pqn": ("gymnax::CartPole-v1", {"num_steps": 16, "num_minibatches": 2, "num_epochs": 1}),
    "dqn": ("gymnax::CartPole-v1", BUFFER),
    "iqn": ("gymnax::CartPole-v1", BUFFER),
    "sac": ("gymnax::Pendulum-v1", BUFFER),
    "td3": ("gymnax::Pendulum-v1", BUFFER),
}


@pytest.mark.parametrize("name", CASES)
def test_it_trains(name: str) -> None:
    env_id, options = CASES[name]
    # rejax 0.1.3 unpacks the five values of a step of gymnax 0.0.x.
    env = to_gymnax(*envhub.make(env_id, max_steps_in_episode=8), api="0.0")
    given = {"env": env, "env_params": env.default_params, **POLICY, **options}
    algorithm = rejax.get_algo(name).create(**given)
    _, (lengths, returns) = jax.jit(algorithm.train)(jax.random.key(0))
    assert lengths.min() > 0
    assert lengths.max() <= 8
    assert np.isfinite(returns).all()
