"""Limit JAX's check for keys that are used twice to the keys of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from envhub._tracing import is_traced


def count_one_use(program: Callable[..., Any], *given: Any) -> Any:
    """Call a compiled program so that JAX's check sees one use of its key.

    The check does not look inside the program, because the caller cannot change what a suite does
    with its keys: craftax (1.6.1) uses a key twice. navix (4.0.0) and jumanji (1.1.1) have a `cond`
    of which one branch uses the key in the state, and under `vmap` both branches run. Keys in the
    state count as new before and after the call.

    Args:
        program: a compiled program of an environment.
        given: its arguments. If the first one is not a key, as in a rollout, the check does look
            inside the program.
    """
    if not is_traced(given):
        with jax.debug_key_reuse(False):
            return program(*given)
    if not _is_key(given[0]):
        return program(*given)

    def call(*given: Any) -> Any:
        with jax.debug_key_reuse(False):
            return program(*given)

    # The check looks into nested programs, but not into functions with their own derivative rule.
    unseen = jax.custom_jvp(call)
    unseen.defjvp(lambda primals, tangents: jax.jvp(call, primals, tangents))
    return _new_keys(unseen(given[0], *_new_keys(given[1:])))


def _new_keys(tree: Any) -> Any:
    """Return the tree with its keys marked as not used."""
    clone: Any = jax.random.clone
    return jax.tree.map(lambda leaf: clone(leaf) if _is_key(leaf) else leaf, tree)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
