"""`to_stoa`: a step type that tells a termination from a limit, inside `jit`."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.export import to_stoa
from envhub.wrappers import RecordEpisodeStatistics
from tests.packages import needed
from tests.test_forks import in_a_fork

stoa = needed("stoa")
KEY = jax.random.key(0)
CARTPOLE = "gymnax::CartPole-v1"


def steps_of(env: Any, actions: Any, params: Any = None) -> Any:
    """All time steps of a scan, the first one too."""

    def body(state: Any, action: Any) -> Any:
        return env.step(state, action, params)

    def run(key: Any) -> Any:
        state, first = env.reset(key, params)
        return first, jax.lax.scan(body, state, actions)[1]

    first, rest = jax.jit(run)(KEY)
    # The two have one structure, so that a time step may be carried through a scan.
    return jax.tree.map(lambda one, others: jnp.concatenate([one[None], others]), first, rest)


@pytest.mark.parametrize(
    ("env_id", "limit"),
    [(CARTPOLE, "max_steps_in_episode"), ("gymnasium::CartPole-v1", "max_episode_steps")],
)
def test_a_limit_is_a_truncation_with_discount_one(env_id: str, limit: str) -> None:
    options: dict[str, Any] = {limit: 8, "wrappers": [RecordEpisodeStatistics]}
    env, params = envhub.make(env_id, **options)
    exported = to_stoa(env, params)
    seen = steps_of(exported, jnp.arange(8) % 2)
    kinds = stoa.StepType
    assert seen.step_type.dtype == jnp.int8
    assert seen.step_type.tolist() == [
        int(kinds.FIRST),
        *[int(kinds.MID)] * 7,
        int(kinds.TRUNCATED),
    ]
    assert seen.discount.tolist() == [1] * 9
    assert seen.extras["episode"]["l"].tolist() == list(range(9))
    obs, _ = env.reset(jax.random.split(KEY)[1], params)
    np.testing.assert_allclose(seen.observation[0], obs, rtol=1e-6)
    fallen = steps_of(to_stoa(*envhub.make(CARTPOLE)), jnp.zeros(40, int))
    ends = fallen.step_type == kinds.TERMINATED
    assert ends.any()
    np.testing.assert_array_equal(fallen.discount, 1 - ends)


def test_it_resets_under_the_wrappers_of_stoa() -> None:
    env, params = envhub.make(CARTPOLE, max_steps_in_episode=12)
    exported = stoa.AutoResetWrapper(to_stoa(env, params), next_obs_in_extras=True)
    exported = stoa.RecordEpisodeMetrics(exported)
    keys = jax.random.split(KEY, 4)

    def run(key: Any) -> Any:
        def body(state: Any, key: Any) -> Any:
            return exported.step(state, exported.action_space().sample(key))

        return jax.lax.scan(body, exported.reset(key)[0], jax.random.split(key, 60))[1]

    seen = jax.jit(jax.vmap(run))(keys)
    last = seen.last()
    assert (seen.truncated() & last).any()
    assert (seen.terminated() & last).any()
    np.testing.assert_array_equal(seen.discount == 0, seen.terminated())
    final = seen.extras["next_obs"]
    assert (final[last] != seen.observation[last]).any(-1).all()
    lengths = seen.extras["episode_metrics"]["episode_length"][last]
    assert lengths.max() == 12


def test_params_of_a_call_are_in_force() -> None:
    env, params = envhub.make(CARTPOLE)
    actions = jnp.ones(8, int)
    exported = to_stoa(env, params)
    heavy = params.replace(gravity=30.0)
    assert not np.array_equal(
        steps_of(exported, actions).observation, steps_of(exported, actions, heavy).observation
    )
    np.testing.assert_array_equal(
        steps_of(exported, actions, heavy).observation,
        steps_of(to_stoa(env, heavy), actions).observation,
    )


def test_spaces_are_those_of_stoa() -> None:
    def of(env_id: str) -> Any:
        exported = to_stoa(*envhub.make(env_id))
        state, timestep = exported.reset(KEY)
        seen, action = exported.observation_space(), exported.action_space().sample(KEY)
        assert seen.contains(timestep.observation)
        assert exported.action_space().contains(action)
        assert jax.jit(lambda key: exported.action_space().sample(key))(KEY).shape == action.shape
        assert seen.contains(exported.step(state, action)[1].observation)
        return seen, exported.action_space()

    seen, taken = of(CARTPOLE)
    assert isinstance(taken, stoa.DiscreteSpace)
    assert taken.num_values == 2
    assert seen.shape == (4,)
    _, taken = of("gymnax::Pendulum-v1")
    np.testing.assert_array_equal(taken.maximum, [2])
    seen, taken = of("jumanji::Game2048-v1")
    assert set(seen.spaces) == {"action_mask", "board"}


def test_it_travels_and_is_equal_to_itself_alone() -> None:
    one, other = (to_stoa(*envhub.make(CARTPOLE)) for _ in range(2))
    assert one != other
    again = pickle.loads(pickle.dumps(one))
    for each in (again, copy.copy(one)):
        jax.tree.map(np.testing.assert_array_equal, each.reset(KEY)[1], one.reset(KEY)[1])


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_a_fork_is_told_to_spawn() -> None:
    env = to_stoa(*envhub.make(CARTPOLE))
    state, _ = env.reset(KEY)
    calls = [lambda: env.reset(KEY), lambda: env.step(state, 0), env.observation_space]
    for call in calls:
        assert "spawn" in in_a_fork(call)


def test_what_does_not_fit_is_refused() -> None:
    exported = to_stoa(*envhub.make("gymnax::CartPole-v1"))
    for wrong in (0, jax.random.split(jax.random.key(0), 2)):
        with pytest.raises(errors.InvalidKeyError, match="one PRNG key"):
            exported.reset(wrong)
    with pytest.raises(errors.InvalidOptionError, match="AutoReset"):
        to_stoa(*envhub.make(CARTPOLE, autoreset="same_step"))
    with pytest.raises(NotImplementedError):
        to_stoa(*envhub.make(CARTPOLE)).state_space()
