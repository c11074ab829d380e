"""Compute the seed of a callback environment from a JAX key."""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from envhub import _inputs
from envhub._forks import refuse_after_fork

BITS = 0xFFFFFFFF
PARITY = 0x1BD11BDA
EVEN, ODD = (13, 15, 26, 6), (17, 29, 16, 24)
ROTATIONS = EVEN, ODD, EVEN, ODD, EVEN


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


def seed_after_step(key: jax.Array) -> jax.Array:
    """Return the seed of the episode that may follow the step that is given this key: uint32[].

    It is that of the second half of the split key. For JAX's usual keys, it is computed here,
    without the loops of `jax.random` (JAX 0.4 to 0.11): XLA on CPUs hands each round of these to
    another thread, so that the callback of the step finds its caches cold.
    """
    if not is_threefry(key):
        return traced_seed(jax.random.split(key)[1])
    data = cast(Any, jax.random.key_data(key))
    return cast(jax.Array, seed_of_words(data[0], data[1]))


def is_threefry(key: jax.Array) -> bool:
    """Tell whether `seed_of_words` knows how JAX splits the key."""
    is_usual = "'threefry2x32'" in repr(jax.random.key_impl(key))  # a PRNGSpec in jax 0.4.35
    return is_usual and bool(cast(Any, jax.config).jax_threefry_partitionable)


def seed_of_words(first: Any, second: Any) -> Any:
    """Return the seed of `seed_after_step` for a key of Threefry-2x32.

    Args:
        first: the first word of the key's data, an int or uint32[].
        second: the second word, of the same type.
    """
    zero = first ^ first
    used = threefry((first, second), (zero, zero + 1))
    one, other = threefry(used, (zero, zero))
    return (one ^ other) >> 1


def threefry(key: tuple[Any, Any], words: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return a block of Threefry-2x32 with 20 rounds, JAX's generator.

    Args:
        key: two words, ints or uint32 arrays of one shape.
        words: two words of the same type.
    """
    bits = BITS if isinstance(key[0], int) else np.uint32(BITS)
    keys = *key, key[0] ^ key[1] ^ PARITY
    word, other = words[0] + key[0], (words[1] + key[1]) & bits
    for number, rotations in enumerate(ROTATIONS, 1):
        for places in rotations:
            word += other  # an int has more than 32 bits until the end, which saves time
            other = ((other << places | other >> (32 - places)) ^ word) & bits
        word += keys[number % 3]
        other = (other + keys[(number + 1) % 3] + number) & bits
    return word & bits, other
