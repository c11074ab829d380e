"""Text as arrays of bytes, which JAX can hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub.spaces._arrays import Box
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._numbers import to_integers
from envhub.spaces._space import Space
from envhub.spaces._trees import leaves_of, map_space


class Text(Box):
    """Text as uint8 arrays of one length: its bytes in UTF-8, and zeros behind them.

    It is a `Box` to whatever takes one. `decode_text` gives the text back.

    Args:
        length: the number of bytes.

    Raises:
        TypeError, ValueError: If the length is not a positive integer.

    Examples:
        >>> space = envhub.spaces.Text(8)
        >>> space.shape, envhub.spaces.decode_text(np.array([103, 111, 0], np.uint8))
        ((8,), 'go')
    """

    _parameters = ("length",)
    length: int

    def __init__(self, length: int) -> None:
        (length,) = to_integers("length", [length], at_least=1)
        super().__init__(0, 255, (length,), np.uint8)
        self.__dict__["length"] = length

    def __repr__(self) -> str:
        return f"Text({self.length})"


def decode_text(array: Any) -> str:
    """Return the text that a uint8 array of a `Text` space holds.

    Args:
        array: one concrete vector of uint8; of a batch, decode each one.

    Raises:
        ValueError: If it is no such vector, or its bytes are no text.

    Examples:
        >>> decode_text(np.array([111, 107, 0, 0], np.uint8))
        'ok'
    """
    found = np.asarray(array)
    if found.dtype != np.uint8 or found.ndim != 1:
        raise ValueError(
            f"a text is one vector of uint8, got {found.dtype}{list(found.shape)}. Of a batch, "
            "decode each text: [decode_text(each) for each in batch]"
        )
    return found.tobytes().rstrip(b"\0").decode()


def has_text(space: Space) -> bool:
    """Tell whether a part of the space is text."""
    return any(isinstance(leaf, Text) for leaf in leaves_of(space))


def encode_text(space: Dict | Tuple | Space, value: Any) -> Any:
    """Return a value whose strings are arrays of bytes.

    Raises:
        ValueError: If there is something else than a string, or one longer than its space.
    """
    return map_space(_encoded, space, value)


def _encoded(leaf: Any, value: Any) -> Any:
    if not isinstance(leaf, Text):
        return value
    if not isinstance(value, str):
        raise ValueError(f"an element of {leaf} must be a string, got {value!r}")
    encoded = value.encode()
    if len(encoded) > leaf.length or "\0" in value:
        raise ValueError(
            f"an element of {leaf} must have at most {leaf.length} bytes, none of them zero, "
            f"got {len(encoded)}: {value!r}"
        )
    return np.frombuffer(encoded.ljust(leaf.length, b"\0"), np.uint8)
