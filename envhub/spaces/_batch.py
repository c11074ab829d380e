"""The space of batches."""

from typing import overload

from envhub.spaces._arrays import ArraySpace, Box, Discrete, MultiBinary, MultiDiscrete
from envhub.spaces._late import numpy_for
from envhub.spaces._nested import Dict, Tuple
from envhub.spaces._space import Space


@overload
def batch(space: Dict, size: int) -> Dict: ...
@overload
def batch(space: Tuple, size: int) -> Tuple: ...
@overload
def batch(space: Discrete, size: int) -> MultiDiscrete: ...
@overload
def batch(space: Box | MultiBinary | MultiDiscrete, size: int) -> Box: ...
@overload
def batch(space: Space, size: int) -> Space: ...
def batch(space: Space, size: int) -> Space:
    """Return the space of batches of elements on a leading axis, as Gymnasium's `batch_space`.

    Args:
        space: the space of one element.
        size: the number of elements in a batch.

    Returns:
        A `MultiDiscrete` for a `Discrete`; for a `Dict` or a `Tuple`, the same of the batches of
        their spaces; and a `Box` for the others.

    Examples:
        >>> batch(envhub.spaces.Discrete(3), 4)
        MultiDiscrete([3 3 3 3])
    """
    if isinstance(space, Dict):
        return Dict({name: batch(child, size) for name, child in space.items()})
    if isinstance(space, Tuple):
        return Tuple(batch(child, size) for child in space)
    assert isinstance(space, ArraySpace)
    stack = numpy_for(space.low, space.high).stack
    low, high = (stack([bound] * size) for bound in (space.low, space.high))
    if isinstance(space, Discrete):
        return MultiDiscrete([space.n] * size, space.dtype, low)
    return Box(low, high, low.shape, space.dtype)
