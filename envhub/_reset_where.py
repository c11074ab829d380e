"""Reset the lanes of a batch whose episode ended, and others only if this costs nothing."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import SymbolicZero

from envhub._tracing import is_split, split_like

Reset = Callable[[jax.Array, Any], Any]

# The number of lanes that are reset at once on the CPU. Each turn of the loop has a cost for
# starting its operations. With small states, a few lanes share that cost (a step of 1024 CartPoles,
# of which 46 end: 57 µs with 2 lanes and 45 with 4; a reset of hopper: 0.12 ms for 2 or 4, and 0.22
# for 8). If a state fills the cache, the cost of the lanes dominates, and an unneeded reset is lost
# time (Craftax-Classic, 26 kB: 0.9 ms for 1, and 2.8 for 2). `TURNS` bounds the number of turns.
CACHE = 32 * 1024  # bytes
SMALL_EPISODES = 4
TURNS = 256
# On a GPU, each turn is a wait (25 µs for CartPole), and many lanes take as long as one. So the
# whole batch is reset at once. A large batch is reset in parts, of which one is mostly enough. (On
# an H200, 4096 Hoppers of 1.2 kB: 6.8 million steps a second at once and 5.9 in parts of 256; 4096
# Craftax-Classics of 26 kB: 0.42 at once, 0.90 in parts of 256, and 1.13 in parts of 64.)
WHOLE = 32 * 2**20  # bytes
PARTS = 64


def reset_where(
    done: jax.Array,
    reset: Reset,
    key: jax.Array,
    params: Any,
    otherwise: Any,
    *,
    one_by_one: bool = False,
) -> Any:
    """Return `reset(key, params)` where `done`, and `otherwise` elsewhere.

    Under `vmap`, also nested, only lanes that are done cost a reset: they are gathered, reset a few
    at a time, and put back. JAX itself would reset all lanes, because a `cond` under `vmap`
    computes both sides; on a GPU this function does the same, because it is faster there. Gradients
    flow through `otherwise`, not through the reset.

    Args:
        done: bool[].
        reset: the reset of one environment, which returns a pytree of arrays.
        key: one PRNG key.
        params: a pytree.
        otherwise: values of the same form as the result of `reset`.
        one_by_one: whether to reset only lanes that are done, because a reset is a callback.
    """

    def plain_reset(key: jax.Array, params: Any) -> Any:
        return jax.tree.map(_plain, reset(key, params))

    in_place = _choose_one(plain_reset, one_by_one)

    def selected(done: jax.Array, key: jax.Array, params: Any, otherwise: Any) -> Any:
        fresh = in_place(done, key, *lax.stop_gradient((params, otherwise)))
        return _select(done, fresh, otherwise)

    def derivative(primals: Any, tangents: Any) -> Any:
        def kept(tangent: Any) -> Any:
            if isinstance(tangent, SymbolicZero):  # for example, the tangent of an integer
                return tangent
            return jnp.where(primals[0], jnp.zeros_like(tangent), tangent)

        return selected(*primals), jax.tree.map(kept, tangents[-1])

    # The loop of `in_place` writes into the given arrays and copies nothing, but JAX cannot
    # differentiate it in reverse. So the derivative rule uses `selected`, which copies. JAX may
    # drop the rule before a second derivative is taken: `selected` is differentiable without it.
    choose = jax.custom_jvp(in_place)
    choose.defjvp(derivative, symbolic_zeros=True)
    chosen = choose(done, key, params, jax.tree.map(_plain, otherwise))
    return jax.tree.map(_like, chosen, otherwise)


def _choose_one(reset: Reset, one_by_one: bool) -> Any:
    """Choose for one lane: a reset if done, and otherwise the given values."""

    def one(done: jax.Array, key: jax.Array, params: Any, otherwise: Any) -> Any:
        return lax.cond(done, lambda: reset(key, params), lambda: otherwise)

    def many(size: int, mapped: Any, done: Any, key: Any, params: Any, otherwise: Any) -> Any:
        lanes = _lanes((done, key, otherwise), size, (mapped[0], mapped[1], mapped[3]))
        return _choose_many(reset, one_by_one, mapped[2])(lanes, params)

    return _batched_by(many, one)


def _choose_many(reset: Reset, one_by_one: bool, have_lanes: Any) -> Any:
    """Choose for a flat batch; the last argument tells which leaves of the params have lanes."""

    def many(lanes: Any, params: Any) -> Any:
        return _reset_in_chunks(reset, one_by_one, have_lanes, lanes, params)

    def more(size: int, mapped: Any, lanes: Any, params: Any) -> Any:
        inner = lanes[0].shape[-1]

        def flat(array: jax.Array) -> jax.Array:
            return array.reshape(size * inner, *array.shape[2:])

        def flat_param(array: jax.Array, is_mapped: bool, has_lanes: bool) -> jax.Array:
            if not (is_mapped or has_lanes):
                return array
            array = _lanes(array, size, is_mapped)
            if not has_lanes:
                array = jnp.repeat(jnp.expand_dims(array, 1), inner, axis=1)
            return flat(array)

        lanes = jax.tree.map(flat, _lanes(lanes, size, mapped[0]))
        params = jax.tree.map(flat_param, params, mapped[1], have_lanes)
        have = jax.tree.map(lambda a, b: a or b, mapped[1], have_lanes)
        result = _choose_many(reset, one_by_one, have)(lanes, params)
        return jax.tree.map(lambda leaf: leaf.reshape(size, inner, *leaf.shape[1:]), result)

    return _batched_by(more, many)


def _batched_by(rule: Any, function: Any) -> Any:
    """Return the function with a rule for the lanes of `vmap`."""
    batched = custom_vmap(function)

    @batched.def_vmap
    def any_rule(size: int, mapped: Any, *arguments: Any) -> Any:
        # JAX applies the rule also if no argument has lanes, as in a second derivative.
        has_lanes = any(jax.tree.leaves(mapped))
        result = rule(size, mapped, *arguments) if has_lanes else function(*arguments)
        return result, jax.tree.map(lambda _: has_lanes, result)

    return batched


def _reset_in_chunks(
    reset: Reset, one_by_one: bool, have_lanes: Any, lanes: Any, params: Any
) -> Any:
    done, keys, otherwise = lanes
    size, chunk = done.shape[0], 1 if one_by_one else _chunk(otherwise)
    resets = jax.vmap(reset, in_axes=(0, jax.tree.map(lambda has: 0 if has else None, have_lanes)))
    if is_split(done):  # JAX cannot gather along explicit axes of a mesh
        split = functools.partial(split_like, done)
        params = jax.tree.map(lambda leaf, has: split(leaf) if has else leaf, params, have_lanes)
        return jax.vmap(_select)(done, split(resets(split(keys), params)), split(otherwise))
    if chunk is None:
        return jax.vmap(_select)(done, resets(keys, params), otherwise)

    def params_of(lanes: Any) -> Any:
        return jax.tree.map(lambda leaf, has: leaf[lanes] if has else leaf, params, have_lanes)

    # `order` has the lanes that are done, in order, and after them numbers that are not lanes.
    place = jnp.where(done, jnp.cumsum(done) - 1, size + chunk)
    order = jnp.full(size + chunk, size).at[place].set(jnp.arange(size), mode="drop")

    def reset_chunk(carry: Any) -> Any:
        start, results = carry
        lanes = lax.dynamic_slice_in_dim(order, start, chunk)
        fresh = resets(keys[lanes], params_of(lanes))
        put = jax.tree.map(lambda all, new: all.at[lanes].set(new, mode="drop"), results, fresh)
        return start + chunk, put

    return lax.while_loop(lambda carry: order[carry[0]] < size, reset_chunk, (0, otherwise))[1]


def platform() -> str:
    """Return the platform for which programs are traced; it decides which way is fast."""
    return jax.default_backend()


def _chunk(batch: Any) -> int | None:
    """Return how many lanes to reset at once; `None` for all lanes, done or not."""
    leaves = jax.tree.leaves(batch)
    size = leaves[0].shape[0]
    lane: int = sum(math.prod(leaf.shape[1:]) * leaf.dtype.itemsize for leaf in leaves)
    fitting = max(1, min(SMALL_EPISODES, CACHE // lane))
    if not isinstance(size, int):  # the program is exported for batches of any size
        return fitting if platform() == "cpu" else None
    if platform() != "cpu":
        return None if size * lane <= WHOLE else -(-size // PARTS)
    return min(size, max(fitting, size // TURNS))


def _select(done: jax.Array, fresh: Any, otherwise: Any) -> Any:
    return jax.tree.map(functools.partial(jnp.where, done), fresh, otherwise)


def _lanes(arrays: Any, size: int, mapped: Any) -> Any:
    """Add a leading axis to the arrays without one."""

    def broadcast(array: jax.Array, is_mapped: bool) -> jax.Array:
        return array if is_mapped else jnp.broadcast_to(array, (size, *array.shape))

    return jax.tree.map(broadcast, arrays, mapped)


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain(leaf: jax.Array) -> jax.Array:
    """Return keys as their data, which every version of JAX can batch, carry and scatter."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _like(leaf: Any, other: Any) -> Any:
    if not _is_key(other):
        return leaf
    return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(other))
