"""Spaces: the observations and actions of an environment, in Gymnasium's terms.

Unlike Gymnasium's spaces, these hold no random state and never change. They are hashable and
compared by value, so they can be static arguments of `jax.jit`, and their methods can be traced.

A space of a 64-bit dtype can always be made. While JAX's x64 mode is off, its JAX arrays have the
corresponding 32-bit dtype, and its bounds are clipped to the range of that dtype.
"""

from envhub.spaces._arrays import Box, Discrete, MultiBinary, MultiDiscrete
from envhub.spaces._batch import batch
from envhub.spaces._gymnasium import from_gymnasium, to_gymnasium
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._space import Space
from envhub.spaces._text import Text, decode_text

__all__ = [
    "Box",
    "Dict",
    "Discrete",
    "MultiBinary",
    "MultiDiscrete",
    "Space",
    "Text",
    "Tuple",
    "batch",
    "decode_text",
    "from_gymnasium",
    "to_gymnasium",
]


def __dir__() -> list[str]:
    return sorted(__all__)
