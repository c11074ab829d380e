"""A pytree without its empty arrays, for states that go into `shard_map`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@jax.tree_util.register_pytree_node_class
class NonEmpty:
    """A pytree that shows JAX only its arrays with elements.

    jaxlib 0.11.2 crashes (a segmentation fault in Shardy's canonicalization) when it compiles a
    `shard_map` with an empty array among its arguments.

    Args:
        tree: any pytree of arrays.
    """

    def __init__(self, tree: Any) -> None:
        leaves, structure = jax.tree.flatten(tree)
        self._leaves = [leaf for leaf in leaves if np.size(leaf)]
        empty = tuple(None if np.size(leaf) else (leaf.shape, leaf.dtype) for leaf in leaves)
        self._form = (structure, empty)

    @property
    def tree(self) -> Any:
        """The whole pytree; its empty arrays have no batch axes."""
        structure, empty = self._form
        leaves = iter(self._leaves)
        whole = [next(leaves) if form is None else jnp.zeros(*form) for form in empty]
        return jax.tree.unflatten(structure, whole)

    def tree_flatten(self) -> tuple[list[Any], Any]:
        """Return the arrays with elements, and the structure of the whole pytree."""
        return self._leaves, self._form

    @classmethod
    def tree_unflatten(cls, form: Any, leaves: Any) -> NonEmpty:
        """Return the pytree of `tree_flatten` with other leaves, which may be any objects."""
        made = object.__new__(cls)
        made._leaves, made._form = list(leaves), form
        return made
