"""`to_pettingzoo`: an environment of several agents as a `ParallelEnv`."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.export import to_pettingzoo
from tests.packages import needed
from tests.test_agents import Crypto
from tests.test_forks import in_a_fork

needed("pettingzoo")
parallel_api_test = needed("pettingzoo.test").parallel_api_test
FORAGING = "jumanji::LevelBasedForaging-v0"
USERS = "pufferlib::tests.quirks.puffer_envs"


def made(env_id: str = FORAGING, **options: Any) -> Any:
    return to_pettingzoo(*envhub.make(env_id, **options), seed=0)


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        (FORAGING, {"time_limit": 20}),
        ("jumanji::Connector-v3", {}),
        ("jumanji::SearchAndRescue-v0", {"time_limit": 20}),
        (f"{USERS}:Walkers", {"num_envs": 3}),
        (f"{USERS}:Pair", {}),
    ],
)
def test_it_passes_the_test_of_pettingzoo(env_id: str, options: dict[str, Any]) -> None:
    if env_id.startswith("pufferlib"):
        needed("pufferlib")
    env = made(env_id, **options)
    for agent, space in env.action_spaces.items():
        space.seed(int(agent.removeprefix("agent_")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(env, num_cycles=60)
    env.close()


def test_agents_with_spaces_of_their_own_have_their_parts_by_name() -> None:
    env = to_pettingzoo(Crypto(), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(env, num_cycles=12)
    env.reset(seed=0)
    assert env.possible_agents == ["eve", "alice", "bob"]
    assert env.observation_space("bob").shape == (4,)
    assert env.step({"bob": 3, "eve": 1, "alice": 2})[1] == {"eve": 1, "alice": 12, "bob": 23}
    seen, _, terminated, *_ = env.step({"bob": 3, "eve": 1, "alice": 2})
    assert (seen["alice"].tolist(), terminated["eve"], env.agents) == (
        [2] * 3,
        True,
        ["alice", "bob"],
    )
    assert env.step({"bob": 1, "alice": 0})[1] == {"alice": 10, "bob": 21}


@pytest.mark.slow
def test_an_episode_is_that_of_the_environment() -> None:
    env, params = envhub.make("jumanji::Connector-v3", time_limit=8)
    exported = to_pettingzoo(env, params, render_mode="rgb_array")
    key, used = jax.random.split(jax.random.key(3))
    obs, state = env.reset(used, params)
    seen, infos = exported.reset(seed=3)
    assert infos == {agent: {} for agent in exported.possible_agents}
    assert exported.render().ndim == 3
    for space in (exported.observation_space("agent_1"), exported.action_space("agent_1")):
        space.seed(0)
    while exported.agents:
        for agent in exported.agents:
            place = exported.possible_agents.index(agent)
            assert exported.observation_space(agent).contains(seen[agent])
            assert seen[agent]["action_mask"].dtype == np.int8
            np.testing.assert_array_equal(seen[agent]["action_mask"], obs["action_mask"][place])
            np.testing.assert_array_equal(seen[agent]["observation"]["grid"], obs["grid"][place])
        masks = {agent: seen[agent]["action_mask"] for agent in exported.agents}
        actions = {agent: int(mask.argmax()) for agent, mask in masks.items()}
        together = [actions.get(agent, 0) for agent in exported.possible_agents]
        key, used = jax.random.split(key)
        result = env.step(used, state, jnp.array(together), params)
        obs, state = result.obs, result.state
        live = exported.agents
        seen, rewards, terminated, truncated, infos = exported.step(actions)
        assert set(seen) == set(rewards) == set(terminated) == set(infos) == set(live)
        for agent in live:
            place = exported.possible_agents.index(agent)
            assert rewards[agent] == result.reward[place]
            assert terminated[agent] == result.terminated[place]
            assert truncated[agent] == result.truncated[place]
            assert set(infos[agent]) == set(result.info)
    assert any(truncated.values())
    assert exported.step({}) == ({}, {}, {}, {}, {})


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match="to_gymnasium"):
        made("gymnax::CartPole-v1")
    with pytest.raises(errors.InvalidOptionError, match="AutoReset"):
        made(autoreset="same_step")
    env = made(f"{FORAGING}")
    with pytest.raises(needed("gymnasium").error.ResetNeeded):
        env.step({})
    env.reset()
    before = env.driver.state
    wrong: list[dict[str, Any]] = [
        {"agent_0": 0},
        {"agent_0": 0, "agent_1": 0, "agent_2": 0},
        {"agent_0": 0, "agent_1": 6},
        {"agent_0": 0, "agent_1": 0.5},
        {"agent_0": [0, 1], "agent_1": [0, 1]},
    ]
    for actions in wrong:
        with pytest.raises(errors.InvalidActionError):
            env.step(actions)
    assert env.driver.state is before


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_it_travels_and_a_fork_is_told_to_spawn() -> None:
    env = made()
    env.reset()
    other = pickle.loads(pickle.dumps(env))
    actions = {"agent_0": 1, "agent_1": 2}
    expected, found = env.step(actions), other.step(actions)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert "spawn" in in_a_fork(lambda: env.step(actions))
