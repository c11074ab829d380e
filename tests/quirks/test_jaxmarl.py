"""What is peculiar to JaxMARL."""

from __future__ import annotations

import ast
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from tests.packages import needed

jaxmarl = needed("jaxmarl")
KEY = jax.random.key(0)


def test_a_limit_truncates_at_the_step_that_it_says_and_is_batched() -> None:
    """MPE itself ends one step later."""
    env, params = envhub.make("jaxmarl::MPE_simple_v3")
    assert (env.unwrapped.max_steps, env.episode_limit()) == (25, 26)
    assert (env.num_agents, env.observation_agents) == (1, "none")

    def played(params: Any) -> Any:
        return envhub.rollout(env, params, None, KEY, 3)

    batch = jax.vmap(played)(params.replace(max_steps=jnp.int32([1, 2, 3])))
    np.testing.assert_array_equal(batch.truncated, np.triu(np.ones((3, 3), bool)))
    assert not batch.terminated.any()
    done = batch.last[1].tree.done  # the suite's own flag follows the params
    np.testing.assert_array_equal(done, [True, True, True])


def test_agents_of_different_spaces_are_found_by_name() -> None:
    """The suite's order is not that of a dict in JAX."""
    env, params = envhub.make("jaxmarl::MPE_simple_crypto_v3")
    assert env.agents == ("eve_0", "alice_0", "bob_0")
    assert env.observation_agents == "by_name"
    assert list(env.observation_space()) == ["alice_0", "bob_0", "eve_0"]
    obs, state = env.reset(KEY, params)
    assert {name: seen.shape for name, seen in obs.items()} == {
        "alice_0": (8,),
        "bob_0": (8,),
        "eve_0": (4,),
    }
    action = {"eve_0": 1, "alice_0": 2, "bob_0": 3}
    result = env.step(KEY, state, action, params)
    rewards = env.unwrapped.step_env(KEY, state.tree, action)[2]
    assert env.by_agent(result.reward) == rewards


def test_telling_ends_the_riddle_and_its_limit_truncates_it() -> None:
    env, params = envhub.make("jaxmarl::switch_riddle")
    assert (env.observation_agents, env.episode_limit()) == ("leading", 6)
    _, state = env.reset(KEY, params)
    told = env.step(KEY, state, jnp.full(3, 2), params)
    assert (told.terminated.tolist(), told.truncated.tolist()) == ([True] * 3, [False] * 3)
    for step in range(6):
        result = env.step(KEY, state, jnp.zeros(3, int), params)
        assert result.truncated.tolist() == [step == 5] * 3
        state = result.state
    assert not result.terminated.any()


def test_what_the_suite_would_ignore_or_misread_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match="max_steps"):
        envhub.make("jaxmarl::MPE_simple_spread_v3", max_step=3)
    with pytest.raises(errors.InvalidOptionError, match="cramped_room"):
        envhub.make("jaxmarl::overcooked", layout="nowhere")
    with pytest.raises(errors.InvalidOptionError, match="must be one of cramped_room"):
        envhub.make("jaxmarl::overcooked_v2", layout="nowhere")
    for ask in (envhub.make, envhub.capabilities):
        with pytest.raises(errors.InvalidOptionError, match="'Discrete', and not 'discrete'"):
            ask("jaxmarl::jaxnav", act_type="discrete")
    with pytest.raises(errors.InvalidOptionError, match="auto_reset"):
        envhub.make("jaxmarl::hopper_3x1", auto_reset=True)


def test_gaps_are_those_of_absent_packages_and_of_a_policy() -> None:
    suite = registry.get("jaxmarl")
    gaps = {name for name in suite.known_names() if suite.gap(name, {})}
    assert gaps == {
        "LearnedPolicyEnemySMAX",
        *(name for name in jaxmarl.registered_envs if name.startswith("JaxRobotarium")),
    }
    with pytest.raises(ValueError, match="requires the jaxrobotarium package"):
        jaxmarl.make("JaxRobotarium_foraging")
    with pytest.raises(errors.UnavailableEnvError, match="jaxrobotarium"):
        envhub.make("jaxmarl::JaxRobotarium_foraging")


def test_wrap_takes_an_environment_with_its_limit() -> None:
    env, params = envhub.wrap(jaxmarl.make("MPE_simple_v3", max_steps=4))
    assert env.spec is not None
    assert (env.spec.id, int(params.max_steps)) == ("jaxmarl::MPE_simple_v3", 5)


@pytest.mark.full
class TestSmax:
    def test_the_dead_stay_done_and_legal_actions_are_seen(self) -> None:
        env, params = envhub.make(
            "jaxmarl::HeuristicEnemySMAX", scenario="3m", max_steps=30, see_enemy_actions=True
        )
        assert env.agents == ("ally_0", "ally_1", "ally_2")
        seen = jax.jit(lambda key: envhub.rollout(env, params, None, key, 40))(KEY)
        assert set(seen.obs) == {"observation", "action_mask", "world_state"}
        mask, action = seen.obs["action_mask"], seen.action
        assert jnp.take_along_axis(mask, action[..., None], -1).all()
        done = seen.terminated | seen.truncated
        assert (done[1:] >= done[:-1]).all()
        alone = seen.terminated.any(1) & ~done.all(1)  # some are dead, and it goes on
        assert alone.any()
        np.testing.assert_array_equal(done.all(1).argmax(), min(29, int(done.all(1).argmax())))

    def test_teams_of_different_sizes_are_by_name(self) -> None:
        env, params = envhub.make("jaxmarl::SMAX", num_allies=1, num_enemies=2)
        obs, _ = env.reset(KEY, params)
        sizes = {name: part["action_mask"].shape for name, part in obs.items()}
        assert sizes == {"ally_0": (7,), "enemy_0": (6,), "enemy_1": (6,)}

    def test_the_advice_for_a_learned_policy_works(self) -> None:
        gap = registry.get("jaxmarl").gap("LearnedPolicyEnemySMAX", {})
        assert gap is not None
        advised = re.search(r"options=({.*})", gap.reason)
        assert advised is not None
        keys = ast.literal_eval(advised[1].replace("…", "0"))
        assert list(keys) == ["policy", "params"]
        with pytest.raises(errors.UnavailableEnvError, match="policy"):
            envhub.make("jaxmarl::LearnedPolicyEnemySMAX")
        options = {"policy": Policy(), "params": {"logits": jnp.arange(10.0)}}
        env, params = envhub.make("jaxmarl::LearnedPolicyEnemySMAX", options=options)
        _, state = env.reset(KEY, params)
        result = env.step(KEY, state, jnp.full(5, 4), params)
        assert np.isfinite(result.reward).all()


class Policy:
    """The interface of a flax module that SMAX calls, with weights alone."""

    def apply(self, params: Any, obs: Any) -> tuple[Any, None]:
        logits = jnp.broadcast_to(params["logits"], (*obs.shape[:-1], 10))
        return needed("distrax").Categorical(logits), None


@pytest.mark.full
def test_in_hanabi_the_others_may_only_wait() -> None:
    env, params = envhub.make("jaxmarl::hanabi")
    obs, state = env.reset(KEY, params)
    mask = obs["action_mask"]
    mover = int(state.tree.cur_player_idx.argmax())
    assert mask[1 - mover].nonzero()[0].tolist() == [20]
    assert not mask[mover, 20]


@pytest.mark.full
@pytest.mark.parametrize("name", ["storm", "storm_2p", "storm_np", "coin_game"])
def test_where_the_last_observation_is_lost_the_end_is_a_termination(name: str) -> None:
    env, params = envhub.make(f"jaxmarl::{name}", num_inner_steps=2, num_outer_steps=2)
    assert (params, env.episode_limit(), env.agents) == (None, None, ("0", "1"))
    seen = envhub.rollout(env, params, None, KEY, 4)
    assert seen.terminated[:, 0].tolist() == [False, False, False, True]
    assert not seen.truncated.any()


@pytest.mark.full
def test_mabrax_is_wrapped_without_its_reset() -> None:
    own = jaxmarl.make("hopper_3x1", episode_length=3, action_repeat=2)
    assert own.auto_reset
    env, params = envhub.wrap(own)
    assert (env.observation_agents, env.episode_limit()) == ("by_name", 2)
    seen = envhub.rollout(env, params, None, KEY, 2)
    assert seen.truncated.all(1).tolist() == [False, True]
    assert not seen.terminated.any()


@pytest.mark.full
@pytest.mark.parametrize("evaporating", [False, True])
def test_agents_of_jaxnav_end_together_or_evaporate(evaporating: bool) -> None:
    env, params = envhub.make("jaxmarl::jaxnav", evaporating=evaporating, max_steps=60)
    seen = jax.jit(lambda key: envhub.rollout(env, params, None, key, 60))(KEY)
    done = seen.terminated | seen.truncated
    assert (done[1:] >= done[:-1]).all()
    assert done[-1].all()
    assert evaporating or (done == done[:, :1]).all()


@pytest.mark.parametrize("name", ["storm", "storm_2p", "storm_np"])
@pytest.mark.slow
def test_storm_is_drawn_with_the_time_that_has_passed(name: str) -> None:
    """JaxMARL 0.2 draws the time with `int8(255)`, which NumPy 2 refuses."""
    env, params = envhub.make(f"jaxmarl::{name}")
    state = env.reset(KEY, params)[1]
    first = env.render(state, params)
    actions = jnp.zeros(env.num_agents, jnp.int32)
    later = env.step(KEY, state, actions, params).state
    second = env.render(later, params)
    bar = slice(-64, -32)  # of the steps; the other half is that of the rounds
    assert not first[bar].any()
    columns = (second[bar] == 255).all((0, 2))
    tile = second.shape[1] // env.unwrapped.num_inner_steps
    np.testing.assert_array_equal(np.flatnonzero(columns), np.arange(tile))
