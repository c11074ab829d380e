"""Between the values of a CPU library and columns of a batch: actions out, results in, checked.

A column is an array with a row for each lane. NumPy only: this runs inside callbacks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from envhub import spaces
from envhub.errors import InvalidActionError

Array = np.ndarray[Any, Any]


class Form(NamedTuple):
    """What one lane has of a column."""

    shape: tuple[int, ...]
    dtype: Any


class Entry(NamedTuple):
    """An entry of `info` that is kept."""

    name: str
    shape: tuple[int, ...]
    dtype: Any


def leaves_of(space: spaces.Space) -> Iterator[Any]:
    """The leaf spaces, in the order in which JAX flattens a value."""
    if isinstance(space, spaces.Dict):
        for name in sorted(space):
            yield from leaves_of(space[name])
    elif isinstance(space, spaces.Tuple):
        for child in space:
            yield from leaves_of(child)
    else:
        yield space


def flatten(space: spaces.Space, value: Any) -> list[Any]:
    """The leaves of a value, in that order, whatever containers the library used."""
    if isinstance(space, spaces.Dict):
        return [leaf for name in sorted(space) for leaf in flatten(space[name], value[name])]
    if isinstance(space, spaces.Tuple):
        pairs = zip(space, value, strict=True)
        return [leaf for child, part in pairs for leaf in flatten(child, part)]
    return [value]


def unflatten(space: spaces.Space, leaves: Iterator[Any]) -> Any:
    """The inverse of `flatten`."""
    if isinstance(space, spaces.Dict):
        return {name: unflatten(space[name], leaves) for name in sorted(space)}
    if isinstance(space, spaces.Tuple):
        return tuple(unflatten(child, leaves) for child in space)
    return next(leaves)


class Leaves:
    """The leaves of one space, as JAX holds them."""

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self.is_single = not isinstance(space, (spaces.Dict, spaces.Tuple))
        self.forms = [Form(leaf.shape, _canonical(leaf.dtype)) for leaf in leaves_of(space)]

    def values(self, columns: Sequence[Any]) -> list[Any]:
        """What stands in each row, of the structure of the space."""
        if self.is_single:
            return list(columns[0])
        return [unflatten(self.space, iter(leaves)) for leaves in zip(*columns, strict=True)]


class Observations(Leaves):
    """Observations as columns, and those as bytes."""

    def __init__(self, space: spaces.Space) -> None:
        super().__init__(space)
        self.num_bytes = sum(math.prod(shape) * dtype.itemsize for shape, dtype in self.forms)

    def columns(self, batch: Any) -> list[Any]:
        """The leaves of many observations, each leaf of all of them in one array.

        Args:
            batch: observations, or an array of them where the space has one leaf.

        Raises:
            ValueError: if one is not what the space says.
        """
        if self.is_single:
            return [_conformed(_joined(batch), len(batch), self.forms[0], "the observation")]
        try:
            rows = [flatten(self.space, obs) for obs in batch]
        except Exception as error:  # there is no common base of what indexing anything raises
            raise ValueError(f"the observation is not one of {self.space}: {error!r}") from error
        return [
            _conformed(_joined(column), len(batch), form, "a leaf of the observation")
            for column, form in zip(zip(*rows, strict=True), self.forms, strict=True)
        ]

    def to_bytes(self, columns: Sequence[Any]) -> Any:
        """The observations of those columns: uint8[n, num_bytes]."""
        parts = [np.ascontiguousarray(column).reshape(len(column), -1) for column in columns]
        if len(parts) == 1:
            return parts[0].view(np.uint8)
        return np.concatenate([part.view(np.uint8) for part in parts], axis=1)

    def of_bytes(self, rows: Array) -> list[Any]:
        """The inverse of `to_bytes`."""
        columns, start = [], 0
        for shape, dtype in self.forms:
            end = start + math.prod(shape) * dtype.itemsize
            leaf = np.ascontiguousarray(rows[:, start:end]).view(dtype)
            columns.append(leaf.reshape(len(rows), *shape))
            start = end
        return columns


class Actions(Leaves):
    """Reads the actions of a batch from columns, and refuses those outside the space."""

    def __init__(self, space: spaces.Space) -> None:
        super().__init__(space)
        self._readers = [_reader(leaf) for leaf in leaves_of(space)]

    def read(self, columns: Sequence[Any]) -> list[Any]:
        """The actions as instances take them, one for each lane.

        Raises:
            InvalidActionError: naming the first that lies outside the space.
        """
        if self.is_single:
            return self._readers[0](columns[0])
        read = [read(column) for read, column in zip(self._readers, columns, strict=True)]
        return [unflatten(self.space, iter(leaves)) for leaves in zip(*read, strict=True)]

    def sample(self, rng: np.random.Generator) -> Any:
        """A random action, in NumPy."""
        return unflatten(self.space, iter([_draw(leaf, rng) for leaf in leaves_of(self.space)]))


def numbers(column: Any, size: int, form: Form, what: str) -> Array:
    """Rewards or flags as a column; arrays of one number are taken for it.

    Raises:
        ValueError: if they are something else, or more than the dtype holds.
    """
    array = _joined(column)
    if array.shape == (size, 1) and form.shape == ():
        array = array.reshape(size)
    return _conformed(array, size, form, what)


def entries(infos: Sequence[Mapping[str, Any]], entry: Entry) -> Array:
    """An entry of `info` as a column; where there is none, `absent` stands for it.

    Raises:
        ValueError: if one has another shape, or does not fit its dtype.
    """
    name, shape, dtype = entry
    column = [info.get(name) for info in infos]
    what = f"info[{name!r}]"
    there = [lane for lane, value in enumerate(column) if value is not None]
    if len(there) == len(column):
        return _conformed(_joined(column), len(column), Form(shape, dtype), what)
    filled = np.full((len(column), *shape), absent(dtype), dtype)
    if there:
        values = _joined([column[lane] for lane in there])
        filled[there] = _conformed(values, len(there), Form(shape, dtype), what)
    return filled


def absent(dtype: Any) -> Any:
    """What stands for an entry of `info` that is not there: NaN, `False`, or the least integer."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return np.nan
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _joined(column: Any) -> Array:
    """Values as one array. Many arrays are joined more quickly than `np.array` does it."""
    if type(column) is np.ndarray:
        return column
    first = column[0]
    if type(first) is not np.ndarray or not first.ndim:
        return np.asarray(column)  # which raises a ValueError where shapes differ
    if set(map(type, column)) != {np.ndarray} or len(set(map(np.shape, column))) > 1:
        return np.array(column)
    return np.concatenate(column).reshape(len(column), *first.shape)


def _conformed(array: Array, size: int, form: Form, what: str) -> Array:
    """A column as it was declared; what does not fit into it is refused, and not bent.

    Raises:
        ValueError: naming the first value that does not fit.
    """
    shape, dtype = form
    if array.shape == (size, *shape) and array.dtype == dtype:
        return array
    if array.shape != (size, *shape) or array.dtype.kind not in "biuf":
        given = f"{array.dtype}{list(array.shape[1:])}"
        if array.dtype.kind not in "biufc":
            given = f"{array[0]!r:.100}" if size else given
        raise ValueError(f"{what} is {given}, where {np.dtype(dtype)}{list(shape)} was expected.")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype)
    if dtype.kind == "f":  # to be rounded does no harm
        wrong = np.isinf(cast) & ~np.isinf(array) if array.dtype.itemsize > 4 else None
    else:
        wrong = (cast.astype(array.dtype) != array) | ((cast < 0) != (array < 0))
    if wrong is not None and wrong.any():
        value = array[wrong].flat[0]
        raise ValueError(f"{what} is {value}, which {np.dtype(dtype)}{list(shape)} cannot hold.")
    return cast


def firsts(keys: Array) -> Array:
    """For each lane the first with the same key: int[n]."""
    _, places, of_lane = np.unique(keys, return_index=True, return_inverse=True)
    found: Array = places[of_lane]
    return found


def equal(one: Array, other: Any) -> Array:
    """Whether they are, row by row."""
    same: Array = (one == other).reshape(len(one), -1).all(1)
    return same


def rows_of(column: Array, lanes: Any) -> Array:
    """Those of some lanes; of one row for all, that one."""
    return column if len(column) == 1 else column[lanes]


def stretch(column: Array, size: int) -> Array:
    """One row for each lane, of one for all."""
    return column if len(column) == size else np.broadcast_to(column, (size, *column.shape[1:]))


# Actions.


def _draw(space: Any, rng: np.random.Generator) -> Any:
    if isinstance(space, spaces.Discrete):
        return int(rng.integers(int(space.low), int(space.high) + 1))
    if space.dtype.kind != "f":
        return rng.integers(space.low, space.high, endpoint=True, dtype=space.dtype)
    return rng.uniform(np.maximum(space.low, -1e3), np.minimum(space.high, 1e3)).astype(space.dtype)


def _reader(space: Any) -> Callable[[Any], list[Any]]:
    """Reads one leaf of every action: ints of `Discrete`, else arrays of the library's dtype."""

    def outside(rows: Any, bad: int) -> InvalidActionError:
        return InvalidActionError(
            f"the action {np.asarray(rows[bad]).tolist()} lies outside {space}; no environment was "
            "stepped."
        )

    if isinstance(space, spaces.Discrete):
        low, high = int(space.low), int(space.high)

        def read_discrete(rows: Any) -> list[Any]:
            values: list[int] = rows.tolist()
            if min(values) < low or max(values) > high:
                bad = next(i for i, value in enumerate(values) if not low <= value <= high)
                raise outside(rows, bad)
            return values

        return read_discrete

    least, most = _rounded_bounds(space)

    def read_array(rows: Any) -> list[Any]:
        own = np.array(rows, dtype=space.dtype)  # a copy: the rows are gone after the call
        inside = (own >= space.low) & (own <= space.high)
        if not inside.all():
            near = ((own >= least) & (own <= most)).reshape(len(own), -1).all(axis=1)
            if not near.all():
                raise outside(rows, int(np.argmin(near)))
            own = np.clip(own, space.low, space.high).astype(space.dtype)
        return list(own)

    return read_array


def _rounded_bounds(space: Any) -> tuple[Any, Any]:
    """Bounds of a space as far as what JAX computes in float32 may miss them by rounding."""
    if space.dtype.kind != "f":
        return space.low, space.high
    finite = np.where(np.isfinite([space.low, space.high]), [space.low, space.high], 0)
    margin = 4 * np.finfo(np.float32).eps * np.abs(finite).max(0)
    return space.low - margin, space.high + margin


def _canonical(dtype: Any) -> Any:
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))
