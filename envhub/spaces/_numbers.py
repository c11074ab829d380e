"""Check the numbers of spaces, and convert them to read-only arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from envhub.spaces._late import jax, jnp


def to_dtype(dtype: DTypeLike, kinds: str = "iu") -> np.dtype[Any]:
    """Convert to a dtype that JAX has, of one of these kinds (see `np.dtype.kind`)."""
    result = np.dtype(dtype)
    if dtype is None or result.kind not in kinds or result.itemsize > 8 or not result.isnative:
        needed = "an integer" if kinds == "iu" else "a bool, integer or float"
        raise TypeError(f"dtype must be {needed} dtype of at most 64 bits, got {dtype!r}")
    return result


def to_integers(name: str, values: Any, at_least: float = -np.inf) -> tuple[int, ...]:
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a tuple of integers, got {values!r}")
    values = tuple(values)
    for value in values:
        if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be made of integers, got {value!r}")
        if operator.index(value) < at_least:
            raise ValueError(f"{name} must be at least {at_least}, got {value}")
    return tuple(map(operator.index, values))


def to_array(
    name: str, value: Any, dtype: np.dtype[Any], shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """Return a read-only copy in a dtype that can hold the numbers, broadcast to a shape."""
    given = np.asarray(value)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be made of numbers of at most 64 bits, got {value!r}")
    if np.isnan(given).any():
        raise ValueError(f"{name} must not be NaN, got {value}")
    with np.errstate(all="ignore"):
        array = given.astype(dtype)
    # Rounding to a float is no error, overflow is.
    changed = np.isinf(array) != np.isinf(given) if dtype.kind == "f" else array != given
    if changed.any():
        raise ValueError(f"{name} cannot be represented in {dtype}, got {value}")
    array.setflags(write=False)
    try:
        return array if shape is None else np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name} does not fit the shape {shape}, got {value}") from None


def to_traced(name: str, value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """Convert a bound, of which one may be traced, to JAX's dtype for it, broadcast to a shape."""
    try:
        return jnp.broadcast_to(jnp.asarray(value, jax.dtypes.canonicalize_dtype(dtype)), shape)
    except ValueError:
        raise ValueError(f"{name} does not fit the shape {shape}, got {value}") from None


def to_scalar(x: Any, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Convert a number of the dtype's kind to an array of shape (); return None for others."""
    accepted = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
    try:
        return to_array("x", x, dtype) if np.asarray(x).dtype.kind in accepted else None
    except ValueError:
        return None
