"""JAX's check of keys that are used twice, and what it is not to look into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from envhub._tracing import is_traced


def count_one_use(program: Callable[..., Any], *given: Any) -> Any:
    """Call a program of a key so that JAX's check sees one use of that key, and not what is inside.

    What a suite does with its key is not the caller's: craftax (1.6.1) uses one twice, and a `cond`
    of navix (4.0.0) and jumanji (1.1.1), of which one branch uses the key in the state, is both
    branches under `vmap`. Keys in the state count as new before and after.

    Args:
        program: what is compiled of an environment.
        given: what it takes, the key first. A program without one in the first place, such as a
            rollout, is looked into.
    """
    if not is_traced(given):
        with jax.debug_key_reuse(False):
            return program(*given)
    if not _is_key(given[0]):
        return program(*given)

    def call(*given: Any) -> Any:
        with jax.debug_key_reuse(False):
            return program(*given)

    # The check looks into programs inside of a program, and not into what has its own derivative.
    unseen = jax.custom_jvp(call)
    unseen.defjvp(lambda primals, tangents: jax.jvp(call, primals, tangents))
    return _new_keys(unseen(given[0], *_new_keys(given[1:])))


def _new_keys(tree: Any) -> Any:
    """The tree, with keys that count as not used."""
    clone: Any = jax.random.clone
    return jax.tree.map(lambda leaf: clone(leaf) if _is_key(leaf) else leaf, tree)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
