"""Spaces as pytrees, for wrappers that take any structure of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub import spaces


def leaves_of(space: spaces.Space) -> Any:
    """The spaces of the single arrays, in a pytree of the structure of the elements."""
    if isinstance(space, spaces.Dict):
        return {name: leaves_of(child) for name, child in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(map(leaves_of, space))
    return space


def space_of(leaves: Any) -> spaces.Space:
    """The space of which these are the `leaves_of`."""
    if isinstance(leaves, dict):
        return spaces.Dict({name: space_of(child) for name, child in leaves.items()})
    if isinstance(leaves, tuple):
        return spaces.Tuple(map(space_of, leaves))
    space: spaces.Space = leaves
    return space


def zero_of(leaf: Any) -> Any:
    """The element of a space of arrays that is nearest to zero: Gymnasium's "zero"."""
    return np.maximum(np.minimum(0, leaf.high), leaf.low).astype(leaf.dtype)
