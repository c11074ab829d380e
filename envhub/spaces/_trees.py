"""Spaces as pytrees, for what takes any structure of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._space import Space


def leaves_of(space: Space) -> Any:
    """The spaces of the single arrays, in a pytree of the structure of the elements."""
    if isinstance(space, Dict):
        return {name: leaves_of(child) for name, child in space.items()}
    if isinstance(space, Tuple):
        return tuple(map(leaves_of, space))
    return space


def space_of(leaves: Any) -> Space:
    """The space of which these are the `leaves_of`."""
    if isinstance(leaves, dict):
        return Dict({name: space_of(child) for name, child in leaves.items()})
    if isinstance(leaves, tuple):
        return Tuple(map(space_of, leaves))
    space: Space = leaves
    return space


def zero_of(leaf: Any) -> Any:
    """The element of a space of arrays that is nearest to zero: Gymnasium's "zero"."""
    return np.maximum(np.minimum(0, leaf.high), leaf.low).astype(leaf.dtype)


def map_space(function: Callable[..., Any], space: Space, value: Any) -> Any:
    """Apply `function(leaf_space, leaf)` through `Dict` and `Tuple` spaces.

    Raises:
        TypeError, ValueError, KeyError: if the value does not have the structure of the space.
    """
    if isinstance(space, Dict):
        if set(value) != set(space):
            raise KeyError(f"expected the entries {sorted(space)}, got {sorted(value)}")
        return {name: map_space(function, space[name], value[name]) for name in space}
    if isinstance(space, Tuple):
        pairs = zip(space, value, strict=True)
        return tuple(map_space(function, child, leaf) for child, leaf in pairs)
    return function(space, value)
