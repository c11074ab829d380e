"""Separate termination from truncation, for suites with one flag for both: step them twice."""

import copy
import dataclasses
from typing import Any, TypeVar

import numpy as np

__all__ = ["NO_LIMIT", "with_limit"]

NO_LIMIT: int = np.iinfo(np.int32).max
"""A limit that no episode reaches, in the dtype of step counts."""

T = TypeVar("T")


def with_limit(holder: T, field: str, limit: Any) -> T:
    """Return a copy of params, or of a suite's environment, with another episode limit.

    If a suite has one flag for both ends, its flag in the same step with `NO_LIMIT` is
    `terminated`. XLA computes the common parts of the two steps only once.

    Args:
        holder: the params, a dataclass, or the suite's own environment that reads the limit from an
            attribute; it is not changed.
        field: the name of the field or attribute.
        limit: int32[], which may be traced.

    Returns:
        A copy, which shares everything else.

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
