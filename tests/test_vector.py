"""Many environments as one: `make_vec`, and the keywords of `make` that wrap."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.wrappers import AutoReset, ClipReward, ScaleReward

from .packages import needed

KEY, NUM = jax.random.key(0), 3


def same(one: Any, other: Any) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "env_id", ["gymnax::CartPole-v1", "gymnasium::CartPole-v1", "gymnasium::Blackjack-v1"]
)
def test_a_batch_is_its_environments_side_by_side(env_id: str) -> None:
    venv, params = envhub.make_vec(env_id, NUM)
    env, _ = envhub.make(env_id, autoreset="same_step")
    obs, state = venv.reset(KEY, params)
    keys = jax.random.split(KEY, NUM)
    each = [env.reset(key, params) for key in keys]
    same(obs, jax.tree.map(lambda *leaves: jnp.stack(leaves), *[first for first, _ in each]))
    assert venv.observation_space(params).contains(obs)
    actions = venv.action_space(params).sample(KEY)
    result = venv.step(KEY, state, actions, params)
    for lane in range(NUM):
        action = jax.tree.map(lambda leaf, lane=lane: leaf[lane], actions)
        alone = env.step(keys[lane], each[lane][1], action, params)
        same(alone.obs, jax.tree.map(lambda leaf, lane=lane: leaf[lane], result.obs))
        assert alone.reward == result.reward[lane]
    assert set(result.info) >= {"final_obs"}


# One of every suite, and a param that another value changes what is seen of a step: None for none.
EVERY_SUITE = [
    ("gymnax::CartPole-v1", "max_steps_in_episode", 1),
    ("navix::Navix-Empty-5x5-v0", "max_steps", 1),
    ("brax::fast", "episode_length", 1),
    pytest.param(
        "craftax::Craftax-Classic-Symbolic-v1", "max_timesteps", 1, marks=pytest.mark.full
    ),
    ("gymnasium::CartPole-v1", "force_mag", 20.0),
    ("gymnasium::Hopper-v5", "gravity", (0.0, 0.0, -1.0)),
    ("ale::pong", None, None),
    ("pufferlib::CartPole-v1", "force_mag", 20.0),
]


@pytest.mark.parametrize(("env_id", "field", "value"), EVERY_SUITE)
def test_a_batch_of_every_suite_each_with_its_params(env_id: str, field: Any, value: Any) -> None:
    try:
        venv, params = envhub.make_vec(env_id, NUM, batched_params=field is not None)
    except errors.MissingDependencyError as error:
        pytest.skip(reason=str(error))
    obs, state = venv.reset(KEY, params)
    assert venv.observation_space().contains(obs)
    action = venv.action_space().sample(KEY)
    # All environments of a host are stepped, and those that ended reset, in one call.
    calls = str(jax.make_jaxpr(venv.step)(KEY, state, action, params)).count("host_callback[")
    assert calls == (0 if venv.capabilities.jax_native else 1)
    result = venv.step(KEY, state, action, params)
    for leaf in (result.reward, result.terminated, result.truncated):
        assert leaf.shape == (NUM,)
    assert venv.capabilities.has_env_params == (field is not None)
    if field is None:
        return
    changed = np.array(getattr(params, field))
    changed[1:] = value
    _, state = venv.reset(KEY, params)
    other = venv.step(KEY, state, action, params.replace(**{field: changed}))
    leaves = map(jax.tree.leaves, (result._replace(state=None), other._replace(state=None)))
    same_lanes = np.array(
        [[np.array_equal(a[i], b[i]) for i in range(NUM)] for a, b in zip(*leaves, strict=True)]
    )
    np.testing.assert_array_equal(same_lanes.all(0), [True, False, False])


def test_params_of_each_environment() -> None:
    venv, params = envhub.make_vec("gymnasium::CartPole-v1", NUM, batched_params=True)
    masses = jnp.array([0.1, 1.0, 5.0])
    assert params.masspole.shape == (NUM,)
    _, states = venv.reset(KEY, params)
    ones = jnp.ones(NUM, jnp.int32)
    shown = venv.step(KEY, states, ones, params.replace(masspole=masses)).obs
    again = venv.step(KEY, states, ones, params).obs
    np.testing.assert_array_equal(shown[0], again[0])
    assert not np.array_equal(shown[1:], again[1:])


def test_a_batch_under_jit_scan_and_vmap_over_seeds() -> None:
    venv, params = envhub.make_vec("gymnasium::CartPole-v1", 2)

    def run(key: Any) -> Any:
        _, state = venv.reset(key, params)

        def body(state: Any, key: Any) -> Any:
            result = venv.step(key, state, venv.action_space().sample(key), params)
            return result.state, result.done

        return jax.lax.scan(body, state, jax.random.split(key, 60))[1]

    ends = jax.jit(jax.vmap(run))(jax.random.split(KEY, 2))
    assert ends.shape == (2, 60, 2)
    assert ends.any(1).all()


def test_batches_of_spaces_are_gymnasiums() -> None:
    gymnasium = needed("gymnasium")
    space = spaces.Dict(
        {
            "box": spaces.Box(0, 1, (2,)),
            "one": spaces.Discrete(3, start=1),
            "many": spaces.MultiDiscrete([2, 3]),
            "bits": spaces.Tuple([spaces.MultiBinary(4)]),
        }
    )
    batched = spaces.to_gymnasium(spaces.batch(space, NUM))
    assert batched == gymnasium.vector.utils.batch_space(spaces.to_gymnasium(space), NUM)
    assert spaces.batch(space, NUM).contains(spaces.batch(space, NUM).sample(KEY))


def test_wrappers_and_autoreset_are_applied_in_order() -> None:
    inside = [ClipReward(max_reward=0.5), ScaleReward(scale=2.0)]
    env, _ = envhub.make("gymnax::CartPole-v1", wrappers=inside, autoreset="next_step")
    assert isinstance(env, AutoReset)
    assert env.mode == "next_step"
    assert env.find(AutoReset) is env
    assert isinstance(env.env, ScaleReward)
    assert isinstance(env.env.env, ClipReward)
    assert env.spec is not None
    assert env.spec.id == "gymnax::CartPole-v1"


@pytest.mark.parametrize("num_envs", [0, -1, 2.0, True])
def test_a_batch_has_a_positive_number_of_environments(num_envs: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="num_envs"):
        envhub.make_vec("gymnax::CartPole-v1", num_envs)


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), np.int32(3)])
def test_integers_of_numpy_are_numbers(number: Any) -> None:
    venv, params = envhub.make_vec("gymnax::CartPole-v1", number)
    assert type(venv.num_envs) is int
    assert venv.reset(jax.random.key(0), params)[0].shape == (3, 4)


@pytest.mark.parametrize("number", [True, np.bool_(1), 0, -1, 2.0, "3", None, 10**11, np.int64(-1)])
def test_a_number_of_environments_that_is_none_is_refused(number: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="num_envs must be a positive"):
        envhub.make_vec("gymnax::CartPole-v1", number)
