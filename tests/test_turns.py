"""Games of turns: who moves, what they see, and whom a reward belongs to."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import spaces, wrappers
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.export import to_gymnasium, to_pettingzoo
from envhub.flags import Capabilities
from envhub.testing import Trial
from envhub.testing.checks import step_returns_the_documented_types
from envhub.testing.comparison import Refuted

KEY = jax.random.key(0)


class Count(Environment):
    """Three players add 1 or 2; who adds 2 moves again; who reaches 10 wins the points.

    Who begins is drawn. Nobody adds 1 to an odd number.
    """

    def __init__(self) -> None:
        super().__init__(None, None, Capabilities.native())
        self.num_agents, self.turn_based = 3, True

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Dict(
            {
                "observation": spaces.Box(0, 12, (2,)),
                "action_mask": spaces.Box(False, True, (2,), np.bool_),
                "current_player": spaces.Discrete(3),
            }
        )

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(2, start=1)

    def _seen(self, state: Any) -> dict[str, Any]:
        count, player = state
        free = (count % 2 == 0) | (count >= 10)
        seen = jnp.stack([count, player]).astype(jnp.float32)
        mask = jnp.stack([free, jnp.bool_(True)])
        return {"observation": seen, "action_mask": mask, "current_player": player}

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state = jnp.int32(0), jax.random.randint(key, (), 0, 3)
        return self._seen(state), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        count, player = state
        after = count + action, (player + (action == 1)) % 3
        ended = after[0] >= 10
        reward = jnp.where(ended & (count < 10), jnp.where(jnp.arange(3) == player, 2.0, -1.0), 0.0)
        return StepResult(self._seen(after), after, reward, jnp.full(3, ended), jnp.zeros(3), {})


def test_a_reward_goes_to_each_player_by_identity() -> None:
    env = Count()
    for seed in range(4):
        obs, state = env.reset(jax.random.key(seed))
        moves = []
        for action in [2, 1, 2, 2, 2, 2]:
            moves.append(int(obs["current_player"]))
            result = env.step(KEY, state, action)
            obs, state = result.obs, result.state
            if result.done.all():
                break
        first = moves[0]
        assert moves == [first, first, *[(first + 1) % 3] * 4]
        rewards = env.by_agent(result.reward)
        assert rewards.pop(env.agents[moves[-1]]) == 2
        assert list(rewards.values()) == [-1, -1]
        assert obs["action_mask"].all()


def test_random_play_is_legal_and_loses_nothing_in_a_batch() -> None:
    batch = envhub.VectorEnv(wrappers.AutoReset(wrappers.RecordEpisodeStatistics(Count())), 8)
    seen = envhub.rollout(batch, None, None, KEY, 30)
    count = seen.obs["observation"][..., 0]
    assert not ((count % 2 == 1) & (seen.action == 1)).any()
    ended = seen.done.all(-1)
    assert ended.any()
    returns = np.asarray(seen.info["episode"]["r"])[np.asarray(ended)]
    movers = np.asarray(seen.obs["current_player"])[np.asarray(ended)]
    assert (returns[np.arange(len(movers)), movers] == 2).all()
    assert (returns.sum(-1) == 0).all()


def test_what_joins_steps_of_several_players_is_refused() -> None:
    env = Count()
    for wrapper in (
        wrappers.FrameStackObservation(stack_size=2),
        wrappers.DelayObservation(delay=1),
        wrappers.StickyAction(repeat_action_probability=0.5),
    ):
        with pytest.raises(InvalidOptionError, match="belong to different players"):
            wrapper(env)
    with pytest.raises(InvalidOptionError, match="one agent"):
        wrappers.RepeatAction(env, 2)
    with pytest.raises(InvalidOptionError, match="to_pettingzoo_aec takes it"):
        to_pettingzoo(env)
    with pytest.raises(InvalidOptionError, match="to_pettingzoo_aec takes games of turns"):
        to_gymnasium(env)


def test_wrappers_know_that_it_is_a_game_of_turns() -> None:
    env = wrappers.AddRewardToObservation(wrappers.TimeLimit(Count(), 3))
    assert (env.turn_based, env.observation_agents, env.num_agents) == (True, "none", 3)
    obs, state = env.reset(KEY)
    assert (obs["start"].shape, obs["reward"].shape) == ((), (3,))
    timed: Any = wrappers.TimeAwareObservation(wrappers.TimeLimit(Count(), 3), flatten=False)
    assert timed.reset(KEY)[0]["time"].shape == (1,)
    for _ in range(3):
        result = env.step(KEY, state, 2)
        state = result.state
    assert (result.truncated.tolist(), result.terminated.any()) == ([True] * 3, False)
    batch = envhub.VectorEnv(env, 2)
    assert (batch.turn_based, batch.observation_agents) == (True, "none")


def test_the_checks_know_the_form_of_a_game_of_turns() -> None:
    class Silent(Count):
        def observation_space(self, params: Any = None) -> spaces.Space:
            return spaces.Box(0, 12, (2,))

        def _seen(self, state: Any) -> Any:
            return super()._seen(state)["observation"]

    class Fourth(Count):
        def _seen(self, state: Any) -> Any:
            return {**super()._seen(state), "current_player": jnp.int32(3)}

    class Unnamed(Count):
        def __init__(self) -> None:
            super().__init__()
            self.agents = ("eve", "alice", "eve")

    step_returns_the_documented_types(Trial(Count(), None))
    with pytest.raises(Refuted, match="3 different names"):
        step_returns_the_documented_types(Trial(Unnamed(), None))
    with pytest.raises(Refuted, match="a game of turns"):
        step_returns_the_documented_types(Trial(Silent(), None))
    with pytest.raises(Refuted, match="no such player"):
        step_returns_the_documented_types(Trial(Fourth(), None))
