"""Tell what is traced and how arrays are split, and compute spaces during tracing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.core import trace_state_clean  # jax (0.4 to 0.12) has no public one

is_outside = trace_state_clean
"""Tell whether a call is outside `jit`, `vmap` and every other trace."""


def is_traced(*trees: Any) -> bool:
    """Tell whether a leaf is traced, so that its value is known only when the program runs."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def numpy_for(*trees: Any) -> Any:
    """Return `numpy`, or `jax.numpy` if a leaf is traced."""
    return jnp if is_traced(*trees) else np


def is_split(array: Any) -> bool:
    """Tell whether an array is split along explicit axes of a mesh, which its type shows."""
    if not hasattr(jax, "typeof"):  # types do not show it before jax 0.6
        return False
    sharding = getattr(jax.typeof(array), "sharding", None)
    return any(part is not None for part in getattr(sharding, "spec", None) or ())


def split_like(array: Any, tree: Any) -> Any:
    """Return the arrays of a tree with their leading axis split as that of `array`."""
    sharding: Any = jax.sharding
    own: Any = jax.typeof(array).sharding
    wanted = sharding.NamedSharding(own.mesh, sharding.PartitionSpec(own.spec[0]))
    reshard = getattr(jax, "reshard", None) or sharding.reshard
    return jax.tree.map(lambda leaf: reshard(leaf, wanted), tree)


def has_explicit_axes(*trees: Any) -> bool:
    """Tell whether a leaf is an array on a mesh with an explicit axis."""
    kinds: Any = getattr(jax.sharding, "AxisType", None)
    if kinds is None or not hasattr(jax, "typeof"):
        return False
    types = [jax.typeof(leaf) for leaf in jax.tree.leaves(trees) if isinstance(leaf, jax.Array)]
    meshes = [getattr(getattr(each, "sharding", None), "mesh", None) for each in types]
    return any(kinds.Explicit in (getattr(mesh, "axis_types", None) or ()) for mesh in meshes)


@contextlib.contextmanager
def concrete_if_known(params: Any) -> Iterator[Any]:
    """Compute spaces as outside `jit`, unless they depend on traced params.

    Suites compute bounds with `jax.numpy`, and inside a trace the bounds would be abstract.

    Yields:
        The params, as NumPy arrays and numbers unless they are traced.
    """
    if is_traced(params):
        yield params
        return
    with jax.ensure_compile_time_eval(), jax.transfer_guard("allow"):
        yield jax.device_get(params)


def computed(leaf: Any) -> Any:
    """Return the array behind the tracers of a `vmap` outside `jit`; `None` inside `jit`."""
    while isinstance(leaf, jax.core.Tracer):
        leaf = getattr(leaf, "val", None)
    return leaf
