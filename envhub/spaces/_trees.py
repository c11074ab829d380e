"""Spaces as pytrees, for functions that take any structure of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from envhub.spaces._arrays import Discrete
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._space import Space


def tree_of(space: Space) -> Any:
    """Return the spaces of the single arrays, in a pytree with the structure of the elements."""
    if isinstance(space, Dict):
        return {name: tree_of(child) for name, child in space.items()}
    if isinstance(space, Tuple):
        return tuple(map(tree_of, space))
    return space


def leaves_of(space: Space) -> list[Any]:
    """Return the spaces of the single arrays, in the order in which JAX flattens an element."""
    if isinstance(space, Dict):  # whose names are sorted
        return [leaf for child in space.values() for leaf in leaves_of(child)]
    if isinstance(space, Tuple):
        return [leaf for child in space for leaf in leaves_of(child)]
    return [space]


def space_of(tree: Any) -> Space:
    """Return the space whose `tree_of` this is."""
    if isinstance(tree, dict):
        return Dict({name: space_of(child) for name, child in tree.items()})
    if isinstance(tree, tuple):
        return Tuple(map(space_of, tree))
    space: Space = tree
    return space


def zero_of(leaf: Any) -> Any:
    """Return the element of a space of arrays that is nearest to zero: Gymnasium's "zero"."""
    return np.maximum(np.minimum(0, leaf.high), leaf.low).astype(leaf.dtype)


def observed(space: Any, leaf: Any) -> Any:
    """Convert a leaf to NumPy: an array, or an integer for a `Discrete` space."""
    array = np.asarray(leaf, space.dtype)
    return array[()] if isinstance(space, Discrete) else array


def map_space(function: Callable[..., Any], space: Space, value: Any) -> Any:
    """Apply `function(leaf_space, leaf)` through `Dict` and `Tuple` spaces.

    Raises:
        TypeError, ValueError: if the value does not have the structure of the space.
    """
    if isinstance(space, Dict):
        if not isinstance(value, Mapping) or set(value) != set(space):
            given = sorted(value) if isinstance(value, Mapping) else f"a {type(value).__name__}"
            raise TypeError(f"expected a dict with the entries {sorted(space)}, got {given}")
        return {name: map_space(function, space[name], value[name]) for name in space}
    if isinstance(space, Tuple):
        pairs = zip(space, value, strict=True)
        return tuple(map_space(function, child, leaf) for child, leaf in pairs)
    return function(space, value)
