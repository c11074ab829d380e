"""What is peculiar to highway-env."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from tests.packages import needed

highway_env = needed("highway_env")
KEY = jax.random.key(0)


def test_the_names_are_those_that_the_package_registers() -> None:
    suite = registry.get("highway")
    assert sorted(suite.live_names()) == sorted(suite.known_names())


def test_an_entry_of_config_that_highway_env_would_ignore_is_refused_by_name() -> None:
    name = "highway::racetrack-v0"
    with pytest.raises(errors.InvalidOptionError, match=r"no entry 'other_vehicle'.*'other_vehi"):
        envhub.make(name, config={"other_vehicle": 3})
    env, _ = envhub.make(name, config={"other_vehicles": 3})
    assert env.unwrapped.config["other_vehicles"] == 3


def test_the_duration_truncates() -> None:
    config = {"duration": 1, "simulation_frequency": 5, "policy_frequency": 5, "other_vehicles": 0}
    env, params = envhub.make("highway::racetrack-v0", config=config)
    _, state = env.reset(KEY, params)
    for _ in range(5):
        result = env.step(KEY, state, np.zeros(1, np.float32), params)
        state = result.state
    assert (bool(result.terminated), bool(result.truncated)) == (False, True)


def test_several_rewards_are_a_gap_and_their_mean_is_not() -> None:
    with pytest.raises(errors.UnavailableEnvError, match="v0 has their mean"):
        envhub.make("highway::intersection-multi-agent-v1")
    env, params = envhub.make("highway::intersection-multi-agent-v0")
    assert isinstance(env.observation_space(params), envhub.spaces.Tuple)
