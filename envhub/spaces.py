"""Spaces: which observations and actions an environment has, in Gymnasium's terms.

Unlike Gymnasium's, a space here holds no random state and never changes: it is hashable and
compared by value, so it can be a static argument of `jax.jit`, and its methods can be traced.

A space of a 64-bit dtype can always be made. While JAX's x64 mode is off, its JAX arrays have the
32-bit dtype that JAX has instead, and its bounds are cut to what that dtype can hold.
"""

import abc
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


class Space(abc.ABC):
    """A set of values that can be sampled and tested for membership.

    Spaces are read-only, hashable and equal if of the same class and with equal attributes.
    """

    _parameters: ClassVar[tuple[str, ...]]  # the constructor's, each an attribute too
    _key: tuple[Any, ...]

    @abc.abstractmethod
    def sample(self, key: jax.Array) -> Any:
        """Draws a random element, made of JAX arrays that are not weakly typed.

        Args:
            key: A JAX random key, typed or legacy (uint32[2]).

        Raises:
            ValueError: If x64 mode is off and no element fits in 32 bits.
        """

    @abc.abstractmethod
    def contains(self, x: Any) -> jax.Array:
        """Tells whether a value is an element, as a bool[] array; never raises.

        JAX and NumPy arrays must have the dtype of the space, or the one that JAX has instead
        while x64 mode is off. An element of shape () may also be a Python or NumPy scalar of any
        precision: an int for integers, an int or float for floats, a bool for bools.

        Args:
            x: Any value. Arrays in it may be traced.
        """

    def _freeze(self, **attributes: Any) -> None:
        """Sets the attributes, for good, and from them what spaces are compared by."""
        self.__dict__.update(attributes, _key=tuple(map(_hashable, attributes.values())))

    def __setattr__(self, name: str, value: Any = None) -> None:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot change {name!r}")

    __delattr__ = __setattr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and (type(self), self._key) == (type(other), other._key)

    def __hash__(self) -> int:
        return hash((type(self), self._key))

    def __reduce__(self) -> tuple[Any, ...]:  # the default makes copies with writable arrays
        return type(self), tuple(getattr(self, name) for name in self._parameters)


class _ArraySpace(Space):
    """The arrays of one shape and dtype from `low` to `high`, arrays of that shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: NDArray[Any]
    high: NDArray[Any]

    def sample(self, key: jax.Array) -> jax.Array:
        """Draws an array of the space's shape and dtype (see `Space.sample`)."""
        bounds = self._bounds(jax.dtypes.canonicalize_dtype(self.dtype))
        if bounds is None:
            raise ValueError(f"no element of {self} fits in 32 bits: enable JAX's x64 mode")
        return (_draw_floats if self.dtype.kind == "f" else _draw_integers)(key, *bounds)

    def contains(self, x: Any) -> jax.Array:
        """Tells whether `x` is an array or scalar in the space (see `Space.contains`)."""
        if isinstance(x, bool | int | float | np.generic):
            x = _scalar(x, self.dtype)
        if not isinstance(x, jax.Array | np.ndarray) or x.shape != self.shape:
            return jnp.asarray(False)
        bounds = self._bounds(x.dtype)
        if bounds is None:
            return jnp.asarray(False)
        return jnp.asarray(((x >= bounds[0]) & (x <= bounds[1])).all(), bool)

    def _bounds(self, dtype: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """The bounds of the elements of a dtype, or None if the space has no such elements."""
        low, high = self.low, self.high
        if dtype == self.dtype:
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


class Box(_ArraySpace):
    """The arrays whose elements lie between two bounds, both included.

    A bound of a float dtype may be infinite. Each element is sampled as in Gymnasium: uniformly
    between finite bounds, exponentially away from a single one, normally if there are none.

    Args:
        low: The least values, broadcast to `shape`; the attribute is a read-only array.
        high: The greatest values, likewise.
        shape: By default, that of `low` and `high` broadcast against each other.
        dtype: A float, integer or bool dtype.

    Raises:
        TypeError, ValueError: If an argument is not as above, a bound is NaN or does not fit in
            `dtype`, a low bound is above the high one, or there are no finite values.
    """

    _parameters = ("low", "high", "shape", "dtype")

    def __init__(
        self,
        low: ArrayLike,
        high: ArrayLike,
        shape: Sequence[int] | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if shape is None:
            shape = np.broadcast_shapes(np.shape(low), np.shape(high))
        dtype, shape = _dtype(dtype, "biuf"), _integers("shape", shape, at_least=0)
        low, high = _array("low", low, dtype, shape), _array("high", high, dtype, shape)
        if (low > high).any():
            raise ValueError(f"low must not be above high, got {low} and {high}")
        if (low == np.inf).any() or (high == -np.inf).any():
            raise ValueError(f"low must be below inf and high above -inf, got {low} and {high}")
        self._freeze(low=low, high=high, shape=shape, dtype=dtype)

    @property
    def bounded_below(self) -> NDArray[np.bool_]:
        """Where `low` is finite, a bool array of the space's shape."""
        return np.asarray(np.isfinite(self.low))

    @property
    def bounded_above(self) -> NDArray[np.bool_]:
        """Where `high` is finite, a bool array of the space's shape."""
        return np.asarray(np.isfinite(self.high))

    def __repr__(self) -> str:
        low, high = (
            _show(bound.flat[0] if bound.size and (bound == bound.flat[0]).all() else bound)
            for bound in (self.low, self.high)
        )
        return f"Box({low}, {high}, {self.shape}, {self.dtype})"


class Discrete(_ArraySpace):
    """The integers `start, ..., start + n - 1`, as arrays of shape () and an integer dtype.

    Raises:
        TypeError: If `n` or `start` is not an integer or `dtype` not an integer dtype.
        ValueError: If `n` is less than one or an element does not fit in `dtype`.
    """

    _parameters = ("n", "start", "dtype")
    n: int
    start: int

    def __init__(self, n: int, start: int = 0, dtype: DTypeLike = np.int32) -> None:
        (n,), (start,) = _integers("n", [n], at_least=1), _integers("start", [start])
        dtype = _dtype(dtype)
        low, high = _array("start", start, dtype), _array("start + n - 1", start + n - 1, dtype)
        self._freeze(n=n, start=start, shape=(), dtype=dtype, low=low, high=high)

    def __repr__(self) -> str:
        return f"Discrete({self.n}, start={self.start})" if self.start else f"Discrete({self.n})"


class MultiDiscrete(_ArraySpace):
    """The arrays `x` of the shape of `nvec` with `start <= x < start + nvec` and an integer dtype.

    The attributes are read-only arrays: `nvec` of int64, `start` (by default zeros) of `dtype`.

    Raises:
        TypeError: If `nvec` or `start` is not made of numbers or `dtype` not an integer dtype.
        ValueError: If a number is not an integer, a count is less than one, an element does not
            fit in `dtype`, or `start` does not broadcast to the shape of `nvec`.
    """

    _parameters = ("nvec", "dtype", "start")
    nvec: NDArray[np.int64]
    start: NDArray[Any]

    def __init__(
        self, nvec: ArrayLike, dtype: DTypeLike = np.int32, start: ArrayLike | None = None
    ) -> None:
        dtype, nvec = _dtype(dtype), _array("nvec", nvec, np.dtype(np.int64))
        if (nvec < 1).any():
            raise ValueError(f"nvec must be at least 1, got {nvec}")
        low = _array("start", 0 if start is None else start, dtype, nvec.shape)
        last: Any = np.add(low, nvec - 1, dtype=object)  # Python's integers do not overflow
        high = _array("start + nvec - 1", np.asarray(last).tolist(), dtype, nvec.shape)
        self._freeze(nvec=nvec, start=low, shape=nvec.shape, dtype=dtype, low=low, high=high)

    def __repr__(self) -> str:
        start = f", start={_show(self.start)}" if self.start.any() else ""
        return f"MultiDiscrete({_show(self.nvec)}{start})"


class MultiBinary(_ArraySpace):
    """The int8 arrays of zeros and ones of length `n` (an int) or shape `n` (a tuple of ints).

    Raises:
        TypeError, ValueError: If `n` is not made of integers, or of some less than one.
    """

    _parameters = ("n",)
    n: int | tuple[int, ...]

    def __init__(self, n: int | Sequence[int]) -> None:
        shape = _integers("n", n if isinstance(n, Iterable) else [n], at_least=1)
        n, dtype = shape if isinstance(n, Iterable) else shape[0], np.dtype(np.int8)
        low, high = _array("low", 0, dtype, shape), _array("high", 1, dtype, shape)
        self._freeze(n=n, shape=shape, dtype=dtype, low=low, high=high)

    def __repr__(self) -> str:
        return f"MultiBinary({self.n})"


class Dict(Space, Mapping[str, Space]):
    """The dicts of an element of each of some spaces; itself a read-only mapping of the spaces.

    The names are in sorted order, as JAX sorts those of dicts.

    Raises:
        TypeError: If a name is not a string or a space not a `Space`.
    """

    _parameters = ("spaces",)
    _items: tuple[tuple[str, Space], ...]

    def __init__(self, spaces: Mapping[str, Space]) -> None:
        spaces = dict(spaces)
        for name, space in spaces.items():
            if not isinstance(name, str) or not isinstance(space, Space):
                raise TypeError(f"a Dict must map strings to spaces, got {name!r}: {space!r}")
        self._freeze(_items=tuple(sorted(spaces.items())))

    @property
    def spaces(self) -> dict[str, Space]:
        """The spaces by name, in a new dict."""
        return dict(self._items)

    def sample(self, key: jax.Array) -> dict[str, Any]:
        """Draws a dict of samples, each with a key of its own (see `Space.sample`)."""
        keys = jax.random.split(key, len(self))
        return {name: space.sample(k) for (name, space), k in zip(self._items, keys, strict=True)}

    def contains(self, x: Any) -> jax.Array:
        """Tells whether `x` is a dict of elements of the spaces (see `Space.contains`)."""
        if not isinstance(x, dict) or x.keys() != self.keys():
            return jnp.asarray(False)
        return jnp.asarray([space.contains(x[name]) for name, space in self._items], bool).all()

    def __getitem__(self, name: str) -> Space:
        return self.spaces[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.spaces)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Dict({', '.join(f'{name!r}: {space}' for name, space in self._items)})"


class Tuple(Space, Sequence[Space]):
    """The tuples of an element of each of some spaces; itself a read-only sequence of the spaces.

    Raises:
        TypeError: If a space is not a `Space`.
    """

    _parameters = ("spaces",)
    spaces: tuple[Space, ...]

    def __init__(self, spaces: Iterable[Space]) -> None:
        spaces = tuple(spaces)
        for space in spaces:
            if not isinstance(space, Space):
                raise TypeError(f"a Tuple must be made of spaces, got {space!r}")
        self._freeze(spaces=spaces)

    def sample(self, key: jax.Array) -> tuple[Any, ...]:
        """Draws a tuple of samples, each with a key of its own (see `Space.sample`)."""
        keys = jax.random.split(key, len(self))
        return tuple(space.sample(k) for space, k in zip(self.spaces, keys, strict=True))

    def contains(self, x: Any) -> jax.Array:
        """Tells whether `x` is a tuple of elements of the spaces (see `Space.contains`)."""
        if not isinstance(x, tuple) or len(x) != len(self):
            return jnp.asarray(False)
        results = [space.contains(element) for space, element in zip(self.spaces, x, strict=True)]
        return jnp.asarray(results, bool).all()

    def __getitem__(self, index: Any) -> Any:
        return self.spaces[index]

    def __len__(self) -> int:
        return len(self.spaces)

    def __repr__(self) -> str:
        return f"Tuple({', '.join(map(repr, self.spaces))})"


def batch(space: Space, size: int) -> Space:
    """The space of batches of elements, on a leading axis, as Gymnasium's `batch_space` has it.

    Args:
        space: of one element.
        size: how many are in a batch.

    Returns:
        A `MultiDiscrete` of a `Discrete`, a `Dict` and a `Tuple` of the batches of their spaces,
        and a `Box` of the others.
    """
    if isinstance(space, Dict):
        return Dict({name: batch(child, size) for name, child in space.items()})
    if isinstance(space, Tuple):
        return Tuple(batch(child, size) for child in space)
    assert isinstance(space, _ArraySpace)
    low, high = (np.stack([bound] * size) for bound in (space.low, space.high))
    if isinstance(space, Discrete):
        return MultiDiscrete([space.n] * size, space.dtype, low)
    return Box(low, high, low.shape, space.dtype)


def from_gymnasium(space: Any) -> Space:
    """Converts a Gymnasium space to the space of the same name here.

    Raises:
        TypeError: If there is none of that name, also for a space inside (Text, Graph, ...).
    """
    from gymnasium import spaces as gym

    for kind in (Box, Discrete, MultiDiscrete, MultiBinary):
        if isinstance(space, getattr(gym, kind.__name__)):
            return kind(*(getattr(space, name) for name in kind._parameters))
    if isinstance(space, gym.Dict):
        return Dict({name: from_gymnasium(child) for name, child in space.spaces.items()})
    if isinstance(space, gym.Tuple):
        return Tuple(map(from_gymnasium, space.spaces))
    raise TypeError(
        f"cannot convert a {type(space).__name__} space: its values are not a fixed structure of "
        "arrays of fixed shapes and dtypes, as JAX needs"
    )


def to_gymnasium(space: Space) -> Any:
    """Converts a space to the Gymnasium space of the same name.

    Raises:
        TypeError: If `space` is of none of the classes in this module.
        ValueError: If `n` or `nvec` does not fit in the space's dtype, as Gymnasium needs.
    """
    from gymnasium import spaces as gym

    if isinstance(space, Dict):
        return gym.Dict({name: to_gymnasium(child) for name, child in space.items()})
    if isinstance(space, Tuple):
        return gym.Tuple(map(to_gymnasium, space))
    if not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        raise TypeError(f"cannot convert a {type(space).__name__}: Gymnasium has no such space")
    if isinstance(space, Discrete | MultiDiscrete):
        counts = space.n if isinstance(space, Discrete) else space.nvec
        _array("n or nvec, which Gymnasium keeps in the dtype,", counts, space.dtype)
    kind: Any = getattr(gym, type(space).__name__)
    arguments = {name: getattr(space, name) for name in space._parameters}
    try:
        return kind(**arguments)
    except TypeError:
        if not isinstance(space, Discrete):
            raise
        # Before Gymnasium 1.2.2, it takes no dtype.
        converted = kind(space.n, start=space.start)
        converted.dtype = space.dtype
        return converted


def _dtype(dtype: DTypeLike, kinds: str = "iu") -> np.dtype[Any]:
    """A dtype that JAX has, of one of some kinds (as in `np.dtype.kind`)."""
    result = np.dtype(dtype)
    if dtype is None or result.kind not in kinds or result.itemsize > 8 or not result.isnative:
        needed = "an integer" if kinds == "iu" else "a bool, integer or float"
        raise TypeError(f"dtype must be {needed} dtype of at most 64 bits, got {dtype!r}")
    return result


def _integers(name: str, values: Any, at_least: float = -np.inf) -> tuple[int, ...]:
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a tuple of integers, got {values!r}")
    values = tuple(values)
    for value in values:
        if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be made of integers, got {value!r}")
        if operator.index(value) < at_least:
            raise ValueError(f"{name} must be at least {at_least}, got {value}")
    return tuple(map(operator.index, values))


def _array(
    name: str, value: Any, dtype: np.dtype[Any], shape: tuple[int, ...] | None = None
) -> NDArray[Any]:
    """A read-only copy in a dtype that can represent the numbers, broadcast to a shape."""
    given = np.asarray(value)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be made of numbers of at most 64 bits, got {value!r}")
    if np.isnan(given).any():
        raise ValueError(f"{name} must not be NaN, got {value}")
    with np.errstate(all="ignore"):
        array = given.astype(dtype)
    # Rounding to a float is no error, overflow is.
    changed = np.isinf(array) != np.isinf(given) if dtype.kind == "f" else array != given
    if changed.any():
        raise ValueError(f"{name} cannot be represented in {dtype}, got {value}")
    array.setflags(write=False)
    try:
        return array if shape is None else np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name} does not fit the shape {shape}, got {value}") from None


def _scalar(x: Any, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """A scalar as an array of shape (), or None if it is no number of the kind of the dtype."""
    accepted = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
    try:
        return _array("x", x, dtype) if np.asarray(x).dtype.kind in accepted else None
    except ValueError:
        return None


def _hashable(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return (value + value.dtype.type(0)).tobytes()  # the same for -0.0 and 0.0


def _show(array: Any) -> str:
    with np.printoptions(threshold=8, edgeitems=1):
        return " ".join(str(array).split())


def _draw_integers(key: jax.Array, low: NDArray[Any], high: NDArray[Any]) -> jax.Array:
    """Uniform integers or bools from `low` to `high`, both included."""
    word: Any = np.uint64 if low.dtype.itemsize == 8 else np.uint32
    # Unsigned arithmetic wraps around: this holds across zero, and is 0 if all words are allowed.
    with np.errstate(over="ignore"):
        count = high.astype(word) - low.astype(word) + word(1)
    key, word_key = jax.random.split(key)
    offset = jax.random.randint(key, low.shape, 0, count, word)
    if not count.all():
        offset = jnp.where(count == 0, jax.random.bits(word_key, low.shape, word), offset)
    return jnp.asarray(low.astype(word) + offset).astype(low.dtype)


def _draw_floats(key: jax.Array, low: NDArray[Any], high: NDArray[Any]) -> jax.Array:
    """Finite floats from `low` to `high`, distributed as `Box` says."""
    shape, dtype, largest = low.shape, low.dtype, np.finfo(low.dtype).max
    below, above = np.isfinite(low), np.isfinite(high)
    start, stop = np.where(below, low, dtype.type(0)), np.where(above, high, dtype.type(0))
    uniform_key, tail_key, normal_key = jax.random.split(key, 3)
    u = jax.random.uniform(uniform_key, shape, dtype)
    x = start * (1 - u) + stop * u  # start + (stop - start) * u could overflow
    if not (below & above).all():
        tail = jax.random.exponential(tail_key, shape, dtype)
        normal = jax.random.normal(normal_key, shape, dtype)
        x = jnp.where(below & above, x, jnp.where(below, start + tail, stop - tail))
        x = jnp.where(below | above, x, normal)
    return jnp.clip(x, np.clip(low, -largest, largest), np.clip(high, -largest, largest))
