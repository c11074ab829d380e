"""The base class of environments, batches and fleets: values, equal if made equally."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pickle
import threading
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

RECENT = 8  # the number of recently used values whose programs stay although they are not held

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)


def own_copy(value: Any) -> Any:
    """Copy the dicts, lists, tuples, sets and NumPy arrays of a value; all else stays the same.

    What was made with a value does not change when its caller changes the value.
    """
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) is dict:
        return {name: own_copy(each) for name, each in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(map(own_copy, value))
    return value


class Alone:
    """A key that equals no other one."""


class Value:
    """A value that equals every value made with equal arguments. It never changes.

    Equal values share compiled programs.
    """

    @functools.cached_property
    def _key(self) -> Hashable:
        """Return the key for comparisons."""
        return Alone()

    @functools.cached_property
    def _shared(self) -> Programs:
        """Return the programs that this value and its equals have compiled."""
        return programs_of(self)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Value) and self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what is held outside JAX. It may be called repeatedly."""

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class Programs:
    """The programs that equal values have compiled.

    The programs belong to a private copy, so that they outlive the first value and do not keep it
    alive.
    """

    def __init__(self, value: Value) -> None:
        self._twin = object.__new__(type(value))
        vars(self._twin).update(vars(value), _shared=self)
        self._compiled: dict[str, Any] = {}

    def get(self, name: str, build: Callable[[Any], Any]) -> Any:
        """Return the result of `build(value)` for the first of the equal values."""
        if name not in self._compiled:
            self._compiled[name] = build(self._twin)
        return self._compiled[name]


_known: weakref.WeakValueDictionary[Hashable, Programs] = weakref.WeakValueDictionary()
_recent: collections.OrderedDict[Hashable, Programs] = collections.OrderedDict()
_lock = threading.Lock()


def programs_of(value: Value) -> Programs:
    """Return the programs of a value and of its equals."""
    key = value._key
    with _lock:
        found = _known.get(key)
        if found is None:
            found = _known[key] = Programs(value)
        if not _is_of_one(key):
            _recent[key] = found
            _recent.move_to_end(key)
            if len(_recent) > RECENT:
                _recent.popitem(last=False)
    return found


def _is_of_one(key: Any) -> bool:
    """Tell whether a key is that of one living object, such as a callback environment."""
    return isinstance(key, Alone) or (isinstance(key, tuple) and any(map(_is_of_one, key)))


def key_of(value: Any) -> Hashable:  # noqa: PLR0911 (one for each kind)
    """Return a key that only equal values share: `1`, `True` and `1.0` are not equal.

    A value that cannot be compared has its own key.
    """
    kind: Any = type(value)
    if value is None or kind in (bool, int, str, bytes, complex):
        return kind, value
    if kind is float:
        return kind, value.hex()
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _key_of_array(value)
    if isinstance(value, FUNCTIONS):
        return value
    if isinstance(value, (tuple, list)):
        return kind, *map(key_of, value)
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(key_of, value))
    if isinstance(value, (dict, types.MappingProxyType)):
        items = [(key_of(name), key_of(entry)) for name, entry in value.items()]
        return dict, *sorted(items, key=repr)
    if isinstance(value, slice):  # slices are not hashable before Python 3.12
        return kind, key_of((value.start, value.stop, value.step))
    if isinstance(value, functools.partial):
        return kind, key_of(value.func), key_of(value.args), key_of(value.keywords)
    return _key_of_object(value)


def _key_of_array(array: Any) -> Hashable:
    if isinstance(array, jax.core.Tracer) or array.dtype == object:
        return Alone()
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    shown: Any = np.asarray(jax.random.key_data(array) if is_key else array)
    return np.ndarray, str(array.dtype), shown.shape, shown.tobytes()


def _key_of_object(value: Any) -> Hashable:
    kind = type(value)
    if dataclasses.is_dataclass(value):
        return kind, *(key_of(getattr(value, each.name)) for each in dataclasses.fields(value))
    try:
        own: Any = kind.__eq__
        if own is not object.__eq__:
            hash(value)
            return kind, value
        return kind, pickle.dumps(value)  # objects restored from equal bytes are equal
    except Exception:
        return Alone()
