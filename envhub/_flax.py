"""Support flax's `to_bytes` and `from_bytes` for states and params.

flax takes dicts, tuples and its own dataclasses apart, and treats everything else as an array. This
module registers the other classes in states and params with flax once flax is imported; it does not
import flax itself.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SERIALIZATION = "flax.serialization"
TAKEN_APART_BY_FLAX = (dict, list, tuple)

_kinds: list[type] = []  # in states and params; or the class of typed keys


def accept(tree: Any) -> None:
    """Register all classes in a state or in params, which may be traced, with flax."""
    for node in _nodes(tree):
        if isinstance(node, jax.Array):
            if jnp.issubdtype(node.dtype, jax.dtypes.prng_key):
                with jax.ensure_compile_time_eval():
                    accept_kind(type(jax.random.key(0)))
        elif not (node is None or isinstance(node, TAKEN_APART_BY_FLAX)):
            accept_kind(type(node))


def accept_kind(kind: type) -> None:
    """Register one class with flax."""
    if kind in _kinds:
        return
    _kinds.append(kind)
    if SERIALIZATION in sys.modules:
        _register(kind)


def _nodes(tree: Any) -> list[Any]:
    """Return the nodes of a pytree, including itself, without leaves that are not JAX arrays."""
    children = [child for _, child in _children(tree)[0]]
    if len(children) == 1 and children[0] is tree:
        return [tree] if isinstance(tree, jax.Array) else []
    return [tree, *(node for child in children for node in _nodes(child))]


def _children(tree: Any) -> tuple[Any, Any]:
    return jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda each: each is not tree)


def _named(tree: Any) -> tuple[dict[str, Any], Any]:
    """Return the children of a node by name, and a function that makes the node from them."""
    children, structure = _children(tree)
    return {_name(path[0]): child for path, child in children}, structure


def _name(step: Any) -> str:
    return str(getattr(step, "name", getattr(step, "key", getattr(step, "idx", step))))


def _register(kind: type) -> None:
    serialization: Any = sys.modules[SERIALIZATION]

    def take_apart(node: Any) -> Any:
        return {name: serialization.to_state_dict(child) for name, child in _named(node)[0].items()}

    def put_together(node: Any, saved: Any) -> Any:
        children, structure = _named(node)
        if set(children) != set(saved):
            raise ValueError(
                f"{kind.__name__} has {list(children)}, and what was saved {list(saved)}."
            )
        return structure.unflatten(
            [serialization.from_state_dict(child, saved[name]) for name, child in children.items()]
        )

    functions: Any = (take_apart, put_together)
    if issubclass(kind, jax.Array):
        functions = (_key_data, _key_of_data)
    with contextlib.suppress(ValueError):  # flax knows it
        serialization.register_serialization_state(kind, *functions)


def _key_data(key: jax.Array) -> Any:
    return np.asarray(jax.random.key_data(key))


def _key_of_data(key: jax.Array, saved: Any) -> Any:
    return jax.random.wrap_key_data(jnp.asarray(saved), impl=jax.random.key_impl(key))


class _WhenImported(importlib.abc.MetaPathFinder):
    """Lets flax be imported as usual, and then registers the classes; flax has no earlier hook."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != SERIALIZATION:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def then_register(module: Any) -> None:
                execute(module)
                for kind in _kinds:
                    _register(kind)

            spec.loader.exec_module = then_register  # type: ignore[method-assign]
        return spec


if SERIALIZATION not in sys.modules:
    sys.meta_path.insert(0, _WhenImported())
