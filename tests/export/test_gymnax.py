"""`to_gymnax`: gymnax's interface, of gymnax 1.0 and of 0.0.x."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry, spaces
from envhub.export import to_gymnax
from envhub.wrappers import FlattenAction, TimeLimit, TransformAction
from tests.packages import needed
from tests.test_forks import in_a_fork

gymnax = needed("gymnax")
gymnax_spaces = needed("gymnax.environments.spaces")
API: Any = "1.0" if registry.get("gymnax").at_least("1.0") else "0.0"
KEY = jax.random.key(0)
NUM = 3


def episodes(env: Any, params: Any, length: int = 40) -> Any:
    """Observations, rewards, flags and info of a scan over a batch, in whatever form they are."""

    def run(key: Any) -> Any:
        obs, state = env.reset(key, params)

        def body(state: Any, key: Any) -> Any:
            action = env.action_space(params).sample(key)
            obs, state, *rest = env.step(key, state, action, params)
            return state, (obs, rest)

        return obs, jax.lax.scan(body, state, jax.random.split(key, length))[1]

    return jax.jit(jax.vmap(run))(jax.random.split(KEY, NUM))


def spaces_of(env: Any) -> Any:
    params = env.default_params
    return env.action_space(params), env.observation_space(params)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_of_a_gymnax_environment_it_is_gymnaxs_own(name: str) -> None:
    own, own_params = gymnax.make(name)
    env = to_gymnax(*envhub.make(f"gymnax::{name}"))  # in the form of the installed gymnax
    found, expected = episodes(env, env.default_params), episodes(own, own_params)
    assert any(flag.any() for flag in expected[1][1][1:-1]) or name == "Pendulum-v1"
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        # Unoptimised, XLA may round one expression in two ways.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert env.num_actions == own.num_actions
    for one, other in zip(spaces_of(env), spaces_of(own), strict=True):
        assert type(one) is type(other)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
    assert isinstance(env, gymnax.environments.environment.Environment)


def test_both_forms_say_the_same() -> None:
    made = envhub.make("gymnax::CartPole-v1")
    new, old = (to_gymnax(*made, api=api) for api in ("1.0", "0.0"))
    (_, (obs, (reward, terminated, truncated, info))) = episodes(new, new.default_params)
    (_, (old_obs, (old_reward, done, old_info))) = episodes(old, old.default_params)
    np.testing.assert_array_equal(obs, old_obs)
    np.testing.assert_array_equal(reward, old_reward)
    np.testing.assert_array_equal(terminated | truncated, done)
    assert done.any()
    assert set(info) == {"discount", "terminated", "truncated", "final_observation"}
    assert set(old_info) == {"discount"}
    differ = np.any(info["final_observation"] != obs, axis=-1)
    np.testing.assert_array_equal(differ, done)


@pytest.mark.parametrize(
    ("env_id", "limit"),
    [
        ("navix::Navix-Empty-5x5-v0", 100),
        ("gymnasium::CartPole-v1", 500),
        ("gymnasium::phys2d/CartPole-v0", 200),
    ],
)
def test_a_limit_for_every_environment(env_id: str, limit: int) -> None:
    made = envhub.make(env_id)
    env = to_gymnax(*made, api="1.0")
    params = env.default_params
    assert params.max_steps_in_episode == limit
    assert to_gymnax(*made, max_steps_in_episode=9).default_params.max_steps_in_episode == 9
    short = params.replace(max_steps_in_episode=3)
    _, (obs, (_, terminated, truncated, info)) = episodes(env, short, 7)
    assert not terminated.any()
    np.testing.assert_array_equal(truncated, [[False, False, True] * 2 + [False]] * NUM)
    assert (info["discount"] == 1).all()
    same = (obs == info["final_observation"]).reshape(NUM, 7, -1).all(-1)
    assert same[~truncated].all()


def test_each_lane_may_have_a_limit_of_its_own() -> None:
    env = to_gymnax(*envhub.make("gymnasium::phys2d/CartPole-v0"), api="1.0")
    many = jax.vmap(
        lambda n: episodes(env, env.default_params.replace(max_steps_in_episode=n), 4)[1][1][2]
    )
    np.testing.assert_array_equal(many(jnp.array([2, 3, 4]))[:, 0].argmax(-1), [1, 2, 3])


def test_limits_that_are_known() -> None:
    def limit(env_id: str, **options: Any) -> Any:
        return to_gymnax(*envhub.make(env_id, **options)).default_params.max_steps_in_episode

    assert limit("gymnasium::CartPole-v1", max_episode_steps=7) == 7
    assert limit("gymnasium::CartPole-v1", max_episode_steps=-1) == 2**31 - 1
    assert limit("gymnasium::CartPole-v1", wrappers=[TimeLimit(max_episode_steps=9)]) == 9
    env, params = envhub.make("gymnax::CartPole-v1")
    changed = params.replace(max_steps_in_episode=5)
    assert to_gymnax(env, changed).default_params == changed


def test_what_is_no_limit_is_refused() -> None:
    made, wrong = envhub.make("navix::Navix-Empty-5x5-v0"), [0, -3, 2.5, "5", 2**40]
    for limit in wrong:
        with pytest.raises(errors.InvalidOptionError, match="max_steps_in_episode must be"):
            to_gymnax(*made, max_steps_in_episode=limit)  # type: ignore[arg-type]


def test_what_a_state_does_not_tell_has_a_reason() -> None:
    env = to_gymnax(*envhub.make("gymnax::CartPole-v1"))
    with pytest.raises(NotImplementedError, match="reset and step return"):
        env.get_obs(env.reset(KEY)[1], env.default_params)
    with pytest.raises(NotImplementedError, match="no space"):
        env.state_space(env.default_params)


def test_how_a_state_ended() -> None:
    env = to_gymnax(*envhub.make("gymnasium::CartPole-v1"), api="1.0")
    old = to_gymnax(*envhub.make("gymnasium::CartPole-v1"), api="0.0")
    params = env.default_params.replace(max_steps_in_episode=1)
    _, state = env.reset(KEY)
    assert not env.is_terminal(state, params)
    _, state, _, terminated, info = env.step_env(KEY, state, 0, params)
    assert state.time == 1
    assert not terminated
    assert env.is_truncated(state, params)
    assert not env.is_terminal(state, params)
    assert env.discount(state, params) == info["discount"] == 1
    _, state = old.reset(KEY)
    _, state, _, done, info = old.step_env(KEY, state, 0, params)
    assert done
    assert old.is_terminal(state, params)
    assert old.discount(state, params) == info["discount"] == 0


def test_an_action_of_as_many_numbers_is_taken_in_any_shape() -> None:
    env = to_gymnax(*envhub.make("gymnax::Pendulum-v1"))
    _, state = env.reset(KEY)
    for step in (env.step, env.step_env):
        expected = step(KEY, state, jnp.array([1.5]), env.default_params)
        for action in (1.5, jnp.array(1.5), jnp.array([[1.5]])):
            found = step(KEY, state, action, env.default_params)
            np.testing.assert_array_equal(found[0], expected[0])
            assert found[2].shape == ()
        with pytest.raises(errors.InvalidActionError, match="shape"):
            step(KEY, state, jnp.array([1.5, 1.5]), env.default_params)
    discrete = to_gymnax(*envhub.make("gymnax::CartPole-v1"))
    _, state = discrete.reset(KEY)
    assert discrete.step(KEY, state, jnp.array([1]))[2].shape == ()
    with pytest.raises(errors.InvalidActionError):
        discrete.step(KEY, state, {"a": 1})


def test_another_form_is_answered_with_the_two_that_there_are() -> None:
    own = registry.get("gymnax").installed()
    wrong: Any = "1"
    with pytest.raises(errors.InvalidOptionError, match=rf'"0.0", for five, got .*{own}.*{API}'):
        to_gymnax(*envhub.make("gymnax::CartPole-v1"), api=wrong)


def test_the_wrong_form_is_the_error_of_python_that_the_page_names() -> None:
    new, old = (to_gymnax(*envhub.make("gymnax::Pendulum-v1"), api=api) for api in ("1.0", "0.0"))
    state = new.reset(KEY)[1]
    with pytest.raises(ValueError, match=r"too many values to unpack \(expected 5"):
        _obs, _state, _reward, _done, _info = new.step(KEY, state, 0.0)
    with pytest.raises(ValueError, match=r"not enough values to unpack \(expected 6, got 5\)"):
        _obs, _state, _reward, _terminated, _truncated, _info = old.step(KEY, state, 0.0)


@pytest.mark.full
@pytest.mark.parametrize("algorithm", ["ppo", "td3"])
def test_rejax_trains_on_one_number(algorithm: str) -> None:
    """It hands a scalar to an environment whose actions are `Box(1,)`."""
    rejax = needed("rejax")
    env = to_gymnax(*envhub.make("gymnax::Pendulum-v1"), api="0.0", max_steps_in_episode=8)
    trainer = rejax.get_algo(algorithm).create(
        env=env, total_timesteps=256, eval_freq=128, num_envs=4, learning_rate=1e-3
    )
    _, (lengths, returns) = jax.jit(trainer.train)(KEY)
    assert (lengths == 8).all()
    assert (returns < 0).all()


def test_spaces_are_gymnaxs_own() -> None:
    env, params = envhub.make("gymnax::CartPole-v1")
    image = to_gymnax(*envhub.make("navix::Navix-Empty-5x5-v0"))
    assert isinstance(image.observation_space(image.default_params), gymnax_spaces.Box)
    assert image.observation_space(image.default_params).dtype == np.uint8
    assert isinstance(image.action_space(image.default_params), gymnax_spaces.Discrete)
    assert image.name == "navix::Navix-Empty-5x5-v0"
    box = spaces.Box(-1, 1, (2,))
    both = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Tuple([box])})
    nested = TransformAction(env, lambda action: action["a"], both)
    exported = to_gymnax(nested, params)
    action = exported.action_space(params).sample(KEY)
    assert action["b"][0].shape == (2,)
    exported.step(KEY, exported.reset(KEY)[1], action)
    several = spaces.MultiDiscrete([2, 3])
    with pytest.raises(errors.InvalidOptionError, match="FlattenAction"):
        to_gymnax(TransformAction(env, lambda action: action[0], several), params)
    flat = FlattenAction(TransformAction(env, lambda action: action[0], several))
    assert to_gymnax(flat, params).num_actions == 6
    shifted = TransformAction(env, lambda action: action - 1, spaces.Discrete(2, start=1))
    with pytest.raises(errors.InvalidOptionError, match="TransformAction"):
        to_gymnax(shifted, params)


def test_it_works_under_gymnaxs_wrappers() -> None:
    from gymnax.wrappers import purerl

    env = to_gymnax(*envhub.make("navix::Navix-Empty-5x5-v0", max_steps=5), api=API)
    wrapped = purerl.LogWrapper(purerl.FlattenObservationWrapper(env))
    obs, (_, rest) = episodes(wrapped, env.default_params, 12)
    assert obs.shape == (NUM, env.observation_space(None).low.size)
    lengths = rest[-1]["returned_episode_lengths"]
    assert lengths.max() == 5


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_it_travels_and_a_fork_is_told_to_spawn() -> None:
    env = to_gymnax(*envhub.make("gymnax::Pendulum-v1"))
    again = pickle.loads(pickle.dumps(env))
    state = env.reset(KEY)[1]
    jax.tree.map(np.testing.assert_array_equal, again.reset(KEY)[1], state)
    calls: list[Callable[[], Any]] = [
        lambda: env.reset(KEY),
        lambda: env.step(KEY, state, 0.0),
        lambda: env.step_env(KEY, state, 0.0),
        lambda: env.discount(state),
        lambda: env.observation_space(env.default_params),
    ]
    for call in calls:
        assert "spawn" in in_a_fork(call)


def test_an_api_that_there_is_not() -> None:
    with pytest.raises(errors.InvalidOptionError, match="api"):
        to_gymnax(*envhub.make("gymnax::CartPole-v1"), api="2")  # type: ignore[arg-type]
