"""Values of any space as vectors of numbers, one-hot where a value is one of a few."""

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
    """How many numbers a value is: Gymnasium's `flatdim`."""
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
    """A value, which may have more leading axes, as float32[..., flat_size(space)]."""
    parts: list[jax.Array] = []
    map_space(lambda *leaf: parts.append(_flatten_leaf(*leaf)), space, value)
    return jnp.concatenate(parts, axis=-1)


def _flatten_leaf(space: Any, leaf: Any) -> jax.Array:
    array = jnp.asarray(leaf)
    flat: jax.Array = array.reshape(*array.shape[: array.ndim - len(space.shape)], -1)
    if not isinstance(space, (Discrete, MultiDiscrete)):
        return flat.astype(jnp.float32)
    counts = np.ravel(space.nvec if isinstance(space, MultiDiscrete) else space.n).tolist()
    digits = jnp.moveaxis(flat - np.ravel(space.start).astype(flat.dtype), -1, 0)
    hot = [jax.nn.one_hot(*each, dtype=jnp.float32) for each in zip(digits, counts, strict=True)]
    return jnp.concatenate(hot, axis=-1)
