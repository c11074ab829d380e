"""One way to read environments, batches and fleets, and the limit of episodes of each."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, wrappers
from envhub.export import to_gymnax
from envhub.wrappers import AutoReset, RecordEpisodeStatistics, TimeLimit

KEY = jax.random.key(0)
POLE, HOST = "gymnax::CartPole-v1", "gymnasium::CartPole-v1"


def made(env_id: str, **options: Any) -> tuple[envhub.Environment, Any]:
    try:
        return envhub.make(env_id, **options)
    except errors.MissingDependencyError as error:
        pytest.skip(reason=str(error))


def test_a_batch_is_read_like_an_environment() -> None:
    venv, _ = envhub.make_vec(POLE, 3, wrappers=[TimeLimit(max_episode_steps=5)])
    assert venv.capabilities == venv.env.capabilities
    assert venv.spec == venv.env.spec
    assert venv.num_agents == 1
    assert venv.unwrapped is venv.env.unwrapped
    assert venv.find(TimeLimit).max_episode_steps == 5
    assert venv.find(RecordEpisodeStatistics) is None
    assert venv.episode_limit() == 5
    assert envhub.require(venv, "forkable", "vmap_safe") is venv
    with pytest.raises(errors.MissingCapabilityError, match=r"differentiable.*\n.*of gymnax"):
        envhub.require(venv, "differentiable")
    with pytest.raises(errors.InvalidOptionError, match="Pass gravity to make"):
        envhub.require(venv, "forkable", gravity=1)


def test_a_fleet_is_read_by_name() -> None:
    fleet, _ = envhub.make_multi(
        {"pole": (POLE, {"max_steps_in_episode": 7}), "host": HOST}, autoreset="same_step"
    )
    assert {name: spec.id for name, spec in fleet.spec.items()} == {"pole": POLE, "host": HOST}
    assert fleet.num_agents == {"pole": 1, "host": 1}
    assert fleet.unwrapped["host"] is fleet.envs["host"].unwrapped
    assert isinstance(fleet.find(AutoReset)["pole"], AutoReset)
    assert fleet.find(TimeLimit) == {"pole": None, "host": None}
    assert fleet.episode_limit() == {"pole": 7, "host": 500}
    assert not fleet.capabilities.jax_native
    assert fleet.capabilities.why("jax_native").startswith("host: ")
    assert envhub.require(fleet, "forkable") is fleet
    with pytest.raises(errors.MissingCapabilityError, match="jax_native: host: "):
        envhub.require(fleet, "jax_native")


def test_an_environment_finds_itself() -> None:
    env, _ = envhub.make(POLE)
    assert env.find(TimeLimit) is None
    assert env.find(envhub.Environment) is env


@pytest.mark.parametrize("kind", ["env", "batch", "fleet"])
def test_with_closes(kind: str) -> None:
    made = {
        "env": lambda: envhub.make(HOST),
        "batch": lambda: envhub.make_vec(HOST, 2),
        "fleet": lambda: envhub.make_multi({"host": HOST}),
    }[kind]()[0]
    with made as given:
        assert given is made
        given.reset(KEY)
    with pytest.raises(errors.EnvHubError, match="closed"):
        made.reset(KEY)


def test_a_rollout_of_a_fleet_is_the_loop_by_name() -> None:
    fleet, params = envhub.make_multi({"pole": POLE, "host": HOST}, autoreset="same_step")

    def policy(key: Any, obs: Any) -> Any:
        return {name: (each[2] > 0).astype(int) for name, each in obs.items()}

    found = envhub.rollout(fleet, params, policy, KEY, 4)
    key, reset_key = jax.random.split(KEY)
    obs, state = fleet.reset(reset_key, params)
    for step in range(4):
        key, policy_key, step_key = jax.random.split(key, 3)
        action = policy(policy_key, obs)
        result = fleet.step(step_key, state, action, params)
        for name in fleet.names:
            np.testing.assert_allclose(found.obs[name][step], obs[name], 1e-6)
            assert found.action[name][step] == action[name]
            assert found.reward[name][step] == result.reward[name]
            assert found.done[name][step] == result.done[name]
        obs, state = result.obs, result.state
    random = envhub.rollout(fleet, params, None, KEY, 3, progress=True)
    assert random.action["host"].shape == (3,)


def test_an_error_in_a_rollout_of_a_fleet_is_told_as_it_is() -> None:
    fleet, params = envhub.make_multi({"pole": POLE, "host": HOST})
    with pytest.raises(errors.InvalidActionError):
        envhub.rollout(fleet, params, lambda key, obs: {"pole": 0, "host": jnp.int32(7)}, KEY, 2)


# What limits an episode: of every suite, under its own params or options and under others.
LIMITS: list[tuple[str, dict[str, Any], Any, int | None]] = [
    (POLE, {}, None, 500),
    (POLE, {}, {"max_steps_in_episode": 7}, 7),
    ("navix::Navix-Empty-5x5-v0", {"max_steps": 20}, {"max_steps": 9}, 9),
    ("craftax::Craftax-Classic-Symbolic-v1", {"max_timesteps": 20}, None, 20),
    ("brax::fast", {"episode_length": 20}, None, 20),
    ("brax::fast", {"episode_length": 20, "action_repeat": 3}, None, 7),
    ("jumanji::Snake-v1", {}, None, 4000),
    ("jumanji::Snake-v1", {}, {"time_limit": np.int32(5)}, 5),
    ("jumanji::Game2048-v1", {}, None, None),
    ("jumanji::MMST-v0", {"time_limit": 30}, None, 30),
    (HOST, {}, None, 500),
    (HOST, {"max_episode_steps": 9}, None, 9),
    (HOST, {"max_episode_steps": -1}, None, None),
    ("gymnasium::Hopper-v5", {}, None, 1000),
    ("gymnasium::phys2d/CartPole-v1", {}, None, 500),
    ("gymnasium::phys2d/CartPole-v1", {"max_episode_steps": -1}, None, None),
    ("gymnasium::Blackjack-v1", {}, None, None),
    ("ale::ALE/Pong-v5", {"max_num_frames_per_episode": 120}, None, 30),
    ("ale::pong", {"max_num_frames_per_episode": 122, "frameskip": 4}, None, 31),
    ("pufferlib::CartPole-v1", {"max_episode_steps": 9}, None, 9),
]


@pytest.mark.parametrize(("env_id", "options", "changes", "limit"), LIMITS)
def test_the_limit_of_an_episode(env_id: str, options: Any, changes: Any, limit: Any) -> None:
    env, params = made(env_id, **options)
    under = params.replace(**changes) if changes else None
    assert env.episode_limit(under) == limit
    assert wrappers.RecordEpisodeStatistics(env).episode_limit(under) == limit
    shorter = TimeLimit(env, 6)
    assert shorter.episode_limit(under) == min(6, limit or 6)
    if limit is not None and env.num_agents == 1:
        assert wrappers.RepeatAction(env, 4).episode_limit(under) == -(-limit // 4)


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        (POLE, {"max_steps_in_episode": 4}),
        ("navix::Navix-Empty-5x5-v0", {"max_steps": 4}),
        ("brax::fast", {"episode_length": 10, "action_repeat": 3}),
        ("jumanji::Snake-v1", {"time_limit": 4}),
        (HOST, {"max_episode_steps": 4}),
        ("ale::ALE/Pong-v5", {"max_num_frames_per_episode": 16}),
    ],
)
def test_an_episode_is_truncated_at_its_limit(env_id: str, options: Any) -> None:
    env, params = made(env_id, **options)
    env = wrappers.AutoReset(env)
    found = envhub.rollout(env, params, None, KEY, 12)
    limit = env.episode_limit()
    ended = np.flatnonzero(np.asarray(found.done))
    lengths = np.diff(ended, prepend=-1)
    assert lengths.max() == limit == 4
    np.testing.assert_array_equal(np.asarray(found.truncated)[ended], lengths == limit)


def test_gymnaxs_form_has_the_limit_of_the_environment() -> None:
    env, _ = made("jumanji::Snake-v1", time_limit=30)
    if not envhub.registry.get("gymnax").installed():
        pytest.skip(reason="gymnax is not installed")
    assert to_gymnax(env).default_params.max_steps_in_episode == 30
    host, _ = made("gymnasium::Blackjack-v1")
    assert to_gymnax(host).default_params.max_steps_in_episode == 2**31 - 1


def test_the_time_is_that_of_the_limit_in_force() -> None:
    env, params = envhub.make(
        POLE, wrappers=[wrappers.TimeAwareObservation(normalize_time=True, flatten=False)]
    )
    shorter = params.replace(max_steps_in_episode=4)
    _, state = env.reset(KEY, params)
    assert env.step(KEY, state, 0, params).obs["time"] == pytest.approx(1 / 500)
    assert env.step(KEY, state, 0, shorter).obs["time"] == pytest.approx(1 / 4)
    counted, _ = envhub.make(POLE, wrappers=[wrappers.TimeAwareObservation(flatten=False)])
    assert counted.observation_space(shorter)["time"].high == 4
