"""The arrays that go into an environment and come out of it: their dtypes, shapes and places."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub.errors import InvalidKeyError


def placed(params: Any) -> Any:
    """The params as arrays of JAX, made for good and once, which no transfer guard minds."""
    with jax.ensure_compile_time_eval(), jax.transfer_guard("allow"):
        return jax.tree.map(jnp.asarray, params)


def strong(leaf: Any) -> jax.Array:
    """The leaf as an array without a weak type, so that all steps share one compilation."""
    array = jnp.asarray(leaf)
    is_weak = getattr(array, "weak_type", False)  # which a typed key has inside of jit alone
    return jax.lax.convert_element_type(array, array.dtype) if is_weak else array


def keep_dtype(leaf: Any, dtype: Any) -> jax.Array:
    """In x64 mode some suites' steps change the width of a state's leaf, which no scan carries."""
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
    """In x64 mode suites compute wider observations than their spaces say: 32 bits is enough."""
    array = strong(leaf)
    narrower = {"f": jnp.float32, "i": jnp.int32, "u": jnp.uint32}.get(array.dtype.kind)
    return array.astype(narrower) if narrower and array.dtype.itemsize > 4 else array


def shaped(value: Any, dtype: Any, shape: tuple[int, ...]) -> jax.Array:
    return strong(jnp.asarray(value).astype(dtype).reshape(shape))
