"""`to_pettingzoo_aec`: a game of turns as an `AECEnv`."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, wrappers
from envhub.export import to_pettingzoo_aec
from tests.packages import needed
from tests.test_forks import in_a_fork
from tests.test_turns import Count

needed("pettingzoo")
api_test = needed("pettingzoo.test").api_test


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four"])
def test_it_passes_the_test_of_pettingzoo(name: str) -> None:
    needed("pgx")
    env = to_pettingzoo_aec(*envhub.make(f"pgx::{name}"), seed=0)
    for place, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(place)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # PettingZoo names the games of its own that may have a mask, and begin with an empty board.
        for words in ("is not a NumPy array", "is all zeros", "should be gymnasium.spaces.box"):
            warnings.filterwarnings("ignore", f".*{words}")
        api_test(env, num_cycles=20)
    env.close()


def test_a_game_is_that_of_the_environment() -> None:
    env = Count()
    exported = to_pettingzoo_aec(env)
    key, used = jax.random.split(jax.random.key(4))
    obs, state = env.reset(used)
    exported.reset(seed=4)
    totals = dict.fromkeys(env.agents, 0.0)
    movers = []
    for agent in exported.agent_iter():
        seen, reward, terminated, truncated, info = exported.last()
        assert exported.observation_space(agent).contains(seen)
        assert (truncated, info) == (False, {})
        totals[agent] += reward
        if terminated:
            exported.step(None)
            continue
        movers.append(agent)
        assert agent == env.agents[int(obs["current_player"])]
        np.testing.assert_array_equal(seen["observation"], obs["observation"])
        np.testing.assert_array_equal(seen["action_mask"], obs["action_mask"])
        others = [name for name in env.agents if name != agent]
        assert not any(exported.observe(name)["action_mask"].any() for name in others)
        action = 2 if len(movers) % 3 else 1 + int(not seen["action_mask"][0])
        exported.step(action)
        key, used = jax.random.split(key)
        result = env.step(used, state, action)
        obs, state = result.obs, result.state
        assert exported.rewards == {
            name: float(each) for name, each in env.by_agent(result.reward).items()
        }
    assert exported.agents == []
    assert len(set(movers)) == 2  # the first, who moves again after a 2, and the next
    assert len(movers) > 4
    assert totals == {name: 2.0 if name == movers[-1] else -1.0 for name in env.agents}


def test_a_limit_is_a_truncation_and_another_player_sees_its_last_view() -> None:
    exported = to_pettingzoo_aec(wrappers.TimeLimit(Count(), 3), seed=0)
    exported.reset()
    first = exported.agent_selection
    before = exported.observe(first)["observation"]
    exported.step(1)
    second = exported.agent_selection
    assert second != first
    np.testing.assert_array_equal(exported.observe(first)["observation"], before)
    (third,) = set(exported.agents) - {first, second}
    assert exported.observe(third)["observation"].tolist() == [0, 0]
    for _ in range(2):
        exported.step(2)
    assert set(exported.truncations.values()) == {True}
    assert set(exported.terminations.values()) == {False}
    with pytest.raises(ValueError, match="dead"):
        exported.step(2)


def test_what_does_not_fit_is_refused() -> None:
    needed("pgx")
    with pytest.raises(errors.InvalidOptionError, match="to_gymnasium takes it"):
        to_pettingzoo_aec(*envhub.make("gymnax::CartPole-v1"))
    with pytest.raises(errors.InvalidOptionError, match="to_pettingzoo takes it"):
        to_pettingzoo_aec(*envhub.make("jumanji::LevelBasedForaging-v0"))
    flat = envhub.make("pgx::tic_tac_toe", wrappers=[wrappers.FlattenObservation])
    with pytest.raises(errors.InvalidOptionError, match="Leave out the wrapper"):
        to_pettingzoo_aec(*flat)
    env: Any = to_pettingzoo_aec(Count())
    with pytest.raises(needed("gymnasium").error.ResetNeeded):
        env.step(1)
    env.reset()
    before, agent = env.driver.state, env.agent_selection
    for action in (0, 3, 1.5, [1], None):
        with pytest.raises(errors.InvalidActionError):
            env.step(action)
    assert (env.driver.state, env.agent_selection) == (before, agent)


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_it_travels_and_a_fork_is_told_to_spawn() -> None:
    needed("pgx")
    env = to_pettingzoo_aec(*envhub.make("pgx::tic_tac_toe"), seed=0)
    env.reset()
    env.step(4)
    other = pickle.loads(pickle.dumps(env))
    for each in (env, other):
        each.step(0)
    assert other.agent_selection == env.agent_selection
    jax.tree.map(np.testing.assert_array_equal, other.last(), env.last())
    other.step(1)
    assert env.last()[0]["action_mask"][1] == 1  # each goes on by itself
    assert "spawn" in in_a_fork(lambda: env.step(1))
