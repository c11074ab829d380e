"""Resets for the lanes of a batch whose episode ended, and for no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

Reset = Callable[[jax.Array, Any], Any]

CHUNK = 2  # lanes that are reset at once


def reset_where(done: jax.Array, reset: Reset, key: jax.Array, params: Any, otherwise: Any) -> Any:
    """Give `reset(key, params)` where `done`, and what is given otherwise elsewhere.

    Under `vmap`, nested too, it costs what the lanes cost that are done: they are gathered, reset a
    few at a time, and put back. JAX itself would reset all of them, because a `cond` under `vmap`
    computes both sides. Gradients flow through what is given, and not through the reset.

    Args:
        done: bool[].
        reset: of one environment, to a pytree of arrays.
        key: one PRNG key.
        params: a pytree.
        otherwise: of the form of what `reset` gives.
    """

    def plain_reset(key: jax.Array, params: Any) -> Any:
        return jax.tree.map(_plain, reset(key, params))

    fresh = _reset_one(plain_reset)(done, key, lax.stop_gradient(params))

    def select(new: jax.Array, old: jax.Array) -> jax.Array:
        chosen = jnp.where(done, new, _plain(old))
        return jax.random.wrap_key_data(chosen, impl=_impl(old)) if _is_key(old) else chosen

    return jax.tree.map(select, fresh, otherwise)


def _reset_one(reset: Reset) -> Any:
    """A function that resets where done, and gives zeros elsewhere."""

    @custom_vmap
    def one(done: jax.Array, key: jax.Array, params: Any) -> Any:
        return lax.cond(done, lambda: reset(key, params), lambda: _zeros(reset, (), key, params))

    @one.def_vmap
    def rule(size: int, mapped: Any, done: jax.Array, key: jax.Array, params: Any) -> Any:
        done, key = _lanes(done, size, mapped[0]), _lanes(key, size, mapped[1])
        result = _reset_many(reset, mapped[2])(done, key, params)
        return result, jax.tree.map(lambda _: True, result)

    return one


def _reset_many(reset: Reset, have_lanes: Any) -> Any:
    """The same for a flat batch; the second argument says which leaves of the params have lanes."""

    @custom_vmap
    def many(done: jax.Array, keys: jax.Array, params: Any) -> Any:
        return _reset_in_chunks(reset, have_lanes, done, keys, params)

    @many.def_vmap
    def rule(size: int, mapped: Any, done: jax.Array, keys: jax.Array, params: Any) -> Any:
        inner = done.shape[-1]

        def flat(array: jax.Array, is_mapped: bool, has_lanes: bool = True) -> jax.Array:
            if not (is_mapped or has_lanes):
                return array
            array = _lanes(array, size, is_mapped)
            if not has_lanes:
                array = jnp.repeat(jnp.expand_dims(array, 1), inner, axis=1)
            return array.reshape(size * inner, *array.shape[2:])

        arguments = flat(done, mapped[0]), flat(keys, mapped[1])
        params = jax.tree.map(flat, params, mapped[2], have_lanes)
        have = jax.tree.map(lambda a, b: a or b, mapped[2], have_lanes)
        result = _reset_many(reset, have)(*arguments, params)
        nested = jax.tree.map(lambda leaf: leaf.reshape(size, inner, *leaf.shape[1:]), result)
        return nested, jax.tree.map(lambda _: True, nested)

    return many


def _reset_in_chunks(
    reset: Reset, have_lanes: Any, done: jax.Array, keys: jax.Array, params: Any
) -> Any:
    size, count = len(done), done.sum()
    resets = jax.vmap(reset, in_axes=(0, jax.tree.map(lambda has: 0 if has else None, have_lanes)))

    def params_of(lanes: Any) -> Any:
        return jax.tree.map(lambda leaf, has: leaf[lanes] if has else leaf, params, have_lanes)

    # Those that are done come first, and then some that are none.
    order = jnp.concatenate([jnp.argsort(~done, stable=True), jnp.full(CHUNK, size)])

    def reset_chunk(carry: Any) -> Any:
        start, results = carry
        lanes = lax.dynamic_slice_in_dim(order, start, CHUNK)
        fresh = resets(keys[lanes], params_of(lanes))
        lanes = jnp.where(start + jnp.arange(CHUNK) < count, lanes, size)
        put = jax.tree.map(lambda all, new: all.at[lanes].set(new, mode="drop"), results, fresh)
        return start + CHUNK, put

    nothing = _zeros(reset, (size,), keys[0], params_of(0))
    return lax.while_loop(lambda carry: carry[0] < count, reset_chunk, (0, nothing))[1]


def _zeros(reset: Reset, batch: tuple[int, ...], key: jax.Array, params: Any) -> Any:
    shapes = jax.eval_shape(reset, key, params)
    return jax.tree.map(lambda leaf: jnp.zeros((*batch, *leaf.shape), leaf.dtype), shapes)


def _lanes(array: jax.Array, size: int, is_mapped: bool) -> jax.Array:
    return array if is_mapped else jnp.broadcast_to(array, (size, *array.shape))


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain(leaf: jax.Array) -> jax.Array:
    """Keys as their data, of which there can be zeros."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _impl(key: jax.Array) -> Any:
    return jax.random.key_impl(key)
