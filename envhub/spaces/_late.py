"""JAX for spaces, imported when it is first needed: workers make spaces, and never need it."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
else:

    class _Late:
        """A module that is imported when a name of it is used."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module(self._name), name)

    jax, jnp = _Late("jax"), _Late("jax.numpy")


def is_array(value: Any) -> bool:
    """Tell whether a value is an array of JAX, traced or not."""
    return "jax" in sys.modules and isinstance(value, jax.Array)


def is_traced(*trees: Any) -> bool:
    """Tell whether a leaf is traced."""
    if "jax" not in sys.modules:
        return False
    from envhub import _tracing

    return _tracing.is_traced(*trees)


def numpy_for(*trees: Any) -> Any:
    """Return `numpy`, or `jax.numpy` if a leaf is traced."""
    return jnp if is_traced(*trees) else np


__all__ = ["is_array", "is_traced", "jax", "jnp", "numpy_for"]
