"""Lives as episodes, FIRE after a reset, and which actions are legal."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.wrappers import (
    ActionMask,
    AutoReset,
    EpisodicLife,
    FireReset,
    RecordEpisodeStatistics,
    RepeatAction,
)
from tests.packages import needed

needed("ale_py")

KEY, FIRE = jax.random.key(0), 1
BREAKOUT = {"img_height": 21, "img_width": 20, "stack_num": 1, "frameskip": 16, "noop_max": 0}


def made(env_id: str, *wrappers: Any, **options: Any) -> Any:
    return envhub.make(env_id, wrappers=wrappers, **options)[0]


def play(env: Any, key: Any, actions: Any) -> Any:
    """The first observation, and the results of the actions, of two lanes."""

    def one(key: Any) -> Any:
        def body(state: Any, inputs: Any) -> Any:
            result = env.step(inputs[0], state, inputs[1])
            return result.state, result._replace(state=None)

        obs, start = env.reset(key)
        return obs, jax.lax.scan(body, start, (jax.random.split(key, len(actions)), actions))[1]

    return jax.jit(jax.vmap(one))(jax.random.split(key, 2))


def same(one: Any, other: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
def test_a_lost_life_ends_an_episode_and_no_game() -> None:
    plain = made("ale::breakout", AutoReset, **BREAKOUT)
    env = made("ale::breakout", AutoReset, EpisodicLife, RecordEpisodeStatistics, **BREAKOUT)
    presses = jnp.full(100, FIRE)
    first, expected = play(plain, KEY, presses)
    shown, results = play(env, KEY, presses)
    same((shown, results.obs, results.reward), (first, expected.obs, expected.reward))
    same(results.info["game_over"], expected.done)
    assert expected.done.any(1).all()
    lives = np.asarray(results.info["lives"])
    is_lost = (lives[:, 1:] < lives[:, :-1]) & (lives[:, 1:] > 0)
    assert is_lost.sum() >= 2 * 4
    same(results.terminated[:, 1:], is_lost | expected.terminated[:, 1:])
    same(results.info["_episode"], results.done)
    ends = np.flatnonzero(results.done[0])
    same(results.info["episode"]["l"][0][ends], np.diff(ends, prepend=-1))


def test_without_a_reset_the_game_goes_on_after_a_life() -> None:
    # Lanes that lost a life wait for the others, with states that cannot be saved.
    env = made("ale::breakout", EpisodicLife, RepeatAction(num_repeats=3), **BREAKOUT)
    _, results = play(env, KEY, jnp.full(35, FIRE))
    lives, over = np.asarray(results.info["lives"]), np.asarray(results.info["game_over"])
    for lane in range(2):
        end = over[lane].argmax()
        assert over[lane, end]
        same(lives[lane, :end][results.terminated[lane, :end]], [4, 3, 2, 1])


def test_lives_are_needed() -> None:
    with pytest.raises(errors.InvalidOptionError, match="lives"):
        made("gymnax::CartPole-v1", EpisodicLife)
    with pytest.raises(errors.InvalidOptionError, match="same_step"):
        made("ale::breakout", AutoReset(mode="next_step"), EpisodicLife)
    with pytest.raises(errors.InvalidOptionError, match="episodic_life=True"):
        made("ale::breakout", EpisodicLife, episodic_life=True)
    with pytest.raises(errors.InvalidOptionError, match="outside AutoReset"):
        made("ale::breakout", EpisodicLife, autoreset="same_step")


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("ale::ALE/Breakout-v5", {"obs_type": "ram"}),
        ("ale::breakout", {"use_fire_reset": False, "full_action_space": True}),
    ],
)
def test_fire_is_pressed_after_a_reset(env_id: str, options: Any) -> None:
    plain = made(env_id, **options)
    env = FireReset(plain)
    assert env.fire_action == FIRE
    reset_key, fire_key, _ = jax.random.split(KEY, 3)
    obs, state = env.reset(KEY)
    expected = plain.step(fire_key, plain.reset(reset_key)[1], FIRE)
    same(obs, expected.obs)
    assert (np.asarray(obs) != plain.reset(reset_key)[0]).any()
    same(env.step(KEY, state, 2).obs, plain.step(KEY, expected.state, 2).obs)


def test_an_episode_that_fire_ends_is_begun_again() -> None:
    plain = made("gymnasium::CartPole-v1", max_episode_steps=1)
    env = FireReset(plain, fire_action=0)
    same(env.reset(KEY)[0], plain.reset(jax.random.split(KEY, 3)[2])[0])
    first, results = play(AutoReset(env), KEY, jnp.ones(3, int))
    assert results.truncated.all()
    keys = jax.vmap(lambda key: jax.random.split(key, 3)[2])(jax.random.split(KEY, 2))
    same(first, jax.vmap(plain.reset)(keys)[0])


def test_what_is_no_fire_is_refused() -> None:
    for env_id in ("gymnax::CartPole-v1", "ale::freeway"):
        with pytest.raises(errors.InvalidOptionError, match="called FIRE"):
            made(env_id, FireReset)
    for env_id, action in (("gymnax::CartPole-v1", 2), ("gymnax::Pendulum-v1", 0)):
        with pytest.raises(errors.InvalidOptionError, match=f"fire_action={action}"):
            made(env_id, FireReset(fire_action=action))
    with pytest.raises(errors.InvalidOptionError, match="inside AutoReset"):
        made("ale::breakout", AutoReset, FireReset)


@pytest.fixture(scope="module")
def taxi() -> str:
    return next(name for name in envhub.list_envs("gymnasium") if "Taxi" in name)


def test_taxis_mask_is_beside_its_observation(taxi: str) -> None:
    env = made(taxi, ActionMask, max_episode_steps=7)
    own = gymnasium.make(taxi.partition("::")[2])
    number, info = own.reset(seed=envhub.host_seed(KEY))
    obs, state = env.reset(KEY)
    assert env.observation_space().contains(obs)
    for action in (0, 1, 2, 3, 4, 5, 3, 3, 0):
        same(obs, {"observation": number, "action_mask": info["action_mask"].astype(bool)})
        obs, state, *_ = env.step(KEY, state, action)
        number, *_, info = own.step(action)
    first, results = play(AutoReset(env), KEY, jnp.arange(14) % 6)
    assert results.truncated.sum() == 4
    for shown in (first, results.obs, results.info["final_obs"]):
        masks = [own.unwrapped.action_mask(s) for s in np.ravel(shown["observation"])]
        same(shown["action_mask"].reshape(-1, 6), np.array(masks, bool))
    for kind in (results.obs, results.info["final_obs"]):
        assert jax.vmap(jax.vmap(env.observation_space().contains))(kind).all()


def test_a_mask_of_ones_own() -> None:
    def mask_fn(obs: Any, state: Any, params: Any) -> Any:
        return jnp.stack([obs[0] > 0, state.time < params.max_steps_in_episode])

    env = made("gymnax::CartPole-v1", ActionMask(mask_fn=mask_fn), max_steps_in_episode=3)
    assert env.observation_space()["action_mask"] == spaces.Box(False, True, (2,), bool)
    first, results = play(env, KEY, jnp.zeros(4, int))
    assert first["action_mask"][:, 1].all()
    same(results.obs["action_mask"][0, :, 1], [True, True, False, False])
    same(results.obs["action_mask"][..., 0], results.obs["observation"][..., 0] > 0)


def test_a_mask_from_info_is_that_of_the_mask_of_the_observation(taxi: str) -> None:
    def ones(*given: Any) -> Any:
        return jnp.ones(6, bool)

    by_table = AutoReset(made(taxi, ActionMask, max_episode_steps=7))
    env = made(taxi, ActionMask(info_key="action_mask"), max_episode_steps=7)
    for found, expected in zip(
        jax.tree.leaves(play(AutoReset(env), KEY, jnp.arange(14) % 6)[1]._replace(state=())),
        jax.tree.leaves(play(by_table, KEY, jnp.arange(14) % 6)[1]._replace(state=())),
        strict=True,
    ):
        same(found, expected)
    of_steps = made(taxi, ActionMask(mask_fn=ones, info_key="action_mask"))
    obs, state = of_steps.reset(KEY)
    assert obs["action_mask"].all()
    obs, _, *_, info = of_steps.step(KEY, state, 0)
    same(obs["action_mask"], info["action_mask"].astype(bool))
    assert not obs["action_mask"].all()
    for name in ("mask", "prob"):
        with pytest.raises(errors.InvalidOptionError, match=rf"no mask bool\[6\].*{name}"):
            made(taxi, ActionMask(info_key=name))


def test_masks_that_are_none_are_refused(taxi: str) -> None:
    def ones(*given: Any) -> Any:
        return jnp.ones(3, bool)

    for env_id in ("gymnax::CartPole-v1", "gymnasium::FrozenLake-v1"):
        with pytest.raises(errors.InvalidOptionError, match="which actions are legal"):
            made(env_id, ActionMask)
    with pytest.raises(errors.InvalidOptionError, match=r"must return bool\[2\]"):
        made("gymnax::CartPole-v1", ActionMask(mask_fn=ones))
    with pytest.raises(errors.InvalidOptionError, match="Discrete"):
        made("gymnax::Pendulum-v1", ActionMask(mask_fn=ones))
    with pytest.raises(errors.InvalidOptionError, match="inside AutoReset"):
        made(taxi, AutoReset, ActionMask)
