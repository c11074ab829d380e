"""Convert spaces from and to Gymnasium's."""

from typing import Any

from envhub.spaces._arrays import Box, Discrete, MultiBinary, MultiDiscrete
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._numbers import to_array
from envhub.spaces._space import Space


def from_gymnasium(space: Any) -> Space:
    """Converts a Gymnasium space to the space of the same name here.

    Raises:
        TypeError: If there is no space of that name here (Text, Graph, ...), also for inner spaces.

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
        return Dict({name: from_gymnasium(child) for name, child in space.spaces.items()})
    if isinstance(space, gym.Tuple):
        return Tuple(map(from_gymnasium, space.spaces))
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
