"""Flatten values of any space to vectors of numbers; discrete values become one-hot."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub.spaces._arrays import Discrete, MultiDiscrete
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._space import Space
from envhub.spaces._trees import map_space


def flat_size(space: Any) -> int:
    """Return the number of numbers in a flattened value: Gymnasium's `flatdim`."""
    if isinstance(space, Dict):
        return sum(map(flat_size, space.values()))
    if isinstance(space, Tuple):
        return sum(map(flat_size, space))
    if isinstance(space, Discrete):
        return space.n
    if isinstance(space, MultiDiscrete):
        return int(space.nvec.sum())
    size: int = math.prod(space.shape)
    return size


def flatten(space: Space, value: Any) -> jax.Array:
    """Flatten a value, which may have more leading axes, to float32[..., flat_size(space)]."""
    parts: list[jax.Array] = []
    map_space(lambda *leaf: parts.append(flatten_leaf(*leaf)), space, value)
    return jnp.concatenate([part.astype(jnp.float32) for part in parts], axis=-1)


def flatten_leaf(space: Any, leaf: Any) -> jax.Array:
    """Flatten a value of a space of arrays, in its own dtype."""
    array = jnp.asarray(leaf)
    flat: jax.Array = array.reshape(*array.shape[: array.ndim - len(space.shape)], -1)
    if not isinstance(space, (Discrete, MultiDiscrete)):
        return flat
    counts = np.ravel(space.nvec if isinstance(space, MultiDiscrete) else space.n).tolist()
    digits = jnp.moveaxis(flat - np.ravel(space.start).astype(flat.dtype), -1, 0)
    pairs = zip(digits, counts, strict=True)
    return jnp.concatenate([jax.nn.one_hot(*each, dtype=flat.dtype) for each in pairs], axis=-1)


def flat_bounds(space: Any) -> tuple[Any, Any]:
    """Return the least and the greatest results of `flatten_leaf`."""
    if isinstance(space, (Discrete, MultiDiscrete)):
        size = flat_size(space)
        return np.zeros(size, space.dtype), np.ones(size, space.dtype)
    return space.low.ravel(), space.high.ravel()
