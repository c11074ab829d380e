"""Random numbers between two bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envhub.spaces._late import is_traced, jax, jnp, numpy_for


def draw_integers(key: jax.Array, low: NDArray[Any], high: NDArray[Any]) -> jax.Array:
    """Draw uniform integers or bools from `low` to `high`, both included."""
    word: Any = np.uint64 if low.dtype.itemsize == 8 else np.uint32
    # Unsigned arithmetic wraps around: this holds across zero, and is 0 if all words are allowed.
    with np.errstate(over="ignore"):
        count = high.astype(word) - low.astype(word) + word(1)
    key, word_key = jax.random.split(key)
    offset = jax.random.randint(key, low.shape, 0, count, word)
    if is_traced(count) or not count.all():
        offset = jnp.where(count == 0, jax.random.bits(word_key, low.shape, word), offset)
    return jnp.asarray(low.astype(word) + offset).astype(low.dtype)


def draw_legal(key: jax.Array, mask: Any) -> jax.Array:
    """Draw uniform indices of the last axis of a mask, where it is not 0; int32."""
    legal = jnp.asarray(mask) != 0
    legal |= ~legal.any(-1, keepdims=True)
    rank = jnp.cumsum(legal, -1, dtype=np.int32)
    chosen = jax.random.randint(key, rank.shape[:-1], 0, rank[..., -1])
    return jnp.argmax(rank > chosen[..., None], -1).astype(np.int32)


def draw_floats(key: jax.Array, low: NDArray[Any], high: NDArray[Any]) -> jax.Array:
    """Draw finite floats from `low` to `high`, distributed as in `Box`."""
    shape, dtype, largest = low.shape, low.dtype, np.finfo(low.dtype).max
    numpy = numpy_for(low, high)
    below, above = numpy.isfinite(low), numpy.isfinite(high)
    start, stop = numpy.where(below, low, dtype.type(0)), numpy.where(above, high, dtype.type(0))
    uniform_key, tail_key, normal_key = jax.random.split(key, 3)
    u = jax.random.uniform(uniform_key, shape, dtype)
    x = start * (1 - u) + stop * u  # start + (stop - start) * u could overflow
    if numpy is jnp or not (below & above).all():
        tail = jax.random.exponential(tail_key, shape, dtype)
        normal = jax.random.normal(normal_key, shape, dtype)
        x = jnp.where(below & above, x, jnp.where(below, start + tail, stop - tail))
        x = jnp.where(below | above, x, normal)
    return jnp.clip(x, *(numpy.clip(bound, -largest, largest) for bound in (low, high)))
