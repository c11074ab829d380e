"""Compute the seed of a callback environment from a JAX key."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub import _inputs
from envhub._forks import refuse_after_fork


def host_seed(key: jax.Array) -> Any:
    """Return the seed that a callback environment computes from a key.

    Args:
        key: one PRNG key, typed or legacy.

    Returns:
        An int below 2**31, so that `gymnasium.make(name).reset(seed=envhub.host_seed(key))` starts
        the episode of `env.reset(key)`; a traced uint32[] under `jit`.

    Raises:
        InvalidKeyError: if `key` is not one PRNG key.

    Examples:
        >>> 0 <= host_seed(jax.random.key(0)) < 2**31
        True
    """
    refuse_after_fork()
    _inputs.check_key(key)
    seed = traced_seed(key)
    return seed if isinstance(seed, jax.core.Tracer) else int(seed)


def traced_seed(key: jax.Array) -> jax.Array:
    """Return the same seed as uint32[], also in compiled programs."""
    return jax.random.bits(key, dtype=jnp.uint32) >> 1
