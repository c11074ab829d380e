"""Rollouts of an `AutoReset`, cut into their episodes; and an environment of two agents."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import envhub
from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.wrappers import AutoReset

Episode = list[tuple[Any, Any, Any]]
"""Observation, action and reward of each step; the first is the reset's, with neither."""


class Echo(Environment):
    """Two agents, who see their last actions and are rewarded with them."""

    num_agents = 2

    def __init__(self) -> None:
        super().__init__(None, None, Capabilities.native())

    def reset_env(self, key: Any, params: Any) -> Any:
        return jnp.zeros((2, 1)), jnp.int32(0)

    def step_env(self, key: Any, state: Any, action: Any, params: Any) -> StepResult:
        never = jnp.zeros(2, bool)
        return StepResult(action[:, None].astype(float), state, action, never, never, {})

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(0, 1, (2, 1))

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.MultiDiscrete([2, 2])


def pendulum(has_gradients: bool) -> Environment:
    """gymnax's, whose option for gradients came with 1.0."""
    is_new = int(metadata.version("gymnax").partition(".")[0]) > 0
    options = {"transition_gradients": has_gradients} if is_new else {}
    return envhub.make("gymnax::Pendulum-v1", **options)[0]


def rollout(env: Any, steps: int, key: Any) -> tuple[Any, Any, StepResult]:
    """The observation of a reset, random actions, and the results of steps with their states."""
    sample = env.action_space().sample
    keys = jax.random.split(key, steps)
    actions = jax.vmap(sample)(jax.random.split(jax.random.fold_in(key, 1), steps))

    def body(state: Any, given: Any) -> Any:
        result = env.step(given[0], state, given[1])
        return result.state, result

    obs, state = env.reset(key)
    return obs, actions, jax.lax.scan(body, state, (keys, actions))[1]


def lanes_of(env: Any, steps: int, keys: Any) -> list[list[Episode]]:
    """The episodes of each lane of rollouts under two nested vmaps, over an array of keys."""
    sample = jax.jit(jax.vmap(jax.vmap(lambda key: rollout(env, steps, key))))
    rollouts = jax.device_get(sample(keys))
    return [
        episodes(env.find(AutoReset).mode, *at(rollouts, lane)) for lane in np.ndindex(keys.shape)
    ]


def episodes(mode: str, first: Any, actions: Any, results: StepResult) -> list[Episode]:
    """The episodes of one rollout, the last one perhaps unfinished."""
    found: list[Episode] = [[(first, None, None)]]
    was_done = False
    for step, done in enumerate(results.done):
        obs, action, reward = at((results.obs, actions, results.reward), step)
        if mode == "next_step" and was_done:
            found.append([(obs, None, None)])
        elif mode == "same_step" and done:
            found[-1].append((at(results.info["final_obs"], step), action, reward))
            found.append([(obs, None, None)])
        else:
            found[-1].append((obs, action, reward))
        was_done = done
    return found


def at(tree: Any, index: Any) -> Any:
    """The part of a batch."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def same(one: Any, other: Any, rtol: float = 0) -> None:
    """The same structure, shapes and values."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
