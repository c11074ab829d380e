"""Columns with an entry for each instance, in forms that are fast to send and to join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Places = slice | list[int]
PLAIN = "biufcSU"  # the kinds of dtypes whose arrays consist of their bytes alone


class Joined(NamedTuple):
    """Byte strings, joined end to end."""

    sizes: list[int]
    data: Array


class Keyed(NamedTuple):
    """Dicts with the same keys, or tuples of one length, as a column for each key or place.

    Attributes:
        size: the number of dicts or tuples.
        keys: the keys of the dicts; `None` for tuples.
        columns: a compact column for each key or place.
    """

    size: int
    keys: list[Any] | None
    columns: list[Any]


def compact(column: Any) -> Any:  # noqa: PLR0911 (one for each kind)
    """Return a column as few objects: arrays with one dtype and shape become one array.

    Args:
        column: a list or tuple; any other value is returned as it is.
    """
    if type(column) not in (list, tuple):
        return column
    kinds = set(map(type, column))
    if len(kinds) != 1:
        return column
    (kind,) = kinds
    if kind is np.ndarray or issubclass(kind, np.generic):
        return _stack(column)
    if kind is bytes:
        return Joined(list(map(len, column)), np.frombuffer(b"".join(column), np.uint8))
    if kind is dict and all(each.keys() == column[0].keys() for each in column):
        keys = list(column[0])
        return Keyed(len(column), keys, [compact([each[key] for each in column]) for key in keys])
    if kind is tuple and len(set(map(len, column))) == 1:
        return Keyed(len(column), None, list(map(compact, zip(*column, strict=True))))
    return column


def expand(compacted: Any) -> Any:
    """Return the column that `compact` was given; an array stands for the list of its rows."""
    if type(compacted) is Joined:
        data = compacted.data.tobytes()
        ends = np.cumsum(compacted.sizes).tolist()
        return [data[end - size : end] for size, end in zip(compacted.sizes, ends, strict=True)]
    if type(compacted) is Keyed:
        columns = [expand(column) for column in compacted.columns]
        rows = zip(*columns, strict=True) if columns else [()] * compacted.size
        if compacted.keys is None:
            return [tuple(row) for row in rows]
        return [dict(zip(compacted.keys, row, strict=True)) for row in rows]
    return compacted


def _stack(column: Sequence[Any]) -> Any:
    shapes = {each.shape for each in column}
    dtypes = {each.dtype for each in column}
    if len(shapes) > 1 or len(dtypes) > 1 or column[0].dtype.kind not in PLAIN:
        return column
    if type(column[0]) is not np.ndarray:
        return np.array(column)
    shape = column[0].shape
    # Arrays without axes stay a list: the row of an array of numbers is a number, not an array.
    return np.concatenate(column).reshape(len(column), *shape) if shape else column


def compact_infos(infos: Any, names: Sequence[str]) -> Any:
    """Return infos as `compact` does, with these entries only; others may be large."""
    if not all(isinstance(info, Mapping) for info in infos):
        return infos
    return compact([{name: info[name] for name in names if name in info} for info in infos])


def pick(column: Any, places: Places) -> Any:
    """Return some entries of a column."""
    if isinstance(places, slice) or isinstance(column, np.ndarray):
        return column[places]
    return [column[place] for place in places]


def join(columns: Sequence[Any], places: Sequence[Places], count: int) -> Any:
    """Join several columns into one.

    Args:
        columns: lists or arrays.
        places: the places of the entries of each column in the result.
        count: the number of entries of all columns together.

    Returns:
        An array if all columns are arrays of one dtype and shape; otherwise a list.
    """
    forms = {
        (each.dtype, each.shape[1:]) if isinstance(each, np.ndarray) else None for each in columns
    }
    if len(forms) == 1 and (form := forms.pop()):
        dtype, shape = form
        array = np.empty((count, *shape), dtype)
        for column, where in zip(columns, places, strict=True):
            array[where] = column
        return array
    joined: list[Any] = [None] * count
    for column, where in zip(columns, places, strict=True):
        if isinstance(where, slice):
            joined[where] = column
        else:
            for place, entry in zip(where, column, strict=True):
                joined[place] = entry
    return joined
