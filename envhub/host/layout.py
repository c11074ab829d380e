"""Between the values of a CPU library and the rows of a batch: actions in, observations out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from numpy import ndarray

from envhub import spaces
from envhub.errors import InvalidActionError


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


class Forms:
    """Shapes and dtypes of the leaves of one space, as JAX holds them."""

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self.forms = [(leaf.shape, _canonical(leaf.dtype)) for leaf in leaves_of(space)]

    def __len__(self) -> int:
        return len(self.forms)


class Observations(Forms):
    """Writes observations into rows, and refuses those of a wrong shape or dtype."""

    def __init__(self, space: spaces.Space, first: Any) -> None:
        super().__init__(space)
        self._single = len(self) == 1 and not isinstance(space, (spaces.Dict, spaces.Tuple))
        # Libraries are not exact about dtypes, but they are expected not to change their mind.
        self._kinds = [np.asarray(leaf).dtype for leaf in flatten(space, first)]
        self._shape = self.forms[0][0] if self._single else None
        self._dtype = self._kinds[0]
        self._joined = (self._shape or ())[1:], self._dtype
        self.num_bytes = sum(
            int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in self.forms
        )

    def columns(self, batch: Any) -> list[Any]:
        """The leaves of many observations, each leaf of all of them in one array.

        Args:
            batch: observations, or an array of them where the space has one leaf.

        Raises:
            ValueError: if one is not of the shape and dtype expected; see `leaves`.
        """
        if type(batch) is ndarray and (batch.shape[1:], batch.dtype) == (self._shape, self._dtype):
            return [batch]
        if self._shape and set(map(type, batch)) == {ndarray}:  # nearly always, in every step
            # Arrays of other axes behind the first, or of another number of them, are not joined.
            joined = np.concatenate(batch) if set(map(len, batch)) == {self._shape[0]} else None
            if joined is not None and (joined.shape[1:], joined.dtype) == self._joined:
                return [joined.reshape(-1, *self._shape)]
        rows = [self.leaves(obs) for obs in batch]
        return [np.array(column) for column in zip(*rows, strict=True)]

    def bytes_of(self, columns: Sequence[Any]) -> Any:
        """The observations of those columns as bytes: uint8[n, num_bytes]."""
        parts = [
            np.ascontiguousarray(column, dtype).reshape(len(column), -1).view(np.uint8)
            for column, (_, dtype) in zip(columns, self.forms, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def leaves(self, obs: Any) -> Sequence[Any]:
        """The leaves of an observation, checked.

        Raises:
            ValueError: naming what was expected.
        """
        if type(obs) is ndarray and obs.shape == self._shape and obs.dtype is self._dtype:
            return (obs,)  # nearly always, and in every step
        leaves = [obs] if self._single else flatten(self.space, obs)
        for leaf, (shape, _), dtype in zip(leaves, self.forms, self._kinds, strict=True):
            array = leaf if isinstance(leaf, np.ndarray) else np.asarray(leaf)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(
                    f"the observation is {array.dtype}{list(array.shape)}, where it was "
                    f"{dtype}{list(shape)} before."
                )
        return leaves

    def pack(self, leaves: Sequence[Any]) -> bytes:
        """The leaves as bytes."""
        pairs = zip(leaves, self.forms, strict=True)
        return b"".join(np.asarray(leaf, dtype).tobytes() for leaf, (_, dtype) in pairs)

    def unpack(self, packed: bytes) -> list[Any]:
        """The inverse of `pack`."""
        leaves, start = [], 0
        for shape, dtype in self.forms:
            count = int(np.prod(shape))
            leaf = np.frombuffer(packed, dtype, count, start).reshape(shape)
            leaves.append(leaf)
            start += leaf.nbytes
        return leaves

    def value(self, leaves: Sequence[Any]) -> Any:
        """The observation with these leaves."""
        return unflatten(self.space, iter(leaves))


class Actions(Forms):
    """Reads the actions of a batch from rows, and refuses those outside the space."""

    def __init__(self, space: spaces.Space) -> None:
        super().__init__(space)
        self._readers = [_reader(leaf) for leaf in leaves_of(space)]
        self._single = len(self) == 1 and not isinstance(space, (spaces.Dict, spaces.Tuple))

    def read(self, rows: Sequence[Any]) -> list[Any]:
        """The actions, one an environment.

        Raises:
            InvalidActionError: naming the first that lies outside the space.
        """
        columns = [read(row) for read, row in zip(self._readers, rows, strict=True)]
        if self._single:
            return columns[0]
        return [unflatten(self.space, iter(leaves)) for leaves in zip(*columns, strict=True)]

    def sample(self, rng: np.random.Generator) -> Any:
        """A random action, in NumPy."""
        return unflatten(self.space, iter([_draw(leaf, rng) for leaf in leaves_of(self.space)]))


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

    def read_array(rows: Any) -> list[Any]:
        own = np.array(rows, dtype=space.dtype)  # a copy: the rows are gone after the call
        inside = ((own >= space.low) & (own <= space.high)).reshape(len(own), -1).all(axis=1)
        if not inside.all():
            raise outside(rows, int(np.argmin(inside)))
        return list(own)

    return read_array


def _canonical(dtype: Any) -> Any:
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))
