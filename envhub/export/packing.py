"""Pack the small arrays of a pytree into one, because JAX's transfer of each has a fixed cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SMALL = 4096  # bytes; of large arrays the copy costs more than the transfer


def pack(tree: Any) -> list[jax.Array]:
    """Return the large leaves, followed by the bytes of all others.

    Wide dtypes come first, so that each array is aligned.
    """
    leaves = jax.tree.leaves(tree)
    large, small = _places(leaves)
    together = [jnp.concatenate([_bytes(leaves[place]) for place in small])] if small else []
    return [leaves[place] for place in large] + together


def unpacker(shapes: Any) -> Callable[[list[Any]], Any]:
    """Return a function that unpacks a tree with these shapes and dtypes to NumPy arrays.

    The arrays are writable; the small ones are parts of one buffer.
    """
    leaves: list[Any]
    structure: Any
    leaves, structure = jax.tree.flatten(shapes)
    large, small = _places(leaves)
    offsets = itertools.accumulate((_size(leaves[place]) for place in small), initial=0)
    forms = [(leaves[place].shape, leaves[place].dtype) for place in small]
    views = [(*form, offset) for form, offset in zip(forms, offsets, strict=False)]
    order = np.argsort(large + small).tolist()

    def unpack(packed: list[Any]) -> Any:
        arrays = [np.array(array) for array in packed]
        if views:
            buffer = arrays.pop()
            arrays += [np.ndarray(shape, dtype, buffer, start) for shape, dtype, start in views]
        return structure.unflatten([arrays[place] for place in order])

    return unpack


def _places(leaves: list[Any]) -> tuple[list[int], list[int]]:
    """Return which leaves are large and which are small, in the order of their bytes."""
    large = [place for place, leaf in enumerate(leaves) if _size(leaf) > SMALL]
    small = [place for place in range(len(leaves)) if place not in large]
    return large, sorted(small, key=lambda place: -leaves[place].dtype.itemsize)


def _size(leaf: Any) -> int:
    return int(leaf.size * leaf.dtype.itemsize)


def _bytes(leaf: jax.Array) -> jax.Array:
    plain = leaf.astype(jnp.uint8) if leaf.dtype == bool else leaf
    return jax.lax.bitcast_convert_type(plain, jnp.uint8).ravel()
