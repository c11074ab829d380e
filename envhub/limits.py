"""Separate termination from truncation, for suites with one flag for both: step them twice."""

import copy
import dataclasses
from typing import Any, TypeVar

import numpy as np

__all__ = ["NO_LIMIT", "with_limit"]

NO_LIMIT: int = np.iinfo(np.int32).max
"""What no episode reaches, of the dtype that steps are counted in."""

T = TypeVar("T")


def with_limit(holder: T, field: str, limit: Any) -> T:
    """What holds an episode limit, with another one.

    A suite that has one flag for both says `terminated` in the same step with `NO_LIMIT`. XLA
    computes once what the two steps have in common.

    Args:
        holder: the params, a dataclass, or the suite's own environment that reads the limit from an
            attribute; it stays as it is.
        field: the name of the limit there.
        limit: int32[], which may be traced.

    Returns:
        A copy, which shares all else.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> longer = with_limit(params, "max_steps_in_episode", envhub.limits.NO_LIMIT)
        >>> int(longer.max_steps_in_episode), int(params.max_steps_in_episode)
        (2147483647, 500)
    """
    if dataclasses.is_dataclass(holder) and not isinstance(holder, type):
        return dataclasses.replace(holder, **{field: limit})
    other = copy.copy(holder)
    setattr(other, field, limit)
    return other
