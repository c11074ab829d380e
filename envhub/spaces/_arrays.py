"""The spaces of single arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from envhub._forks import refuse_after_fork
from envhub.spaces._late import is_traced, jax, jnp, numpy_for
from envhub.spaces._numbers import to_array, to_dtype, to_integers, to_scalar, to_traced
from envhub.spaces._sampling import draw_floats, draw_integers, draw_legal
from envhub.spaces._space import Space


class ArraySpace(Space["jax.Array"]):
    """A set of arrays with one shape and dtype, from `low` to `high`."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: NDArray[Any]
    high: NDArray[Any]

    def sample(self, key: jax.Array, mask: Any = None) -> jax.Array:
        """Draws an array of the space's shape and dtype (see `Space.sample`)."""
        refuse_after_fork()
        bounds = self._bounds(jax.dtypes.canonicalize_dtype(self.dtype))
        if bounds is None:
            raise ValueError(f"no element of {self} fits in 32 bits: enable JAX's x64 mode")
        draw = draw_floats if self.dtype.kind == "f" else draw_integers
        with jax.transfer_guard("allow"):  # the bounds are NumPy's
            if mask is not None:
                return self._draw_masked(key, mask, *bounds)
            return draw(key, *bounds)

    def _draw_masked(
        self, key: jax.Array, mask: Any, low: NDArray[Any], high: NDArray[Any]
    ) -> jax.Array:
        raise ValueError(f"{type(self).__name__} takes no mask")

    def contains(self, x: Any) -> jax.Array:
        """Tells whether `x` is an array or scalar in the space (see `Space.contains`)."""
        refuse_after_fork()
        if isinstance(x, bool | int | float | np.generic):
            x = to_scalar(x, self.dtype)
        if not isinstance(x, jax.Array | np.ndarray) or x.shape != self.shape:
            return jnp.asarray(False)
        bounds = self._bounds(x.dtype)
        if bounds is None:
            return jnp.asarray(False)
        with jax.transfer_guard("allow"):
            return jnp.asarray(((x >= bounds[0]) & (x <= bounds[1])).all(), bool)

    def _bounds(self, dtype: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Returns the bounds of the elements of a dtype; None if there are no such elements."""
        low, high = self.low, self.high
        if dtype == low.dtype:
            return low, high
        if dtype != jax.dtypes.canonicalize_dtype(self.dtype):
            return None
        info: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        if (low > info.max).any() or (high < info.min).any():
            return None
        # An infinite bound stays infinite: it means that there is none.
        low = np.where(np.isinf(low), low, np.maximum(low, info.min)).astype(dtype)
        high = np.where(np.isinf(high), high, np.minimum(high, info.max)).astype(dtype)
        return low, high


class Box(ArraySpace):
    """The arrays whose elements lie between two bounds, both included.

    A bound of a float dtype may be infinite. Each element is sampled as in Gymnasium: uniformly
    between two finite bounds, exponentially away from a single finite bound, and normally without
    finite bounds.

    Inside `jit` a bound may be traced. Then both attributes are JAX arrays, their values are not
    checked, and the space equals another only if their bounds are the same tracers.

    Args:
        low: The least values, broadcast to `shape`; the attribute is a read-only array.
        high: The greatest values, broadcast to `shape`; the attribute is a read-only array.
        shape: The shape; by default that of `low` and `high` broadcast against each other.
        dtype: A float, integer or bool dtype.

    Raises:
        TypeError, ValueError: If an argument is not as described, a bound is NaN or does not fit in
            `dtype`, a low bound is above the high bound, or there are no finite values.

    Examples:
        >>> space = Box(-1, 1, (3,))
        >>> space.sample(jax.random.key(0)).shape, bool(space.contains(np.full(3, 2, np.float32)))
        ((3,), False)
    """

    _parameters: ClassVar[tuple[str, ...]] = ("low", "high", "shape", "dtype")

    def __init__(
        self,
        low: ArrayLike,
        high: ArrayLike,
        shape: Sequence[int] | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if shape is None:
            shape = np.broadcast_shapes(np.shape(low), np.shape(high))
        dtype, shape = to_dtype(dtype, "biuf"), to_integers("shape", shape, at_least=0)
        traced = is_traced(low, high)
        convert = to_traced if traced else to_array
        low, high = convert("low", low, dtype, shape), convert("high", high, dtype, shape)
        if not traced and (low > high).any():
            raise ValueError(f"low must not be above high, got {low} and {high}")
        if not traced and ((low == np.inf).any() or (high == -np.inf).any()):
            raise ValueError(f"low must be below inf and high above -inf, got {low} and {high}")
        self._freeze(low=low, high=high, shape=shape, dtype=dtype)

    @property
    def bounded_below(self) -> NDArray[np.bool_]:
        """Returns a bool array of the space's shape that is true where `low` is finite."""
        return _finite(self.low)

    @property
    def bounded_above(self) -> NDArray[np.bool_]:
        """Returns a bool array of the space's shape that is true where `high` is finite."""
        return _finite(self.high)

    def __repr__(self) -> str:
        if is_traced(self.low, self.high):
            return f"Box(traced, traced, {self.shape}, {self.dtype})"
        from envhub._display import flat_text

        low, high = (
            flat_text(bound.flat[0] if bound.size and (bound == bound.flat[0]).all() else bound)
            for bound in (self.low, self.high)
        )
        return f"Box({low}, {high}, {self.shape}, {self.dtype})"


class Discrete(ArraySpace):
    """The integers `start, ..., start + n - 1`, as arrays of shape () and an integer dtype.

    Raises:
        TypeError: If `n` or `start` is not an integer, or `dtype` is not an integer dtype.
        ValueError: If `n` is less than one or an element does not fit in `dtype`.

    Examples:
        >>> space = Discrete(3, start=-1)
        >>> bool(space.contains(-1)), bool(space.contains(2))
        (True, False)
    """

    _parameters = ("n", "start", "dtype")
    n: int
    start: int

    def __init__(self, n: int, start: int = 0, dtype: DTypeLike = np.int32) -> None:
        (n,), (start,) = to_integers("n", [n], at_least=1), to_integers("start", [start])
        dtype = to_dtype(dtype)
        low, high = to_array("start", start, dtype), to_array("start + n - 1", start + n - 1, dtype)
        self._freeze(n=n, start=start, shape=(), dtype=dtype, low=low, high=high)

    def _draw_masked(
        self, key: jax.Array, mask: Any, low: NDArray[Any], high: NDArray[Any]
    ) -> jax.Array:
        if np.shape(mask) != (self.n,):
            raise ValueError(
                f"a mask of {self} must have the shape {(self.n,)}, got {np.shape(mask)}"
            )
        return jnp.asarray(low) + draw_legal(key, mask).astype(low.dtype)

    def __repr__(self) -> str:
        return f"Discrete({self.n}, start={self.start})" if self.start else f"Discrete({self.n})"


class MultiDiscrete(ArraySpace):
    """The arrays `x` of the shape of `nvec` with `start <= x < start + nvec` and an integer dtype.

    The attributes are read-only arrays: `nvec` of int64, `start` (by default zeros) of `dtype`.

    Raises:
        TypeError: If `nvec` or `start` does not consist of numbers, or `dtype` is not an integer
            dtype.
        ValueError: If a number is not an integer, a count is less than one, an element does not
            fit in `dtype`, or `start` does not broadcast to the shape of `nvec`.

    Examples:
        >>> space = MultiDiscrete([2, 3])
        >>> space.shape, bool(space.contains(np.array([1, 2], np.int32)))
        ((2,), True)
    """

    _parameters = ("nvec", "dtype", "start")
    nvec: NDArray[np.int64]
    start: NDArray[Any]

    def __init__(
        self, nvec: ArrayLike, dtype: DTypeLike = np.int32, start: ArrayLike | None = None
    ) -> None:
        dtype, nvec = to_dtype(dtype), to_array("nvec", nvec, np.dtype(np.int64))
        if (nvec < 1).any():
            raise ValueError(f"nvec must be at least 1, got {nvec}")
        low = to_array("start", 0 if start is None else start, dtype, nvec.shape)
        last: Any = np.add(low, nvec - 1, dtype=object)  # Python's integers do not overflow
        high = to_array("start + nvec - 1", np.asarray(last).tolist(), dtype, nvec.shape)
        self._freeze(nvec=nvec, start=low, shape=nvec.shape, dtype=dtype, low=low, high=high)

    def _draw_masked(
        self, key: jax.Array, mask: Any, low: NDArray[Any], high: NDArray[Any]
    ) -> jax.Array:
        return jnp.asarray(low) + self._draw_index(key, mask).astype(low.dtype)

    def _draw_index(self, key: jax.Array, mask: Any) -> jax.Array:
        nvec, is_flat = self.nvec, self.nvec.ndim == 1
        if isinstance(mask, list | tuple):
            if is_flat and list(map(np.shape, mask)) == [(count,) for count in nvec]:
                keys = jax.random.split(key, len(mask))
                return jnp.stack([draw_legal(*each) for each in zip(keys, mask, strict=True)])
        elif np.shape(mask)[:-1] == nvec.shape and (nvec == np.shape(mask)[-1]).all():
            return draw_legal(key, mask)
        elif is_flat and np.shape(mask) == tuple(nvec):
            flat = draw_legal(key, jnp.ravel(mask))
            return jnp.stack(jnp.unravel_index(flat, tuple(nvec.tolist())))
        raise ValueError(
            f"a mask of {self} must have a row for each dimension or an entry for each "
            f"combination, got {jax.tree.map(np.shape, mask)}"
        )

    def __repr__(self) -> str:
        from envhub._display import flat_text

        start = f", start={flat_text(self.start)}" if self.start.any() else ""
        return f"MultiDiscrete({flat_text(self.nvec)}{start})"


class MultiBinary(ArraySpace):
    """The int8 arrays of zeros and ones with length `n` (an int) or shape `n` (a tuple of ints).

    Raises:
        TypeError, ValueError: If `n` does not consist of integers, or one is less than one.

    Examples:
        >>> MultiBinary(4).sample(jax.random.key(0)).shape
        (4,)
    """

    _parameters = ("n",)
    n: int | tuple[int, ...]

    def __init__(self, n: int | Sequence[int]) -> None:
        shape = to_integers("n", n if isinstance(n, Iterable) else [n], at_least=1)
        n, dtype = shape if isinstance(n, Iterable) else shape[0], np.dtype(np.int8)
        low, high = to_array("low", 0, dtype, shape), to_array("high", 1, dtype, shape)
        self._freeze(n=n, shape=shape, dtype=dtype, low=low, high=high)

    def _draw_masked(
        self, key: jax.Array, mask: Any, low: NDArray[Any], high: NDArray[Any]
    ) -> jax.Array:
        if np.shape(mask) != self.shape:
            raise ValueError(
                f"a mask of {self} must have the shape {self.shape}, got {np.shape(mask)}"
            )
        mask, free = jnp.asarray(mask), draw_integers(key, low, high)
        return jnp.where((mask == 0) | (mask == 1), mask.astype(low.dtype), free)

    def __repr__(self) -> str:
        return f"MultiBinary({self.n})"


def _finite(bound: Any) -> NDArray[np.bool_]:
    numpy = numpy_for(bound)
    finite: NDArray[np.bool_] = numpy.asarray(numpy.isfinite(bound))
    return finite
