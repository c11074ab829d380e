"""Convert spaces from and to Gymnasium's."""

from typing import Any

import numpy as np

from envhub.spaces._arrays import Box, Discrete, MultiBinary, MultiDiscrete
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._numbers import to_array
from envhub.spaces._space import Space
from envhub.spaces._text import Text

LONGEST_TEXT = 256
"""The bytes of text of a space that does not say how long it is, such as MiniGrid's missions."""


def from_gymnasium(space: Any, *, strings: bool = False) -> Space:
    """Converts a Gymnasium space to the space of the same name here.

    Args:
        space: A Gymnasium space.
        strings: Whether to convert spaces of text too. Their values are strings, which the caller
            must then encode as arrays of bytes.

    Raises:
        TypeError: If there is no space of that name here (Graph, ...; Text, if `strings` is
            false), also for inner spaces.

    Examples:
        >>> import gymnasium
        >>> from_gymnasium(gymnasium.spaces.Box(0, 1, (3,)))
        Box(0.0, 1.0, (3,), float32)
    """
    from gymnasium import spaces as gym

    for kind in (Box, Discrete, MultiDiscrete, MultiBinary):
        if isinstance(space, getattr(gym, kind.__name__)):
            return kind(*(getattr(space, name) for name in kind._parameters))
    if isinstance(space, gym.Dict):
        return Dict(
            {name: from_gymnasium(child, strings=strings) for name, child in space.spaces.items()}
        )
    if isinstance(space, gym.Tuple):
        return Tuple(from_gymnasium(child, strings=strings) for child in space.spaces)
    if strings and space.dtype is not None and np.dtype(space.dtype).kind == "U":
        return Text(_bytes_of(space) if isinstance(space, gym.Text) else LONGEST_TEXT)
    raise TypeError(
        f"cannot convert a {type(space).__name__} space: its values are not a fixed structure of "
        "arrays of fixed shapes and dtypes, as JAX needs"
    )


def to_gymnasium(space: Space) -> Any:
    """Converts a space to the Gymnasium space of the same name.

    Raises:
        TypeError: If the class of `space` is not one of this package.
        ValueError: If `n` or `nvec` does not fit in the space's dtype, which Gymnasium requires.

    Examples:
        >>> to_gymnasium(envhub.spaces.Box(0, 1, (3,)))
        Box(0.0, 1.0, (3,), float32)
    """
    from gymnasium import spaces as gym

    if isinstance(space, Dict):
        return gym.Dict({name: to_gymnasium(child) for name, child in space.items()})
    if isinstance(space, Tuple):
        return gym.Tuple(map(to_gymnasium, space))
    if isinstance(space, Text):
        return gym.Box(space.low, space.high, space.shape, space.dtype)
    if not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        raise TypeError(f"cannot convert a {type(space).__name__}: Gymnasium has no such space")
    if isinstance(space, Discrete | MultiDiscrete):
        counts = space.n if isinstance(space, Discrete) else space.nvec
        to_array("n or nvec, which Gymnasium keeps in the dtype,", counts, space.dtype)
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


def _bytes_of(space: Any) -> int:
    """The most bytes of a text in a Gymnasium `Text` space."""
    widest = max(len(character.encode()) for character in space.character_set)
    return int(space.max_length) * widest
