"""Convert between the values of a CPU library and the columns of a batch, with checks.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from envhub import spaces
from envhub.errors import InvalidActionError
from envhub.host.outcomes import Outcomes, Stacked
from envhub.host.protocol import (
    HANDLE,
    PARAMS,
    REWARD,
    SNAPSHOT,
    TERMINATED,
    TRUNCATED,
    Array,
    Columns,
    Form,
    Given,
    InfoEntry,
    Protocol,
    of_leaves,
    to_columns,
    to_leaves,
)
from envhub.host.snapshot import SnapshotForm
from envhub.spaces._trees import leaves_of

MOST = {size: float(np.finfo(f"f{size}").max) for size in (2, 4, 8)}  # by bytes of a float
NO_PARAMS = np.zeros((1, 0), np.uint32)


class Leaves:
    """The leaves of one space, as JAX holds them."""

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self.is_single = not isinstance(space, (spaces.Dict, spaces.Tuple))

    @functools.cached_property
    def forms(self) -> list[Form]:
        """The forms of the leaves in JAX. Without them, a worker need not import it."""
        import jax

        dtype = jax.dtypes.canonicalize_dtype
        return [Form(leaf.shape, np.dtype(dtype(leaf.dtype))) for leaf in leaves_of(self.space)]

    def values(self, columns: Sequence[Any]) -> list[Any]:
        """Return the value of each row, with the structure of the space."""
        if self.is_single:
            return list(columns[0])
        return [of_leaves(self.space, iter(leaves)) for leaves in zip(*columns, strict=True)]


FRAME = 1024  # bytes: the smallest that is called one


class Observations(Leaves):
    """Observations as columns, and columns as bytes."""

    @functools.cached_property
    def num_bytes(self) -> int:
        """The size of one observation."""
        return sum(math.prod(shape) * dtype.itemsize for shape, dtype in self.forms)

    @functools.cached_property
    def num_frames(self) -> int:
        """The number of frames of a stack of images along its first axis; otherwise 1."""
        count = self.forms[0].shape[0] if self.is_single and self.forms[0].shape else 1
        is_stack = self.num_bytes >= max(count, 1) * FRAME and self.num_bytes % (4 * count) == 0
        return count if is_stack else 1

    def columns(self, batch: Any) -> list[Any]:
        """Return the leaves of many observations, with one array for each leaf.

        Args:
            batch: observations; or one array of observations if the space has one leaf; or
                `Stacked`.

        Raises:
            ValueError: if an observation does not fit the space.
        """
        size = len(batch)
        if self.is_single and type(batch) is not Stacked:  # as in most steps
            return [conformed(batch, size, self.forms[0], "the observation")]
        try:
            if isinstance(batch, Stacked):
                leaves = to_leaves(self.space, batch.tree)
            else:
                leaves = to_columns(self.space, batch)
        except Exception as error:  # there is no common base of what indexing anything raises
            raise ValueError(f"the observation is not in {self.space}: {error!r}") from error
        return [
            conformed(leaf, size, form, "a leaf of the observation")
            for leaf, form in zip(leaves, self.forms, strict=True)
        ]

    def to_bytes(self, columns: Sequence[Any]) -> Any:
        """Return the observations of columns as bytes: uint8[n, num_bytes]."""
        if self.is_single:
            return np.ascontiguousarray(columns[0]).reshape(len(columns[0]), -1).view(np.uint8)
        parts = [np.ascontiguousarray(column).reshape(len(column), -1) for column in columns]
        return np.concatenate([part.view(np.uint8) for part in parts], axis=1)

    def of_bytes(self, rows: Array) -> list[Any]:
        """Return the columns that `to_bytes` was given."""
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


class Values:
    """Reads the arguments of steps and the results of instances, and checks each value.

    Args:
        protocol: the names of the arrays.
        actions, observations: those of one environment.
        snapshots: the form of snapshots; `None` for an environment without snapshots.

    Attributes:
        actions, observations, snapshots: as above.
    """

    def __init__(
        self,
        protocol: Protocol,
        actions: Actions,
        observations: Observations,
        snapshots: SnapshotForm | None,
    ) -> None:
        self.actions, self.observations, self.snapshots = actions, observations, snapshots
        self._protocol = protocol
        self._flag = protocol.shown[TERMINATED]

    def read(self, inputs: Columns, size: int) -> Given:
        """Read the arguments of a step.

        Raises:
            InvalidActionError: if an action lies outside the space.
        """
        chosen = {}
        for name in self._protocol.actions:
            column = inputs[name]
            chosen[name] = column if len(column) == size else stretch(column, size)
        handles, snapshots = inputs[HANDLE], inputs.get(SNAPSHOT)
        if len(handles) != size:
            handles = stretch(handles, size)
        if snapshots is not None and len(snapshots) != size:
            snapshots = stretch(snapshots, size)
        actions = self.actions.read(list(chosen.values()))
        return Given(handles, snapshots, chosen, actions, params_of(inputs))

    def columns(self, outcomes: Outcomes) -> Columns:
        """Return the columns of the states in which instances are now.

        After a reset they are those of `Protocol.start`.

        Raises:
            ValueError: if a value does not fit its space, or changed its form.
        """
        size, protocol = len(outcomes.obs), self._protocol
        obs = self.observations.columns(outcomes.obs)
        columns: Columns = dict(zip(protocol.obs, obs, strict=True))
        if len(outcomes.rewards):
            reward, flag = protocol.shown[REWARD], self._flag
            columns[REWARD] = conformed(outcomes.rewards, size, reward, "the reward")
            terminated = conformed(outcomes.terminated, size, flag, "terminated")
            truncated = conformed(outcomes.truncated, size, flag, "truncated")
            for name, entry in zip(protocol.info, protocol.entries, strict=True):
                columns[name] = entry_column(outcomes.infos, entry)
            columns[TERMINATED], columns[TRUNCATED] = terminated, truncated
        else:  # after a reset
            terminated = truncated = np.zeros((size, *self._flag.shape), np.bool_)
        if self.snapshots:
            packed = self.observations.to_bytes(obs)
            columns[SNAPSHOT] = self.snapshots.pack(outcomes.saved, packed, terminated, truncated)
        return columns

    def columns_of_each(
        self, outcomes: Outcomes
    ) -> tuple[list[int], Columns, dict[int, BaseException]]:
        """Return the columns of the lanes without errors.

        Returns:
            These lanes of the call, their columns, and the errors of the others.
        """
        lanes: list[int] = []
        parts: list[Columns] = []
        failures: dict[int, BaseException] = {}
        size = len(outcomes.obs)
        numbers = range(size) if outcomes.lanes is None else outcomes.lanes
        waiting = [range(size)] if size else []
        while waiting:  # halves of what does not fit, in order: many lanes fit together
            places = waiting.pop()
            try:
                parts.append(self.columns(outcomes.some(places)))
                lanes += [numbers[place] for place in places]
            except Exception as error:
                if len(places) == 1:
                    failures[numbers[places[0]]] = error
                else:
                    half = len(places) // 2
                    waiting += [places[half:], places[:half]]
        names = parts[0] if parts else ()
        joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
        return lanes, joined, failures

    def of_snapshots(self, rows: Array) -> Columns:
        """Return the columns of ended states from their snapshots: no reward, and no `info`."""
        assert self.snapshots is not None
        obs = self.observations.of_bytes(self.snapshots.obs(rows))
        terminated, truncated = self.snapshots.flags(rows)
        columns = dict(zip(self._protocol.obs, obs, strict=True))
        return columns | {SNAPSHOT: rows, TERMINATED: terminated, TRUNCATED: truncated}

    def saved(self, rows: Array) -> tuple[list[bytes], list[Any]]:
        """Return the saved bytes and the observations in snapshots."""
        assert self.snapshots is not None
        obs = self.observations.of_bytes(self.snapshots.obs(rows))
        return self.snapshots.saved(rows), self.observations.values(obs)


def params_of(inputs: Columns) -> Array:
    """Return the bits of the params: uint32[size or 1, P]."""
    return inputs[PARAMS].view(np.uint32) if PARAMS in inputs else NO_PARAMS


def stretch(column: Array, size: int) -> Array:
    """Stretch one row for all lanes to one row per lane."""
    return column if len(column) == size else np.broadcast_to(column, (size, *column.shape[1:]))


def entry_column(infos: Any, entry: InfoEntry) -> Array:
    """Return an entry of `info` (see `Outcomes`) as a column, with `absent` for missing values.

    Raises:
        ValueError: if a value has another shape, or does not fit its dtype.
    """
    name, shape, dtype = entry
    what = f"info[{name!r}]"
    if isinstance(infos, Mapping):
        return conformed(infos[name], len(infos[name]), Form(shape, dtype), what)
    if set(map(type, infos)) != {dict}:
        for info in infos:
            if not isinstance(info, Mapping):
                raise ValueError(f"info must be a dict, not {info!r:.100}")
    column = [info.get(name) for info in infos]
    there = [lane for lane, value in enumerate(column) if value is not None]
    if len(there) == len(column):
        return conformed(column, len(column), Form(shape, dtype), what)
    filled = np.full((len(column), *shape), absent(dtype), dtype)
    if there:
        values = [column[lane] for lane in there]
        filled[there] = conformed(values, len(there), Form(shape, dtype), what)
    return filled


def absent(dtype: Any) -> Any:
    """Return the value of a missing entry of `info`: NaN, `False`, or the least integer."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return np.nan
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _joined(column: Any) -> Array:
    """Join values to one array; for many arrays, this is faster than `np.array`."""
    first = column[0]
    if type(first) is not np.ndarray or not first.ndim:
        return np.asarray(column)  # which raises a ValueError where shapes differ
    if set(map(type, column)) != {np.ndarray} or len({each.shape for each in column}) > 1:
        return np.array(column)
    return np.concatenate(column).reshape(len(column), *first.shape)


def conformed(column: Any, size: int, form: Form, what: str) -> Array:
    """Convert values to the declared column; a value that does not fit is refused, not rounded.

    An array of one number counts as a number.

    Raises:
        ValueError: if a value does not fit; the message names the first one.
    """
    array = column if type(column) is np.ndarray else _joined(column)
    shape, dtype = form
    if array.dtype == dtype and array.shape == (size, *shape):
        return array
    if not shape and array.shape == (size, 1):
        array = array.reshape(size)
    if array.shape != (size, *shape) or array.dtype.kind not in "biuf":
        given = f"{array.dtype}{list(array.shape[1:])}"
        if array.dtype.kind not in "biufc":
            given = f"{array[0]!r:.100}" if size else given
        raise ValueError(f"{what} is {given}; expected {np.dtype(dtype)}{list(shape)}.")
    if dtype.kind == "f":  # to be rounded does no harm
        wrong = np.abs(array) > MOST[dtype.itemsize]
        if not wrong.any() or not (wrong := wrong & ~np.isinf(array)).any():
            return array.astype(dtype)
    else:
        with np.errstate(invalid="ignore"):  # of NaN
            cast = array.astype(dtype)
        wrong = (cast.astype(array.dtype) != array) | ((cast < 0) != (array < 0))
        if not wrong.any():
            return cast
    value = array[wrong].flat[0]
    raise ValueError(f"{what} is {value}, which {np.dtype(dtype)}{list(shape)} cannot hold.")


# Actions.


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
