"""`to_dm_env`: dm_env's interface, and its own test of it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.export import to_dm_env
from envhub.wrappers import TransformAction
from tests.packages import needed
from tests.test_forks import in_a_fork

dm_env = needed("dm_env")
absltest = needed("absl.testing.absltest")
test_utils = needed("dm_env.test_utils")


class CartPoleTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self) -> Any:
        return to_dm_env(*envhub.make("gymnasium::CartPole-v1"), seed=0)

    def make_action_sequence(self) -> Iterator[Any]:
        yield from [0] * 30  # beyond the end of an episode


class PendulumTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self) -> Any:
        env, params = envhub.make("gymnax::Pendulum-v1")
        return to_dm_env(env, params.replace(max_steps_in_episode=7), seed=0)


def test_an_episode_is_that_of_the_environment() -> None:
    inside, params = envhub.make("gymnax::CartPole-v1")
    env = to_dm_env(inside, params.replace(max_steps_in_episode=4), seed=2)
    _, reset_key = jax.random.split(jax.random.key(2))
    expected, _ = inside.reset(reset_key, params)
    first = env.step(0)  # which resets
    assert first.first()
    np.testing.assert_array_equal(first.observation, expected)
    steps = [env.step(1) for _ in range(4)]
    assert [step.last() for step in steps] == [False, False, False, True]
    assert [step.discount for step in steps] == [1.0] * 4  # a limit
    assert steps[0].reward == 1.0
    second = env.step(1)
    assert second.first()
    assert not np.array_equal(second.observation, first.observation)
    long = to_dm_env(inside, params, seed=2)
    step = long.reset()
    while not step.last():
        step = long.step(1)
    assert step.discount == 0.0
    with pytest.raises(errors.InvalidActionError):
        env.step(2)


def test_specs() -> None:
    inside, params = envhub.make("gymnax::CartPole-v1")
    specs = dm_env.specs
    parts = {
        "discrete": spaces.Discrete(3),
        "shifted": spaces.Discrete(3, start=1),
        "free": spaces.Box(-np.inf, np.inf, (2,)),
        "half": spaces.Box(0, np.inf, (2,)),
        "tuple": spaces.Tuple([spaces.MultiDiscrete([2, 3])]),
    }
    env = to_dm_env(TransformAction(inside, lambda _: 0, spaces.Dict(parts)), params)
    spec = env.action_spec()
    assert spec["discrete"] == specs.DiscreteArray(3, np.int32, "discrete")
    assert spec["shifted"] == specs.BoundedArray((), np.int32, 1, 3, "shifted")
    assert type(spec["free"]) is specs.Array
    assert spec["half"].minimum.tolist() == [0, 0]
    assert spec["tuple"][0].maximum.tolist() == [1, 2]
    assert env.observation_spec().shape == (4,)
    env.reset()
    action = {name: part.generate_value() for name, part in spec.items() if name != "tuple"}
    env.step(action | {"tuple": (spec["tuple"][0].generate_value(),)})


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_it_travels_and_a_fork_is_told_to_spawn() -> None:
    env = to_dm_env(*envhub.make("gymnax::Pendulum-v1"), seed=0)
    env.reset()
    again = pickle.loads(pickle.dumps(env))
    found, expected = again.step([0.5]), env.step([0.5])
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    for call in (env.reset, lambda: env.step([0.5])):
        assert "spawn" in in_a_fork(call)
