"""Convert options of environments to JSON and back.

The JSON holds data, and the names of functions and classes.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub.errors import InvalidOptionError

PLAIN = (bool, int, float, str, type(None))


def encode(name: str, value: Any) -> Any:  # noqa: PLR0911 (one for each kind)
    """Return a value as JSON can hold it.

    Args:
        name: the name of the option, for errors.
        value: the value.

    Raises:
        InvalidOptionError: if JSON cannot hold it; the message names the option.
    """
    if type(value) in PLAIN:
        return value
    if type(value) is list:
        return [encode(name, each) for each in value]
    if type(value) is tuple:
        return {"tuple": [encode(name, each) for each in value]}
    if isinstance(value, (dict, MappingProxyType)) and all(isinstance(key, str) for key in value):
        return {"dict": {key: encode(key, each) for key, each in value.items()}}
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _encode_array(name, value)
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    named = _name_of(value)
    if named:
        return {"object": named}
    maker, arguments = _parts(name, value)
    return {"make": _name_of(maker), "of": [encode(name, each) for each in arguments]}


def decode(coded: Any) -> Any:  # noqa: PLR0911 (one for each kind)
    """Return the value that `encode` was given."""
    if isinstance(coded, list):
        return [decode(each) for each in coded]
    if not isinstance(coded, dict):
        return coded
    kind = next(iter(coded))
    content = coded[kind]
    if kind == "tuple":
        return tuple(map(decode, content))
    if kind == "dict":
        return {key: decode(each) for key, each in content.items()}
    if kind == "array":
        array = np.array(content, coded["dtype"]).reshape(coded["shape"])
        return array if coded["shape"] or not coded["scalar"] else array[()]
    if kind == "dtype":
        return np.dtype(content)
    if kind == "object":
        return _find(content)
    if kind == "make":
        return _make(_find(content), [decode(each) for each in coded["of"]])
    raise ValueError(f"there is no {kind!r}")


def _encode_array(name: str, value: Any) -> Any:
    if value.dtype == object or jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        raise InvalidOptionError(f"{name}={value!r} cannot be written as JSON.")
    array = np.asarray(value)
    return {
        "array": array.tolist(),
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "scalar": isinstance(value, np.generic),
    }


def _name_of(value: Any) -> str:
    """Return the place of a function or class; empty if its name does not lead to it."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if module and name:
        try:
            named = f"{module}:{name}"
            return named if _find(named) is value else ""
        except (ImportError, AttributeError):
            return ""
    return ""


def _find(named: str) -> Any:
    module, _, name = named.partition(":")
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_data(kind: Any) -> bool:
    """Tell whether a class only holds data, so that making an instance runs no other code."""
    from envhub.spaces import Space
    from envhub.spec import WrapperSpec

    if not isinstance(kind, type):
        return False
    is_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    known = (Space, WrapperSpec, pathlib.PurePath, slice)
    return is_tuple or issubclass(kind, known) or dataclasses.is_dataclass(kind)


def _parts(name: str, value: Any) -> tuple[Any, list[Any]]:
    """Return the class of a value, and the arguments with which it makes the value."""
    kind = type(value)
    if _is_data(kind) and _name_of(kind):
        if dataclasses.is_dataclass(value):
            return kind, [getattr(value, field.name) for field in dataclasses.fields(value)]
        if isinstance(value, pathlib.PurePath):
            return kind, [str(value)]
        if isinstance(value, tuple):
            return kind, list(value)
        if isinstance(value, slice):
            return kind, [value.start, value.stop, value.step]
        return kind, list(value.__reduce__()[1])  # a space
    raise InvalidOptionError(
        f"{name}={value!r} cannot be written as JSON: give data, or a function or class at the "
        "top level "
        "of a module."
    )


def _make(kind: Any, arguments: list[Any]) -> Any:
    if not _is_data(kind):
        raise ValueError(f"{kind!r} is not data")
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        made: Any = kind
        return made(**dict(zip(names, arguments, strict=True)))
    return kind(*arguments)
