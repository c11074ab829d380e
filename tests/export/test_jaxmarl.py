"""`to_jaxmarl`: an environment of several agents as JaxMARL's `MultiAgentEnv`."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, wrappers
from envhub.export import to_jaxmarl
from tests.packages import needed
from tests.processes import fresh
from tests.test_agents import ACTIONS, NAMES, Crypto
from tests.test_forks import in_a_fork
from tests.test_turns import Count

needed("jaxmarl")
FORAGING = "jumanji::LevelBasedForaging-v0"
LANES = 3
SCRIPT = f"""
import sys
import envhub
from envhub.export import to_jaxmarl
before = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
to_jaxmarl(*envhub.make("{FORAGING}"))
assert (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) == before
"""


@pytest.fixture(scope="module")
def exported() -> Any:
    return to_jaxmarl(*envhub.make(FORAGING, time_limit=5))


class Drawn(Crypto):
    """The key of a reset draws where it starts, and that of a step how far it goes."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state = jax.random.randint(key, (), 0, 4)
        return self._seen(state), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        further = state + jax.random.randint(key, (), 0, 3)
        return super().step_env(key, further, action, params)


def test_steps_and_resets_are_those_of_jaxmarls_own_step() -> None:
    exported = to_jaxmarl(wrappers.TimeLimit(Drawn(), 5))
    own_step = needed("jaxmarl.environments.multi_agent_env").MultiAgentEnv.step

    def episodes(step: Any, key: jax.Array) -> Any:
        def body(carry: Any, key: jax.Array) -> Any:
            obs, state, *told = step(key, carry, ACTIONS)
            return state, (obs, told)

        return jax.lax.scan(body, exported.reset(key)[1], jax.random.split(key, 12))[1]

    keys = jax.random.split(jax.random.key(0), LANES)
    found, wanted = (
        jax.jit(jax.vmap(functools.partial(episodes, step)))(keys)
        for step in (exported.step, functools.partial(own_step, exported))
    )
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    obs, (_, dones, info) = found
    ended = dones["__all__"]
    assert ended.sum() > 2 * LANES
    assert info["truncated"].any(-1).sum() < ended.sum()  # some end of themselves
    assert len(jnp.unique(obs["bob"][ended])) > 1


@pytest.mark.full
def test_it_is_an_environment_of_jaxmarl_with_its_spaces_and_wrappers(exported: Any) -> None:
    kinds = needed("jaxmarl.environments.spaces")
    assert isinstance(exported, needed("jaxmarl.environments.multi_agent_env").MultiAgentEnv)
    assert (exported.num_agents, exported.agents) == (2, ["agent_0", "agent_1"])
    assert set(exported.observation_space("agent_1").spaces) == {"agents_view", "step_count"}
    assert isinstance(exported.action_space("agent_1"), kinds.Discrete)
    logged = needed("jaxmarl.wrappers.baselines").LogWrapper(exported, replace_info=True)
    obs, state = logged.reset(jax.random.key(1))
    assert exported.get_avail_actions(state.env_state)["agent_1"].tolist().count(True) > 1
    assert exported.observation_space("agent_0").contains(obs["agent_0"])
    step = jax.jit(logged.step)
    for number in range(5):
        obs, state, _, dones, info = step(
            jax.random.key(number), state, {"agent_0": 5, "agent_1": 5}
        )
    assert info["returned_episode_lengths"].tolist() == [5, 5]
    assert bool(dones["__all__"])


def test_agents_with_spaces_of_their_own_have_their_parts_by_name() -> None:
    exported = to_jaxmarl(wrappers.TimeLimit(Crypto(), 4))
    obs, state = exported.reset(jax.random.key(0))
    assert [obs[agent].shape for agent in NAMES] == [(2,), (3,), (4,)]
    assert [exported.observation_space(agent).shape for agent in NAMES] == [(2,), (3,), (4,)]
    assert exported.get_avail_actions(state)["bob"].tolist() == [True] * 4
    step = jax.jit(exported.step)
    for number in range(1, 5):
        before = state
        obs, state, rewards, dones, info = step(jax.random.key(number), before, ACTIONS)
        ended = number == 4
        assert rewards == {"eve": float(number < 3), "alice": 12, "bob": 23}
        assert dones == {"eve": number >= 2, "alice": ended, "bob": ended, "__all__": ended}
    assert info["truncated"].tolist() == [False, True, True]  # eve had terminated
    assert exported.get_obs(state)["bob"].tolist() == [0] * 4
    last = exported.step_env(jax.random.key(4), before, ACTIONS)
    assert last[0]["bob"].tolist() == [4] * 4
    chosen = exported.step(jax.random.key(4), before, ACTIONS, reset_state=before)
    assert chosen[0]["bob"].tolist() == [3] * 4


def test_what_does_not_fit_is_refused(exported: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="to_gymnasium"):
        to_jaxmarl(*envhub.make("gymnax::CartPole-v1"))
    with pytest.raises(errors.InvalidOptionError, match="to_pettingzoo_aec"):
        to_jaxmarl(Count())
    with pytest.raises(errors.InvalidOptionError, match="AutoReset"):
        to_jaxmarl(*envhub.make(FORAGING, autoreset="same_step"))
    hidden = to_jaxmarl(*envhub.make(FORAGING, wrappers=[wrappers.FlattenObservation]))
    with pytest.raises(errors.InvalidOptionError, match="hides the action_mask of <Jumanji"):
        hidden.get_avail_actions(hidden.reset(jax.random.key(0))[1])
    state = exported.reset(jax.random.key(0))[1]
    with pytest.raises(errors.InvalidActionError, match="got those of agent_0"):
        exported.step(jax.random.key(0), state, {"agent_0": 0})


def test_it_travels(exported: Any) -> None:
    other = pickle.loads(pickle.dumps(exported))
    found, wanted = (each.reset(jax.random.key(0))[0] for each in (other, exported))
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_a_fork_is_told_to_spawn(exported: Any) -> None:
    key = jax.random.key(0)
    state = exported.reset(key)[1]
    calls: list[Callable[[], Any]] = [
        lambda: exported.reset(key),
        lambda: exported.step(key, state, {}),
        lambda: exported.get_obs(state),
        lambda: exported.get_avail_actions(state),
    ]
    for call in calls:
        assert "spawn" in in_a_fork(call)


@pytest.mark.full
def test_the_terminal_is_left_alone() -> None:
    assert fresh(SCRIPT, timeout=600).stdout == ""
