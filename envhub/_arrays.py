"""Convert the arrays of an environment's arguments and results."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub.errors import InvalidKeyError


def placed(params: Any) -> Any:
    """Return the params as concrete JAX arrays, also under a transfer guard or inside `jit`."""
    with jax.ensure_compile_time_eval(), jax.transfer_guard("allow"):
        return jax.tree.map(jnp.asarray, params)


def strong(leaf: Any) -> jax.Array:
    """Return the leaf as an array without a weak type, so that all steps share one compilation."""
    array = jnp.asarray(leaf)
    is_weak = getattr(array, "weak_type", False)  # outside jit, typed keys lack the attribute
    return jax.lax.convert_element_type(array, array.dtype) if is_weak else array


def keep_dtype(leaf: Any, dtype: Any) -> jax.Array:
    """Return the leaf with the dtype that it had in the given state.

    In x64 mode, the steps of some suites change the width of a leaf, which `scan` does not accept.
    """
    array = strong(leaf)
    if array.dtype == dtype:
        return array
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise InvalidKeyError(
            f"the state holds a key of type {dtype}, and the given key has type "
            f"{array.dtype}. Use keys of one type for an episode."
        )
    return array.astype(dtype)


def narrow(leaf: Any) -> jax.Array:
    """Return the leaf with at most 32 bits.

    In x64 mode, suites compute observations that are wider than those of their spaces.
    """
    array = strong(leaf)
    narrower = {"f": jnp.float32, "i": jnp.int32, "u": jnp.uint32}.get(array.dtype.kind)
    return array.astype(narrower) if narrower and array.dtype.itemsize > 4 else array


def shaped(value: Any, dtype: Any, shape: tuple[int, ...]) -> jax.Array:
    return strong(jnp.asarray(value).astype(dtype).reshape(shape))
