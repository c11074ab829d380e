"""Spaces: which observations and actions an environment has, in Gymnasium's terms.

Unlike Gymnasium's, a space here holds no random state and never changes: it is hashable and
compared by value, so it can be a static argument of `jax.jit`, and its methods can be traced.

A space of a 64-bit dtype can always be made. While JAX's x64 mode is off, its JAX arrays have the
32-bit dtype that JAX has instead, and its bounds are cut to what that dtype can hold.
"""

from envhub.spaces._arrays import Box, Discrete, MultiBinary, MultiDiscrete
from envhub.spaces._batch import batch
from envhub.spaces._gymnasium import from_gymnasium, to_gymnasium
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._space import Space

__all__ = [
    "Box",
    "Dict",
    "Discrete",
    "MultiBinary",
    "MultiDiscrete",
    "Space",
    "Tuple",
    "batch",
    "from_gymnasium",
    "to_gymnasium",
]


def __dir__() -> list[str]:
    return sorted(__all__)
