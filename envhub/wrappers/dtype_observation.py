"""Observations in another dtype."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._tracing import numpy_for
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, brief
from envhub.spaces._numbers import to_dtype
from envhub.wrappers._observation import BoxObservation, mapped


def _check_dtype(name: str, value: Any) -> None:
    try:
        dtype = to_dtype(value, "biuf")
    except TypeError as error:
        raise InvalidOptionError(f"{name}={brief(value)}: {error}") from error
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise InvalidOptionError(f"{name}={dtype}: JAX needs jax_enable_x64 for it.")


class DtypeObservation(BoxObservation):
    """Converts the observation array to another dtype with `astype`.

    The shape is unchanged. The final observation of an episode, also in `info["final_obs"]`, is
    changed like any other.

    Args:
        env: the environment.
        dtype: the new dtype, such as `"float32"`.

    Raises:
        InvalidOptionError: if it is not a dtype of numbers, or JAX needs x64 mode for it.

    Examples:
        >>> wrappers = [DtypeObservation(dtype="uint8")]
        >>> env, params = envhub.make("gymnax::Catch-bsuite", wrappers=wrappers)
        >>> env.observation_space().dtype
        dtype('uint8')
    """

    checks = {"dtype": _check_dtype}  # noqa: RUF012

    def __init__(self, env: Environment, dtype: Any) -> None:
        super().__init__(env)
        self.dtype = np.dtype(dtype)
        if self.dtype.kind != "f":
            reason = f"no gradient flows through observations of {self.dtype}."
            self.capabilities = self.capabilities.without(differentiable=reason)

    def observation(self, obs: Any) -> Any:
        return obs.astype(self.dtype)

    def observation_space(self, params: Any = None) -> spaces.Space:
        def converted(bound: Any) -> Any:
            if self.dtype.kind not in "iu":
                with np.errstate(over="ignore"):  # beyond a narrower float is infinite
                    return bound.astype(self.dtype)
            limits = np.iinfo(self.dtype)
            return numpy_for(bound).clip(bound, limits.min, limits.max).astype(self.dtype)

        return mapped(self.box(params), converted)
