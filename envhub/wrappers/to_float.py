"""Integers scaled to floats from 0 to 1."""

from __future__ import annotations

import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers.rescale_observation import RescaleObservation


class ToFloat(RescaleObservation):
    """Scales an array of integers from the bounds of its space to [0, 1]: float32, the same shape.

    For example, it divides pixels, from 0 to 255, by 255.

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.

    Raises:
        InvalidOptionError: if observations are not arrays of integers, or have no bounds other than
            the range of int32 or a wider dtype.

    Examples:
        >>> options = {"observation_fn": "rgb", "wrappers": [ToFloat]}
        >>> env, params = envhub.make("navix::Navix-Empty-5x5-v0", **options)
        >>> env.observation_space().dtype, float(env.observation_space().high.max())
        (dtype('float32'), 1.0)
    """

    def __init__(self, env: Environment) -> None:
        space = env.observation_space(env.default_params)
        if (
            not isinstance(space, spaces.Box)
            or space.dtype.kind not in "iu"
            or _is_unbounded(space)
        ):
            raise InvalidOptionError(
                f"ToFloat needs bounded arrays of integers; got {space}. "
                "RescaleObservation(min_obs=0, max_obs=1) takes bounded floats."
            )
        super().__init__(env, min_obs=0.0, max_obs=1.0)


def _is_unbounded(space: spaces.Box) -> bool:
    """Tell whether a bound is the end of a wide dtype, which means that there is no bound."""
    limits = np.iinfo(space.dtype)
    is_end = (space.high == limits.max) | ((space.low == limits.min) & (space.low < 0))
    return limits.bits >= 32 and bool(is_end.any())
