"""A learner with an environment on the host in it: a function of its seed, and of nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub

KEYS = jax.random.split(jax.random.key(0), 4)
STEPS = 400  # before the evaluation, and again after it


class Learner(NamedTuple):
    """One-step actor-critic for CartPole, linear."""

    actor: Any
    critic: Any

    def chance(self, obs: Any) -> Any:
        """Of pushing the cart to the right."""
        return jax.nn.sigmoid(jnp.sum(self.actor * obs))

    def value(self, obs: Any) -> Any:
        return jnp.sum(self.critic * features(obs))

    def learn(self, obs: Any, action: Any, result: Any) -> Learner:
        ahead = jnp.where(result.terminated, 0.0, self.value(result.obs))
        surprise = result.reward + 0.95 * ahead - self.value(obs)
        return Learner(
            self.actor + 0.1 * surprise * (action - self.chance(obs)) * obs,
            self.critic + 0.1 * surprise * features(obs),
        )


def features(obs: Any) -> Any:
    return jnp.append(obs**2, 1.0)


def train(env: Any, key: Any, is_evaluated: Any) -> Any:
    """Learn online, with an evaluation in the middle of an episode.

    Returns:
        The learner, which steps ended an episode, and the result of the evaluation.
    """

    def body(carry: Any, key: Any) -> Any:
        learner, obs, state = carry
        step_key, action_key, reset_key = jax.random.split(key, 3)
        action = jax.random.bernoulli(action_key, learner.chance(obs)).astype(jnp.int32)
        result = env.step(step_key, state, action)
        learner = learner.learn(obs, action, result)
        fresh, onward = env.reset(reset_key), (result.obs, result.state)
        after = jax.tree.map(functools.partial(jnp.where, result.done), fresh, onward)
        return (learner, *after), result.done

    start_key, key, test_key, later_key = jax.random.split(key, 4)
    carry = (Learner(jnp.zeros(4), jnp.zeros(5)), *env.reset(start_key))
    carry, ends = jax.lax.scan(body, carry, jax.random.split(key, STEPS))
    # A condition, so that one compiled program trains with an evaluation and without.
    score = jax.lax.cond(is_evaluated, lambda: evaluate(env, test_key, carry[0]), lambda: 0.0)
    carry, later = jax.lax.scan(body, carry, jax.random.split(later_key, STEPS))
    return carry[0], jnp.concatenate([ends, later]), score


def evaluate(env: Any, key: Any, learner: Learner) -> Any:
    """The return of one episode of at most 200 steps, with the likelier action in each."""

    def body(carry: Any, _: Any) -> Any:
        obs, state = carry
        result = env.step(key, state, (learner.chance(obs) > 0.5).astype(jnp.int32))
        return (result.obs, result.state), result.reward

    return jax.lax.scan(body, env.reset(key), None, 200)[1].sum()


Trainer = Callable[..., Any]


@pytest.fixture(scope="module", params=[False, True], ids=["opaque", "forkable"])
def trainer(request: pytest.FixtureRequest) -> Trainer:
    env, _ = envhub.make("gymnasium::CartPole-v1", forkable=request.param)
    return functools.partial(train, env)


@pytest.fixture(scope="module")
def together(trainer: Trainer) -> Any:
    """Trains all four seeds side by side."""
    return jax.jit(functools.partial(jax.vmap(trainer, in_axes=(0, None)), KEYS))


@pytest.mark.slow
def test_four_seeds_side_by_side_are_four_trainings(trainer: Trainer, together: Any) -> None:
    alone = jax.jit(trainer)
    one_by_one = [alone(key, True) for key in KEYS]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one)
    jax.tree.map(np.testing.assert_array_equal, together(True), stacked)


def test_an_evaluation_leaves_the_training_alone(together: Any) -> None:
    learner, ends, scores = together(True)
    undisturbed, as_before, _ = together(False)
    assert (scores > 0).all()
    jax.tree.map(np.testing.assert_array_equal, (learner, ends), (undisturbed, as_before))


def test_it_learns(together: Any) -> None:
    """Otherwise the tests above compare nothing much. At random a pole falls 18 times."""
    _, ends, _ = together(True)
    assert ends[:, STEPS:].sum() < 4 * 12
