"""Observations in another form, which is Gymnasium's: as one vector, and in bins."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import Environment, StepResult, errors, spaces
from envhub.wrappers import (
    AutoReset,
    DiscretizeObservation,
    FlattenObservation,
    TimeAwareObservation,
    TransformObservation,
)

KEY = jax.random.key(0)
POLE, PENDULUM = "gymnax::CartPole-v1", "gymnax::Pendulum-v1"
NESTED = spaces.Dict(
    {
        "z": spaces.Box(np.array([[-1, 0]]), np.array([[1, np.inf]])),
        "a": spaces.Tuple([spaces.Discrete(3, start=2), spaces.MultiDiscrete([[2, 3]])]),
        "m": spaces.MultiBinary(2),
    }
)


class Shown(Environment):
    """An environment of one space, whose observations are samples of it."""

    def __init__(self, space: Any = NESTED, num_agents: int = 1) -> None:
        super().__init__(None, None, envhub.make(POLE)[0].capabilities)
        self._space, self.num_agents = space, num_agents

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        return self._space.sample(key), jnp.int32(0)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        shape = (self.num_agents,) if self.num_agents > 1 else ()
        ended = jnp.ones(shape, bool)
        return StepResult(self._space.sample(key), state, jnp.zeros(shape), ended, ~ended, {})

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self._space

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(2)


@pytest.mark.parametrize(
    "env", [Shown(), Shown(spaces.Discrete(4)), envhub.make("gymnasium::Blackjack-v1")[0]], ids=str
)
@pytest.mark.slow
def test_what_is_flat_is_gymnasiums(env: Environment) -> None:
    flat, own = FlattenObservation(env), spaces.to_gymnasium(env.observation_space())
    space, expected = flat.observation_space(), gymnasium.spaces.flatten_space(own)
    assert isinstance(space, spaces.Box)
    np.testing.assert_array_equal([space.low, space.high], [expected.low, expected.high])
    keys = jax.random.split(KEY, 3)
    for key in keys:
        inside = jax.tree.map(np.asarray, env.reset(key)[0])
        shown, _ = flat.reset(key)
        np.testing.assert_array_equal(shown, gymnasium.spaces.flatten(own, inside))
        assert space.contains(shown)
    result = AutoReset(flat).step(KEY, AutoReset(flat).reset(KEY)[1], 0)
    assert result.info["final_obs"].shape == result.obs.shape == space.shape


def test_several_agents_have_a_vector_each() -> None:
    env = FlattenObservation(
        Shown(spaces.Dict({"a": spaces.Box(0, 1, (3, 2)), "b": spaces.MultiDiscrete([4] * 3)}), 3)
    )
    assert env.observation_space().shape == (3, 6)
    obs, _ = env.reset(KEY)
    inside, _ = env.env.reset(KEY)
    np.testing.assert_array_equal(obs[:, :2], inside["a"])
    np.testing.assert_array_equal(obs[:, 2:].argmax(1), inside["b"])


@pytest.mark.parametrize("multidiscrete", [False, True])
@pytest.mark.parametrize("bins", [7, (1, 4, 9)])
def test_bins_are_gymnasiums(bins: Any, multidiscrete: bool) -> None:
    wrapper = getattr(gymnasium.wrappers, "DiscretizeObservation", None)
    if wrapper is None:
        pytest.skip(reason="Gymnasium has it from 1.2 on")
    theirs = wrapper(gymnasium.make("Pendulum-v1"), bins=bins, multidiscrete=multidiscrete)
    env, _ = envhub.make(PENDULUM)
    ours = DiscretizeObservation(env, bins=bins, multidiscrete=multidiscrete)
    assert str(ours.observation_space()) == str(theirs.observation_space)
    points = np.asarray(jax.vmap(env.observation_space().sample)(jax.random.split(KEY, 200)))
    bounds = env.observation_space()
    for point in [*points, bounds.low, bounds.high]:  # type: ignore[attr-defined]
        assert np.array_equal(ours.observation(point), theirs.observation(point)), point
    obs, _ = ours.reset(KEY)
    assert ours.observation_space().contains(obs)
    assert not ours.capabilities.differentiable


def test_bins_follow_the_params() -> None:
    time = TimeAwareObservation(normalize_time=False)
    bins = DiscretizeObservation(bins=(1, 1, 1, 10), multidiscrete=True)
    env, params = envhub.make(PENDULUM, wrappers=[time, bins])

    @jax.jit
    @jax.vmap
    def last(limit: jax.Array) -> Any:
        changed = params.replace(max_steps_in_episode=limit)
        return envhub.rollout(env, changed, None, KEY, 5).last[0]

    np.testing.assert_array_equal(last(jnp.array([10, 100]))[:, 3], [5, 0])


def test_what_has_no_bins_is_refused() -> None:
    env, _ = envhub.make(PENDULUM)
    agents = Shown(spaces.Box(0, 1, (3, 2)), 3)
    unbounded = TransformObservation(env, jnp.negative, spaces.Box(-np.inf, 1, (3,)))
    cases: list[tuple[Any, Any, str]] = [
        (env, 0, "positive"),
        (env, [2, 3], "or 3"),
        (env, 2.0, "positive"),
        (env, 2000, "multidiscrete=True"),
        (agents, 2, "several agents"),
        (unbounded, 2, "finite bounds"),
        (envhub.make("gymnasium::Blackjack-v1")[0], 2, "Box"),
    ]
    for inside, bins, said in cases:
        with pytest.raises(errors.InvalidOptionError, match=said):
            DiscretizeObservation(inside, bins=bins)
    many = DiscretizeObservation(agents, bins=2, multidiscrete=True)
    assert many.reset(KEY)[0].shape == (3, 2)
