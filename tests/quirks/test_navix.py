"""What is peculiar to navix."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry

OBSERVATIONS = [
    "none",
    "categorical",
    "categorical_first_person",
    "rgb",
    "rgb_first_person",
    "symbolic",
    "symbolic_first_person",
]


@pytest.mark.parametrize("observation_fn", OBSERVATIONS)
@pytest.mark.parametrize(
    "name",
    ["Navix-Empty-5x5-v0", pytest.param("Navix-KeyCorridorS3R1-v0", marks=pytest.mark.full)],
)
def test_the_space_is_true_for_every_observation_function(name: str, observation_fn: str) -> None:
    if observation_fn == "rgb_first_person" and not registry.get("navix").at_least("0.7.4"):
        with pytest.raises(errors.UnavailableEnvError, match="upgrade navix"):
            envhub.make(f"navix::{name}", observation_fn=observation_fn)
        return
    env, params = envhub.make(f"navix::{name}", observation_fn=observation_fn)
    space = env.observation_space(params)
    sample = jax.jit(env.action_space(params).sample)
    obs, state = env.reset(jax.random.key(0), params)
    assert space.contains(obs)
    for key in jax.random.split(jax.random.key(1), 30):
        obs, state, *_ = env.step(key, state, sample(key), params)
        assert space.contains(obs)


def test_an_observation_function_may_be_the_function_itself() -> None:
    from navix import observations

    env, params = envhub.make("navix::Navix-Empty-5x5-v0", observation_fn=observations.rgb)
    obs, state = env.reset(jax.random.key(0), params)
    assert env.observation_space(params).contains(obs)
    assert jnp.array_equal(obs, observations.rgb(state.state))


def test_the_key_in_the_state_decides_moving_obstacles() -> None:
    env, params = envhub.make("navix::Navix-Dynamic-Obstacles-6x6-v0")
    _, state = env.reset(jax.random.key(0), params)
    one = env.step(jax.random.key(1), state, 6, params)
    other = env.step(jax.random.key(2), state, 6, params)
    assert jnp.array_equal(one.obs, other.obs)


def test_the_penalty_is_a_param() -> None:
    """Lane by lane: reaching the goal costs the penalty in proportion to the time it took."""
    env, params = envhub.make("navix::Navix-Empty-5x5-v0")
    forward, right = 2, 1
    to_the_goal = jnp.array([forward, forward, right, forward, forward])

    def play(penalty: jax.Array) -> tuple[jax.Array, jax.Array]:
        changed = params.replace(penalty_coeff=penalty)
        _, state = env.reset(jax.random.key(0), changed)

        def body(state: object, action: jax.Array) -> tuple[object, tuple[jax.Array, jax.Array]]:
            result = env.step(jax.random.key(0), state, action, changed)
            return result.state, (result.reward, result.terminated)

        _, (rewards, terminated) = jax.lax.scan(body, state, to_the_goal)
        return rewards[-1], terminated[-1]

    rewards, terminated = jax.vmap(play)(jnp.array([0.0, 0.5]))
    assert terminated.all()
    np.testing.assert_allclose(rewards[0] - rewards[1], 0.5 * 5 / params.max_steps, rtol=1e-5)
