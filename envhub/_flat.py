"""Values of any space as vectors of numbers, one-hot where a value is one of a few."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import _inputs, spaces


def flat_size(space: Any) -> int:
    """How many numbers a value is: Gymnasium's `flatdim`."""
    if isinstance(space, spaces.Dict):
        return sum(map(flat_size, space.values()))
    if isinstance(space, spaces.Tuple):
        return sum(map(flat_size, space))
    if isinstance(space, spaces.Discrete):
        return space.n
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    return math.prod(space.shape)


def flatten(space: spaces.Space, value: Any) -> jax.Array:
    """A value, which may have more leading axes, as float32[..., flat_size(space)]."""
    parts: list[jax.Array] = []
    _inputs.map_space(lambda *leaf: parts.append(_flatten_leaf(*leaf)), space, value)
    return jnp.concatenate(parts, axis=-1)


def _flatten_leaf(space: Any, leaf: Any) -> jax.Array:
    array = jnp.asarray(leaf)
    flat: jax.Array = array.reshape(*array.shape[: array.ndim - len(space.shape)], -1)
    if not isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return flat.astype(jnp.float32)
    counts = np.ravel(space.nvec if isinstance(space, spaces.MultiDiscrete) else space.n).tolist()
    digits = jnp.moveaxis(flat - np.ravel(space.start).astype(flat.dtype), -1, 0)
    hot = [jax.nn.one_hot(*each, dtype=jnp.float32) for each in zip(digits, counts, strict=True)]
    return jnp.concatenate(hot, axis=-1)
