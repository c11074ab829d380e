"""Tree search with mctx, in which the environment on the host is its own model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest

import envhub

KEY = jax.random.key(0)
Critic = Callable[[Any, Any, Any], Any]
"""From key, observation and state, the return to expect from there."""


def planner(env: Any, critic: Critic, *, discount: float, num_simulations: int) -> Any:
    """A function that plans for a batch of states, from key, observations and states."""
    num_actions = env.action_space().n

    def imagine(_: Any, key: Any, action: Any, state: Any) -> Any:
        """One step of the environment, in a branch of its own, for each search of the batch."""

        def one(key: Any, action: Any, state: Any) -> Any:
            result = env.step(key, state, action)
            output = mctx.RecurrentFnOutput(
                reward=result.reward,
                discount=jnp.where(result.done, 0.0, discount),
                prior_logits=jnp.zeros(num_actions),
                value=critic(key, result.obs, result.state),
            )
            return output, result.state

        return jax.vmap(one)(jax.random.split(key, len(action)), action, state)

    def plan(key: Any, obs: Any, state: Any) -> Any:
        key, critic_key = jax.random.split(key)
        keys = jax.random.split(critic_key, len(obs))
        root = mctx.RootFnOutput(
            prior_logits=jnp.zeros((len(obs), num_actions)),
            value=jax.vmap(critic)(keys, obs, state),
            embedding=state,
        )
        return mctx.gumbel_muzero_policy(None, key, root, imagine, num_simulations)

    return plan


def steps_before_the_pole_falls(num_simulations: int, num_steps: int = 200) -> Any:
    """In three episodes side by side, each action planned."""
    env, _ = envhub.make("gymnasium::CartPole-v1", forkable=True)
    discount, limits = 0.95, jnp.array([2.4, 0.21])  # of the cart's position, of the pole's angle

    def critic(_: Any, obs: Any, state: Any) -> Any:
        # The next observation has the same position and angle after either action: which is
        # better shows two steps ahead, so choosing by this alone is choosing at random.
        return (1 - jnp.sum((obs[jnp.array([0, 2])] / limits) ** 2)) / (1 - discount)

    plan = planner(env, critic, discount=discount, num_simulations=num_simulations)

    @jax.jit
    def play(key: Any) -> Any:
        def body(at: Any, key: Any) -> Any:
            action = plan(key, *at).action
            result = jax.vmap(env.step, in_axes=(None, 0, 0))(key, at[1], action)
            return (result.obs, result.state), result.reward

        reset_key, key = jax.random.split(key)
        start = jax.vmap(env.reset)(jax.random.split(reset_key, 3))
        return jax.lax.scan(body, start, jax.random.split(key, num_steps))[1].sum(0)

    return play(KEY)


def test_planning_keeps_the_pole_up() -> None:
    assert (steps_before_the_pole_falls(num_simulations=8) == 200).all()


def test_without_a_search_it_falls() -> None:
    """One simulation tries one action: nothing is compared."""
    assert (steps_before_the_pole_falls(num_simulations=1) < 100).all()


@pytest.mark.slow
def test_planning_from_one_state_of_pong_twice_gives_the_same_plan() -> None:
    # An emulator takes 80 ms to make, and without a limit the branches get up to 256.
    env, _ = envhub.make("ale::pong", forkable=True, max_instances=4)

    def play(state: Any, action: Any) -> Any:
        result = env.step(KEY, state, action)
        return result.state, result

    def critic(key: Any, obs: Any, state: Any) -> Any:
        """What a random game brings."""
        actions = jax.random.randint(key, (24,), 0, env.action_space().n)
        return jax.lax.scan(play, state, actions)[1].reward.sum()

    plan = jax.jit(planner(env, critic, discount=1.0, num_simulations=12))
    standing_still = jnp.zeros(80, jnp.int32)
    watched = jax.jit(lambda key: jax.lax.scan(play, env.reset(key)[1], standing_still)[1])(KEY)
    lost = int(np.argmax(watched.reward < 0))
    # What happened after this state, and while the first plan is made, must not matter.
    before = jax.tree.map(lambda leaf: leaf[lost - 16 : lost - 15], watched)
    plans = [plan(KEY, before.obs, before.state) for _ in range(2)]
    one, other = map(visible, plans)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    values = plans[0].search_tree.node_values
    assert values.min() < values.max(), "it sees no difference, so this shows nothing"
    again = visible(plan(jax.random.key(1), before.obs, before.state))
    assert (again.search_tree.node_values != values).any(), "and it is not the only plan there is"


def visible(plan: Any) -> Any:
    """A plan without the names of the instances that its states were in."""
    tree = plan.search_tree
    return plan.replace(search_tree=tree.replace(embeddings=tree.embeddings.snapshot))
