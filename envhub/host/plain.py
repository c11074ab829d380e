"""Encode attributes of an instance as bytes, and decode them.

The bytes hold data only, so restoring them executes no code.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

GENERATOR_SIZE = 37
_LENGTH = struct.Struct("<I")
_INT = struct.Struct("<q")
_FLOAT = struct.Struct("<d")


def dump(values: Iterable[Any]) -> bytes:
    """Encode `None`, bools, 64-bit ints, floats, strings, arrays, and tuples and lists of them.

    Raises:
        TypeError: if a value has another type.
    """
    return b"".join(map(_dump, values))


def load(data: bytes) -> list[Any]:
    """Return the values that `dump` encoded, each with its own type."""
    values, start = [], 0
    while start < len(data):
        value, start = _load(data, start)
        values.append(value)
    return values


def _dump(value: Any) -> bytes:  # noqa: PLR0911 (one for each kind)
    if value is None:
        return b"n" + _INT.pack(0)  # an attribute may become a number: the size stays the same
    kind = type(value)
    if kind is float:
        return b"f" + _FLOAT.pack(value)
    if kind is int:
        return b"i" + _INT.pack(value)
    if kind is bool:
        return b"b" + _INT.pack(value)
    if isinstance(value, (np.ndarray, np.generic)):
        shape = None if isinstance(value, np.generic) else value.shape
        return _header(value.dtype, shape) + _block(value.tobytes())
    if kind is str:
        return b"s" + _block(value.encode())
    if kind in (tuple, list):
        return (b"t" if kind is tuple else b"l") + _block(dump(value))
    raise TypeError(f"{kind.__name__} cannot be part of a snapshot")


@functools.cache  # every step needs the same few headers
def _header(dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> bytes:
    """Return the bytes before the content of an array; a scalar has the shape `None`."""
    sizes = struct.pack(f"<{len(shape or ())}I", *(shape or ()))
    return (b"g" if shape is None else b"a") + _block(dtype.str.encode()) + _block(sizes)


def _load(data: bytes, start: int) -> tuple[Any, int]:
    tag, start = data[start : start + 1], start + 1
    if tag in b"nbif":
        (number,) = (_FLOAT if tag == b"f" else _INT).unpack_from(data, start)
        value = {b"n": None, b"b": bool(number)}.get(tag, number)
        return value, start + 8
    if tag in b"ga":
        dtype, start = _unblock(data, start)
        shape, start = _unblock(data, start)
        content, start = _unblock(data, start)
        array = np.frombuffer(content, np.dtype(dtype.decode())).copy()
        sizes = struct.unpack(f"<{len(shape) // 4}I", shape)
        return (array[0] if tag == b"g" else array.reshape(sizes)), start
    block, start = _unblock(data, start)
    if tag == b"s":
        return block.decode(), start
    values = load(block)
    return (tuple(values) if tag == b"t" else values), start


def _block(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _unblock(data: bytes, start: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(data, start)
    start += _LENGTH.size
    return data[start : start + length], start + int(length)


def dump_generator(rng: np.random.Generator) -> bytes:
    """Return the state of a PCG64 generator, as Gymnasium has it, in `GENERATOR_SIZE` bytes."""
    state = rng.bit_generator.state
    words = state["state"]
    data: bytes = (
        words["state"].to_bytes(16, "little")
        + words["inc"].to_bytes(16, "little")
        + struct.pack("<BI", state["has_uint32"], state["uinteger"])
    )
    return data


def load_generator(rng: np.random.Generator, data: bytes) -> None:
    """Set the state of a generator to one that `dump_generator` returned."""
    has_uint32, uinteger = struct.unpack("<BI", data[32:GENERATOR_SIZE])
    words = [int.from_bytes(data[start : start + 16], "little") for start in (0, 16)]
    rng.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": words[0], "inc": words[1]},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
