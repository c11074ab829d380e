"""Programs that step many environments many times, and what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import envhub

Shape = tuple[int, ...]
"""How many environments side by side; of several numbers, that many in each of so many."""
Transition = tuple[Any, Any, Any, Any]
"""obs, state, reward, and whether the episode ended."""
Step = Callable[[Any, Any, Any, Any], Transition]
"""From key, state, action and params; of one environment or of a batch."""


def hub_step(env: envhub.Environment) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        result = env.step(key, state, action, params)
        return result.obs, result.state, result.reward, result.done

    return step


def over(shape: Shape, step: Step) -> Step:
    """The step of such a batch, all under the same params."""
    for _ in shape:
        step = jax.vmap(step, in_axes=(0, 0, 0, None))
    return step


def reset_all(env: envhub.Environment, params: Any, shape: Shape) -> Any:
    """The states to start from."""
    reset = env.reset
    for _ in shape:
        reset = jax.vmap(reset, in_axes=(0, None))
    return reset(jax.random.split(jax.random.key(0), shape), params)[1]


def random_inputs(
    env: envhub.Environment, params: Any, shape: Shape, steps: int, seed: int
) -> tuple[jax.Array, Any]:
    """A key and an action for every step of each environment."""
    step_key, action_key = jax.random.split(jax.random.key(seed))
    sample: Any = env.action_space(params).sample
    for _ in (steps, *shape):
        sample = jax.vmap(sample)
    return (
        jax.random.split(step_key, (steps, *shape)),
        sample(jax.random.split(action_key, (steps, *shape))),
    )


def rollout(step: Step) -> Callable[..., Any]:
    """The program that is timed: of a batch's step, and of state, keys, actions and params.

    It uses obs, state, reward and done, so that the compiler can leave none of them out.
    """

    def run(state: Any, keys: jax.Array, actions: jax.Array, params: Any) -> Any:
        def advance(carry: Any, inputs: Any) -> Any:
            state, observed, rewarded, ended = carry
            key, action = inputs
            obs, state, reward, done = step(key, state, action, params)
            seen = jnp.sum(obs.reshape(*reward.shape, -1), axis=-1, dtype=jnp.float32)
            return (state, observed + seen, rewarded + reward, ended + done), None

        key, action = jax.tree.map(lambda leaf: leaf[0], (keys, actions))
        zeros = jnp.zeros(jax.eval_shape(step, key, state, action, params)[2].shape)
        start = (state, zeros, zeros, zeros.astype(jnp.int32))
        return jax.lax.scan(advance, start, (keys, actions))[0]

    return jax.jit(run)


def same_bits(one: Any, other: Any) -> bool:
    """Whether two programs computed the same, bit for bit; a state may leave empty arrays out."""
    ours, theirs = (list(filter(None, map(_bits, jax.tree.leaves(each)))) for each in (one, other))
    return ours == theirs


def _bits(leaf: jax.Array) -> bytes:
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf).tobytes()


def is_key(leaf: jax.Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))
