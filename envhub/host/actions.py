"""The actions of a batch, as columns of the leaves of their space.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub.errors import InvalidActionError
from envhub.host.protocol import Array, Form, of_leaves
from envhub.spaces._trees import leaves_of


class Leaves:
    """The leaves of one space, as JAX holds them."""

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self.is_single = not isinstance(space, (spaces.Dict, spaces.Tuple))
        self.forms = [Form(leaf.shape, _canonical(leaf.dtype)) for leaf in leaves_of(space)]

    def values(self, columns: Sequence[Any]) -> list[Any]:
        """Return the value of each row, with the structure of the space."""
        if self.is_single:
            return list(columns[0])
        return [of_leaves(self.space, iter(leaves)) for leaves in zip(*columns, strict=True)]


class Actions(Leaves):
    """Reads the actions of a batch from columns, and refuses those outside the space."""

    def __init__(self, space: spaces.Space) -> None:
        super().__init__(space)
        self._readers = [_reader(leaf) for leaf in leaves_of(space)]
        self._is_discrete = [isinstance(leaf, spaces.Discrete) for leaf in leaves_of(space)]

    def read(self, columns: Sequence[Array]) -> list[Array]:
        """Return copies of the leaves with the dtypes of the space, all lanes in one.

        Raises:
            InvalidActionError: if one lies outside the space; the message names the first one.
        """
        if self.is_single:
            return [self._readers[0](columns[0])]
        return [read(column) for read, column in zip(self._readers, columns, strict=True)]

    def values(self, columns: Sequence[Any]) -> list[Any]:
        """Return the action of each lane, as an instance takes it: an int of `Discrete`."""
        if self.is_single:
            return columns[0].tolist() if self._is_discrete[0] else list(columns[0])
        pairs = zip(self._is_discrete, columns, strict=True)
        return super().values([leaf.tolist() if plain else leaf for plain, leaf in pairs])

    def tree(self, columns: Sequence[Array]) -> Any:
        """Return the actions of all lanes as one, whose leaves have a leading axis."""
        if self.is_single:
            return columns[0]
        return of_leaves(self.space, iter(columns))


def _reader(space: Any) -> Callable[[Array], Array]:
    """Reads one leaf of all actions: a copy with the dtype of the space."""

    def outside(rows: Any, bad: int) -> InvalidActionError:
        return InvalidActionError(
            f"the action {np.asarray(rows[bad]).tolist()} lies outside {space}; no environment was "
            "stepped."
        )

    if isinstance(space, spaces.Discrete):
        low, high = int(space.low), int(space.high)

        def read_discrete(rows: Array) -> Array:
            # Without `rows.min()`, which takes twice as long for a few lanes.
            if np.minimum.reduce(rows) < low or np.maximum.reduce(rows) > high:
                raise outside(rows, int(np.argmax((rows < low) | (rows > high))))
            return np.array(rows, dtype=space.dtype)

        return read_discrete

    least, most = _rounded_bounds(space)

    def read_array(rows: Array) -> Array:
        own = np.array(rows, dtype=space.dtype)  # a copy: the rows are gone after the call
        inside = (own >= space.low) & (own <= space.high)
        if not inside.all():
            near = ((own >= least) & (own <= most)).reshape(len(own), -1).all(axis=1)
            if not near.all():
                raise outside(rows, int(np.argmin(near)))
            own = np.clip(own, space.low, space.high).astype(space.dtype)
        return own

    return read_array


def _rounded_bounds(space: Any) -> tuple[Any, Any]:
    """Return bounds of a space, widened by the rounding of JAX's float32."""
    if space.dtype.kind != "f":
        return space.low, space.high
    finite = np.where(np.isfinite([space.low, space.high]), [space.low, space.high], 0)
    margin = 4 * np.finfo(np.float32).eps * np.abs(finite).max(0)
    return space.low - margin, space.high + margin


def _canonical(dtype: Any) -> Any:
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))
