"""What is peculiar to highway-env."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from tests.packages import needed

highway_env, gymnasium = needed("highway_env"), needed("gymnasium")
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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"reset_options": {"config": {"other_vehicle": 3}}}, "no entry 'other_vehicle'"),
        (
            {"config": {"action": {"type": "ContinuousAction", "speed_rnge": [0, 1]}}},
            r"config\['action'\] .* no entry 'speed_rnge'. Did you mean 'speed_range'",
        ),
        ({"config": "other_vehicles"}, "must be a dict with names"),
        ({"config": {1: 2}}, "must be a dict with names"),
    ],
)
def test_what_highway_env_would_ignore_or_fail_on_is_refused(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.InvalidOptionError, match=told):
        envhub.make("highway::racetrack-v0", **options)


@pytest.mark.parametrize("entry", ["length", "no_lanes"])
def test_a_road_that_no_seed_decides_is_refused(entry: str) -> None:
    if "racetrack-oval-v0" not in registry.get("highway").known_names():
        pytest.skip(reason="highway-env 1.10 has no racetrack-oval-v0")
    with pytest.raises(errors.InvalidOptionError, match="no seed reaches"):
        envhub.make("highway::racetrack-oval-v0", config={entry: 0})


@pytest.mark.slow
def test_a_log_has_room_for_the_duration() -> None:
    """That of a racetrack is 300 seconds, of five steps each."""
    sizes = []
    for options in ({}, {"replay_steps": 1500}, {"replay_steps": 1000}):
        env, params = envhub.make("highway::racetrack-v0", forkable=True, **options)
        _, state = env.reset(KEY, params)
        sizes.append(state.snapshot.size)
    assert sizes[0] == sizes[1] > sizes[2]


def test_the_duration_truncates() -> None:
    config = {"duration": 1, "simulation_frequency": 5, "policy_frequency": 5, "other_vehicles": 0}
    env, params = envhub.make("highway::racetrack-v0", config=config)
    _, state = env.reset(KEY, params)
    for _ in range(5):
        result = env.step(KEY, state, np.zeros(1, np.float32), params)
        state = result.state
    assert (bool(result.terminated), bool(result.truncated)) == (False, True)


def test_several_rewards_are_a_gap_and_their_mean_is_not() -> None:
    with pytest.raises(errors.UnavailableEnvError, match="its reward must be one number"):
        envhub.make("highway::intersection-multi-agent-v1")
    env, params = envhub.make("highway::intersection-multi-agent-v0")
    assert isinstance(env.observation_space(params), envhub.spaces.Tuple)


@pytest.mark.slow
def test_an_intersection_does_not_change_how_others_drive() -> None:
    """It sets numbers of highway-env's drivers in their class, for all of the process."""

    def episode(name: str) -> list[np.ndarray[Any, Any]]:
        env, params = envhub.make(f"highway::{name}")
        obs, state = env.reset(KEY, params)
        seen = [obs]
        for _ in range(6):
            result = env.step(KEY, state, 1, params)
            state = result.state
            seen += [result.obs, result.reward]
        return [np.asarray(each) for each in seen]

    names = ("roundabout-v0", "intersection-v0", "roundabout-v0", "intersection-v0")
    drivers = needed("highway_env.vehicle.behavior").IDMVehicle
    wanted = drivers.DISTANCE_WANTED
    first, crossing, second, again = map(episode, names)
    assert all(map(np.array_equal, first, second))
    assert all(map(np.array_equal, crossing, again))
    assert wanted == drivers.DISTANCE_WANTED

    env = gymnasium.make("intersection-v0").unwrapped  # which has numbers of its own
    obs, _ = env.reset(seed=envhub.host_seed(KEY))
    assert np.array_equal(np.asarray(obs, np.float32), crossing[0])
    assert wanted != drivers.DISTANCE_WANTED
    drivers.DISTANCE_WANTED = wanted
