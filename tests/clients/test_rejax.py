"""rejax's six algorithms train on what `to_gymnax` gives, compiled as one program."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import registry
from envhub.export import to_gymnax
from envhub.wrappers import DtypeObservation, FlattenObservation, RescaleObservation
from tests.packages import needed

rejax = needed("rejax")
pytestmark = pytest.mark.full
POLICY = {"total_timesteps": 128, "eval_freq": 128, "num_envs": 2}
BUFFER = {"buffer_size": 64, "fill_buffer": 16, "batch_size": 8}
ON_POLICY = {"num_steps": 16, "num_minibatches": 2, "num_epochs": 1}
OPTIONS: dict[str, dict[str, Any]] = {
    "ppo": ON_POLICY,
    "pqn": ON_POLICY,
    "dqn": BUFFER,
    "iqn": BUFFER,
    "sac": BUFFER,
    "td3": BUFFER,
}
# rejax's PPO and SAC take both kinds of actions, its PQN, DQN and IQN a Discrete, its TD3 a Box.
OF_DISCRETE, OF_BOX = ("ppo", "pqn", "dqn", "iqn", "sac"), ("ppo", "sac", "td3")
VECTOR = {"wrappers": [FlattenObservation, DtypeObservation(dtype="float32")]}
# With bytes as they are, the networks of rejax's SAC come to NaN in the first updates.
PIXELS = {"wrappers": [FlattenObservation, RescaleObservation(min_obs=0.0, max_obs=1.0)]}
# Its evaluation resets 128 lanes, and each again when its episode ends. States without snapshots
# need that many instances besides those of the training.
ENOUGH = {"max_instances": 512}
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "gymnax::CartPole-v1": (OF_DISCRETE, {}),
    "gymnax::Pendulum-v1": (OF_BOX, {}),
    "navix::Navix-Empty-5x5-v0": (OF_DISCRETE, VECTOR),
    "jumanji::Snake-v1": (OF_DISCRETE, {"wrappers": [FlattenObservation]}),
    "brax::fast": (OF_BOX, {}),
    "gymnasium::CartPole-v1": (OF_DISCRETE, {}),
    "pufferlib::CartPole-v1": (OF_DISCRETE, {}),
    "envpool::CartPole-v1": (OF_DISCRETE, ENOUGH),
    "pgx::minatar-breakout": (OF_DISCRETE, VECTOR),
    "craftax::Craftax-Classic-Symbolic-v1": (OF_DISCRETE, {}),
    "octax::pong": (OF_DISCRETE, VECTOR),
    "xminigrid::MiniGrid-Empty-5x5": (OF_DISCRETE, VECTOR),
    "minigrid::MiniGrid-Empty-5x5-v0": (OF_DISCRETE, {**VECTOR, **ENOUGH}),
    "popgym::popgym-RepeatPreviousEasy-v0": (OF_DISCRETE, {**VECTOR, **ENOUGH}),
    "ale::pong": (OF_DISCRETE, {**PIXELS, **ENOUGH}),
    "jaxmarl::MPE_simple_v3": (OF_DISCRETE, {}),
    "playground::CartpoleBalance": (OF_BOX, {}),
    "crafter::CrafterReward-v1": (OF_DISCRETE, {**PIXELS, **ENOUGH, "area": (16, 16)}),
    "highway::highway-fast-v0": (
        OF_DISCRETE,
        {**VECTOR, **ENOUGH, "config": {"vehicles_count": 3}},
    ),
    "dm_control::cartpole-balance": (OF_BOX, VECTOR),
    "bsuite::catch/0": (OF_DISCRETE, {**VECTOR, **ENOUGH}),
    "kinetix::s/h4_thrust_aim": (OF_BOX, {}),
    "ogbench::pointmaze-medium-v0": (OF_BOX, {**VECTOR, **ENOUGH}),
}


def test_every_suite_has_a_row() -> None:
    assert {env_id.partition("::")[0] for env_id in CASES} == set(registry.BUILTIN)


@pytest.mark.parametrize(
    ("env_id", "name"), [(env_id, name) for env_id, (names, _) in CASES.items() for name in names]
)
def test_it_trains(env_id: str, name: str) -> None:
    suite = env_id.partition("::")[0]
    if registry.get(suite).installed() is None:
        pytest.skip(reason=f"{suite} is not installed")
    # rejax 0.1.3 unpacks the five values of a step of gymnax 0.0.x.
    made = envhub.make(env_id, **CASES[env_id][1])
    env = to_gymnax(*made, api="0.0", max_steps_in_episode=8)
    given = {"env": env, "env_params": env.default_params, **POLICY, **OPTIONS[name]}
    algorithm = rejax.get_algo(name).create(**given)
    _, (lengths, returns) = jax.jit(algorithm.train)(jax.random.key(0))
    assert lengths.min() > 0
    assert lengths.max() <= 8
    assert np.isfinite(returns).all()
