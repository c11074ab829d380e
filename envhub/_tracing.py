"""What is known while a program is traced, and what is known only when it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_traced(*trees: Any) -> bool:
    """Whether an array among the leaves is known only when the program runs."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def numpy_for(*trees: Any) -> Any:
    """`numpy`, or `jax.numpy` where one of the leaves is traced."""
    return jnp if is_traced(*trees) else np


def is_split(array: Any) -> bool:
    """Whether the type of an array says that it is split over devices, as with explicit axes."""
    if not hasattr(jax, "typeof"):  # before jax 0.6 no type says so
        return False
    sharding = getattr(jax.typeof(array), "sharding", None)
    return any(part is not None for part in getattr(sharding, "spec", None) or ())


def split_like(array: Any, tree: Any) -> Any:
    """The arrays of a tree with their leading axis split as that of one whose type says so."""
    sharding: Any = jax.sharding
    own: Any = jax.typeof(array).sharding
    wanted = sharding.NamedSharding(own.mesh, sharding.PartitionSpec(own.spec[0]))
    reshard = getattr(jax, "reshard", None) or sharding.reshard
    return jax.tree.map(lambda leaf: reshard(leaf, wanted), tree)


def has_explicit_axes(*trees: Any) -> bool:
    """Whether the type of an array among the leaves has a mesh of which an axis is explicit."""
    kinds: Any = getattr(jax.sharding, "AxisType", None)
    if kinds is None or not hasattr(jax, "typeof"):
        return False
    types = [jax.typeof(leaf) for leaf in jax.tree.leaves(trees) if isinstance(leaf, jax.Array)]
    meshes = [getattr(getattr(each, "sharding", None), "mesh", None) for each in types]
    return any(kinds.Explicit in (getattr(mesh, "axis_types", None) or ()) for mesh in meshes)


@contextlib.contextmanager
def concrete_if_known(params: Any) -> Iterator[Any]:
    """Compute a space as outside of `jit`, unless it depends on traced params.

    Suites compute bounds with `jax.numpy`, which a surrounding trace would make abstract.

    Yields:
        The params, of which those that are known are numbers and arrays of NumPy.
    """
    if is_traced(params):
        yield params
        return
    with jax.ensure_compile_time_eval(), jax.transfer_guard("allow"):
        yield jax.device_get(params)
