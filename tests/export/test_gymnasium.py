"""`to_gymnasium`: one environment as a `gymnasium.Env`."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from envhub.export import to_gymnasium, to_gymnasium_vec
from envhub.export.driver import Driver
from tests.packages import needed

gymnasium = needed("gymnasium")
SLOW = ("brax", "craftax")  # to compile
QUICK = {  # and of one agent, instead of the example
    "jaxmarl": "MPE_simple_v3",
    "navix": "Navix-Empty-5x5-v0",
    "pgx": "minatar-breakout",
}


def made(env_id: str, render_mode: str | None = None, **options: Any) -> Any:
    return to_gymnasium(*envhub.make(env_id, **options), seed=0, render_mode=render_mode)


of_every_suite = pytest.mark.parametrize(
    "suite",
    [pytest.param(name, marks=[pytest.mark.full] * (name in SLOW)) for name in registry.BUILTIN],
)


def example_of(suite: str) -> tuple[str, str | None]:
    """An id, and a mode in which the environment can be drawn, if there is one."""
    if registry.get(suite).installed() is None:
        pytest.skip(reason=f"{suite} is not installed")
    env_id = f"{suite}::{QUICK.get(suite, registry.get(suite).example)}"
    return env_id, "rgb_array" if envhub.capabilities(env_id).renderable else None


@of_every_suite
@pytest.mark.filterwarnings("ignore::UserWarning")  # unbounded spaces, which the suites have
@pytest.mark.slow
def test_gymnasiums_own_check_passes(suite: str) -> None:
    """Of what `gymnasium.make` gives for the id in its registry, which is the same export."""
    from gymnasium.utils.env_checker import check_env

    env_id, render_mode = example_of(suite)
    gym_id = f"envhub.gym:{env_id.replace('::', '/')}"
    env = gymnasium.make(gym_id, render_mode=render_mode).unwrapped
    assert (env.driver.env.spec.id, type(env)) == (env_id, type(made("gymnax::CartPole-v1")))
    assert env.spec.max_episode_steps == env.driver.env.episode_limit()
    check_env(env)
    env.close()


@of_every_suite
@pytest.mark.filterwarnings("ignore::UserWarning")  # it advises on spaces, which are the suites'
@pytest.mark.slow
def test_stable_baselines3s_check_passes(suite: str) -> None:
    checker = needed("stable_baselines3.common.env_checker")
    env = made(*example_of(suite))
    checker.check_env(env)
    # By itself: where `check_env` does it, it goes on with what it closed (stable_baselines3 2.9).
    checker._check_render(env)  # noqa: SLF001 (Stable-Baselines3's)


@pytest.mark.parametrize("env_id", ["gymnax::Pendulum-v1", "gymnasium::FrozenLake-v1"])
def test_an_episode_is_that_of_the_environment(env_id: str) -> None:
    inside, params = envhub.make(env_id)
    env = to_gymnasium(inside, params)
    key, reset_key = jax.random.split(jax.random.key(3))
    expected, state = inside.reset(reset_key, params)
    obs, info = env.reset(seed=3)
    assert info == {}
    env.action_space.seed(0)
    for _ in range(5):
        np.testing.assert_allclose(obs, expected, 1e-5)  # two programs
        assert obs in env.observation_space
        assert np.asarray(obs).dtype == env.observation_space.dtype
        action = env.action_space.sample()
        key, step_key = jax.random.split(key)
        result = inside.step(step_key, state, action, params)
        obs, reward, terminated, truncated, info = env.step(action)
        assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
        assert reward == pytest.approx(float(result.reward), 1e-5)
        assert (terminated, truncated) == (result.terminated, result.truncated)
        assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(info))
        expected, state = result.obs, result.state
    assert isinstance(obs, np.ndarray if env_id.startswith("gymnax") else np.integer)


def test_it_reaches_the_ends_of_episodes_and_goes_on() -> None:
    env = made("gymnax::CartPole-v1")
    first, _ = env.reset()
    steps = 0
    terminated = False
    while not terminated:
        obs, reward, terminated, truncated, _ = env.step(np.int64(1))
        steps += 1
        assert reward == 1.0
    assert steps in (8, 9, 10, 11)
    assert not truncated
    obs[:] = 0  # what Gymnasium's users may do
    second, _ = env.reset()
    assert not np.array_equal(first, second)
    again = made("gymnax::CartPole-v1")  # of the same seed
    np.testing.assert_array_equal(again.reset()[0], first)
    np.testing.assert_array_equal(again.unwrapped.reset(seed=5)[0], env.reset(seed=5)[0])
    unseeded = [to_gymnasium(again.driver.env).reset()[0] for _ in range(2)]
    assert not np.array_equal(*unseeded)


def test_params_are_those_that_were_given() -> None:
    inside, params = envhub.make("gymnax::CartPole-v1")
    env = to_gymnasium(inside, params.replace(max_steps_in_episode=2))
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("env_id", "action"),
    [
        ("gymnax::CartPole-v1", 2),
        ("gymnax::CartPole-v1", -1),
        ("gymnax::CartPole-v1", [0]),
        ("gymnax::CartPole-v1", 0.5),
        ("gymnax::CartPole-v1", "left"),
        ("gymnax::Pendulum-v1", np.zeros(2, np.float32)),
        ("gymnax::Pendulum-v1", {"torque": 1.0}),
    ],
)
def test_an_action_that_does_not_fit_is_an_error(env_id: str, action: Any) -> None:
    env = made(env_id)
    env.reset()
    with pytest.raises(errors.InvalidActionError):
        env.step(action)


def test_reset_comes_first() -> None:
    env = made("gymnasium::CartPole-v1", render_mode="rgb_array")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.render()


def test_options_of_reset_are_refused_and_not_dropped() -> None:
    env = to_gymnasium(*envhub.make("gymnax::CartPole-v1"), seed=0)
    env.reset(options={})
    with pytest.raises(errors.InvalidOptionError, match=r"'low'.*reset_options="):
        env.reset(options={"low": 0.0})
    with pytest.raises(errors.InvalidOptionError, match="a dict or None, got 3"):
        env.reset(options=3)
    batch = to_gymnasium_vec(*envhub.make_vec("gymnax::CartPole-v1", 2, autoreset="next_step"))
    batch.reset(options={})
    with pytest.raises(errors.InvalidOptionError, match=r"'low'.*reset_options="):
        batch.reset(options={"low": 0.0})


def test_it_draws_where_the_environment_does() -> None:
    env = made("gymnasium::CartPole-v1", render_mode="rgb_array")
    env.reset()
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert env.metadata["render_modes"] == ["rgb_array"]
    silent = made("gymnasium::CartPole-v1")
    silent.reset()
    assert silent.render() is None
    with pytest.raises(errors.MissingCapabilityError, match="rgb_array"):
        made("gymnasium::CartPole-v1", render_mode="human")


def test_a_spec_makes_another_of_the_same() -> None:
    env = made("gymnasium::CartPole-v1")
    obs, _ = env.reset(seed=1)
    assert env.spec.id == "gymnasium::CartPole-v1"
    assert env.unwrapped is env
    other = env.spec.make()
    assert isinstance(other, gymnasium.Wrapper)
    np.testing.assert_array_equal(other.reset(seed=1)[0], obs)
    assert gymnasium.wrappers.TimeLimit(env, 3).spec.id == env.spec.id
    other.close()
    env.step(1)  # which is not closed with the other
    env.close()
    env.close()


def test_an_id_that_gymnasium_has_no_form_for() -> None:
    inside, params = envhub.make("gymnax::CartPole-v1")
    inside.spec = None
    assert to_gymnasium(inside, params).spec.id == "GymnaxEnvironment"
    from envhub.export.gymnasium import _gymnasium_id

    assert _gymnasium_id("a::b/C-v0") == "a::b/C-v0"
    assert gymnasium.envs.registration.EnvSpec(_gymnasium_id("a::b/c d/C-v0"), "x").version == 0


def test_gymnasiums_wrappers_and_vector_environments_take_it() -> None:
    inside, params = envhub.make("gymnax::CartPole-v1")
    wrapped = gymnasium.wrappers.RecordEpisodeStatistics(to_gymnasium(inside, params, seed=0))
    wrapped.reset()
    ended = False
    while not ended:
        *_, ended, _, info = wrapped.step(0)
    assert info["episode"]["l"] == info["episode"]["r"]
    both = gymnasium.vector.SyncVectorEnv([lambda: to_gymnasium(inside, params)] * 2)
    both.reset(seed=0)
    for _ in range(12):
        *_, infos = both.step(np.zeros(2, int))
    assert infos["discount"].shape == (2,)


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("gymnasium::CartPole-v1", {"max_episode_steps": 5}),
        ("gymnasium::CartPole-v1", {"forkable": False}),  # whose batches are stepped in one go
        ("gymnasium::CartPole-v1", {"workers": "thread", "num_workers": 1}),
        ("gymnasium::Pendulum-v1", {"forkable": False, "max_episode_steps": 5}),
        ("gymnasium::FrozenLake-v1", {}),  # whose `info` has an entry
        ("gymnasium::Blackjack-v1", {}),  # whose observations have parts
    ],
)
def test_a_bare_callback_environment_is_driven_without_programs(env_id: str, options: Any) -> None:
    """The same episodes as with them, one after another, and in copies."""
    env, params = envhub.make(env_id, **options)
    direct = to_gymnasium(env, params, seed=4)
    other = Driver(*envhub.make(env_id, **options), seed=4)
    assert type(direct.driver) is not Driver
    direct.action_space.seed(0)
    for episode in range(3):
        if episode == 2:
            direct.reset(seed=2**31 + 7)
            other.seed(2**31 + 7)
            other.reset()
        same(direct.reset()[0], other.reset())
        for _ in range(5):
            action = direct.action_space.sample()
            copied = copy.deepcopy(direct) if env.capabilities.forkable else direct
            seen = direct.step(action)
            shown = other.step(action)
            same(seen, shown)
            assert type(seen[4]) is dict
            if copied is not direct:
                same(copied.step(action), seen)
            if seen[2] or seen[3]:
                break
    again = pickle.loads(pickle.dumps(direct)) if env.capabilities.forkable else direct
    same(again.reset()[0], other.reset())
    assert again.driver.state.handle.shape == (3,)


def same(one: Any, other: Any) -> None:
    for leaf, another in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(leaf, another)
        if isinstance(another, np.ndarray) and another.ndim:
            assert leaf.dtype == another.dtype
            assert leaf.flags.writeable
