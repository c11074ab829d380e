"""What is peculiar to pgx."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, wrappers
from tests.packages import needed

pgx = needed("pgx")
needed("pgx.hex")
KEY = jax.random.key(0)


def test_an_illegal_action_ends_the_game_for_its_player() -> None:
    env, params = envhub.make("pgx::tic_tac_toe")
    obs, state = env.reset(KEY, params)
    first = env.agents[int(obs["current_player"])]
    result = env.step(KEY, state, 4, params)
    assert not result.done.any()
    assert not result.obs["action_mask"][4]
    second = env.agents[int(result.obs["current_player"])]
    assert first != second
    ended = env.step(KEY, result.state, 4, params)
    assert ended.terminated.tolist() == [True, True]
    assert env.by_agent(ended.reward) == {first: 1, second: -1}
    after = env.step(KEY, ended.state, 0, params)
    assert after.obs["action_mask"].all()
    assert (after.reward.tolist(), after.done.tolist()) == ([0, 0], [True, True])


def test_who_begins_is_drawn_and_options_go_to_the_class() -> None:
    env, params = envhub.make("pgx::connect_four")
    obs, _ = jax.vmap(env.reset, (0, None))(jax.random.split(KEY, 32), params)
    assert set(obs["current_player"].tolist()) == {0, 1}
    go, _ = envhub.make("pgx::go_9x9", komi=0.5, history_length=2)
    assert go.observation_space()["observation"].shape == (9, 9, 5)
    assert go.action_space() == envhub.spaces.Discrete(9 * 9 + 1)


def test_hex_has_one_size() -> None:
    """The state of another size does not fit, in pgx itself."""
    with pytest.raises(TypeError, match="cannot reshape"):
        pgx.hex.Hex(size=4).init(KEY)
    with pytest.raises(errors.InvalidOptionError, match="size"):
        envhub.make("pgx::hex", size=4)


def test_an_environment_of_one_player_is_no_game_of_turns() -> None:
    env, params = envhub.make("pgx::minatar-breakout", sticky_action_prob=0.0)
    assert (env.turn_based, env.num_agents, env.observation_agents) == (False, 1, "none")
    seen = envhub.rollout(env, params, None, KEY, 3)
    assert set(seen.obs) == {"observation", "action_mask"}
    assert seen.reward.shape == (3,)


def test_wrap_takes_a_game_of_pgx() -> None:
    env, _ = envhub.wrap(pgx.make("tic_tac_toe"))
    assert (env.spec.id, env.agents) == ("pgx::tic_tac_toe", ("player_0", "player_1"))


@pytest.mark.full
def test_a_player_of_backgammon_moves_again() -> None:
    env, params = envhub.make("pgx::backgammon", autoreset="same_step")
    seen = envhub.rollout(env, params, None, KEY, 400)
    mover = np.asarray(seen.obs["current_player"])
    again = (mover[1:] == mover[:-1]).mean()
    assert 0.2 < again < 0.8
    assert not (np.asarray(seen.reward) == -1).all(-1).any()


@pytest.mark.xdist_group("pgx_search")
class TestSearch:
    """mctx through the contract, against random legal play."""

    GAMES, SIMULATIONS = 200, 64

    @pytest.fixture(scope="class")
    def play(self) -> Any:
        mctx = needed("mctx")
        env, _ = envhub.make("pgx::tic_tac_toe")
        reset, step = jax.vmap(env.reset), jax.vmap(env.step)

        def logits(obs: Any) -> jax.Array:
            return jnp.where(obs["action_mask"], 0.0, -1e9)

        def recurrent(sign: Any, key: Any, action: Any, embedding: Any) -> Any:
            obs, state = embedding
            mover = obs["current_player"]
            after = step(jax.random.split(key, len(mover)), state, action)
            reward = jnp.take_along_axis(after.reward, mover[:, None], 1)[:, 0]
            same = after.obs["current_player"] == mover
            discount = jnp.where(same, 1.0, sign) * ~after.done.all(-1)
            zeros = jnp.zeros_like(reward)
            told = mctx.RecurrentFnOutput(
                reward=reward, discount=discount, prior_logits=logits(after.obs), value=zeros
            )
            return told, (after.obs, after.state)

        def move(carry: Any, key: Any, sign: Any) -> Any:
            obs, state, total = carry
            key_search, key_random, key_step = jax.random.split(key, 3)
            zeros = jnp.zeros(self.GAMES)
            root = mctx.RootFnOutput(prior_logits=logits(obs), value=zeros, embedding=(obs, state))
            policy = mctx.muzero_policy(
                sign, key_search, root, recurrent, self.SIMULATIONS,
                invalid_actions=~obs["action_mask"], dirichlet_fraction=0.0, temperature=0.0,
            )  # fmt: skip
            drawn = jax.random.categorical(key_random, logits(obs))
            action = jnp.where(obs["current_player"] == 0, policy.action, drawn)
            result = step(jax.random.split(key_step, self.GAMES), state, action)
            return (result.obs, result.state, total + result.reward[:, 0]), None

        @jax.jit
        def games(key: Any, sign: Any) -> Any:
            reset_key, *keys = jax.random.split(key, 10)
            carry = *reset(jax.random.split(reset_key, self.GAMES)), jnp.zeros(self.GAMES)
            moves = lambda carry, key: move(carry, key, sign)  # noqa: E731
            return jax.lax.scan(moves, carry, jnp.stack(keys))[0][2]

        return games

    @pytest.mark.slow
    def test_it_loses_at_most_6_percent(self, play: Any) -> None:
        total = play(KEY, -1.0)
        assert (total == 1).mean() > 0.8
        assert (total == -1).mean() <= 0.06

    @pytest.mark.slow
    def test_the_wrong_sign_of_the_value_fails_that_bar(self, play: Any) -> None:
        assert (play(KEY, 1.0) == -1).mean() > 0.06


def test_what_joins_steps_of_two_players_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match="belong to different players"):
        envhub.make("pgx::connect_four", wrappers=[wrappers.FrameStackObservation(stack_size=2)])
