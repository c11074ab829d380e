"""Noisy observations."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._tracing import numpy_for
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._observation import RandomObservation


def _check_scale(name: str, value: Any) -> None:
    try:
        scale = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        scale = np.full((), np.nan, np.float32)
    if not (np.isfinite(scale) & (scale >= 0)).all():
        raise InvalidOptionError(
            f"{name} must be a standard deviation, or an array of them, got {value!r}."
        )


class NoisyObservation(RandomObservation):
    """Adds independent Gaussian noise to each observation, an array of floats.

    The observation after a reset is noisy too. Nothing is clipped: an element with noise has no
    bounds.

    Shape and dtype are unchanged. The final observation of an episode has its own noise.

    Args:
        env: the environment, whose observations are arrays of floats.
        scale: the standard deviation: one number, or an array that broadcasts to the shape of an
            observation. An element with scale 0 is unchanged.

    Raises:
        InvalidOptionError: if the scale is negative, infinite or of another shape, or observations
            are not arrays of floats.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[NoisyObservation(scale=0.1)])
        >>> key = jax.random.key(0)
        >>> bool((env.reset(key, params)[0] != env.env.reset(key, params)[0]).all())
        True
    """

    needs_floats = True

    checks = {"scale": _check_scale}  # noqa: RUF012

    def __init__(self, env: Environment, scale: Any) -> None:
        super().__init__(env)
        shape = self.inner_space.shape
        try:
            self.scale = np.broadcast_to(np.asarray(scale, np.float32), shape)
        except ValueError as error:
            raise InvalidOptionError(
                f"scale={scale!r} does not broadcast to observations of {shape}."
            ) from error

    def observation(self, key: jax.Array, obs: Any) -> Any:
        return obs + self.scale.astype(obs.dtype) * jax.random.normal(key, obs.shape, obs.dtype)

    def observation_space(self, params: Any = None) -> spaces.Space:
        box, is_noisy = self.box(params), self.scale > 0
        where = numpy_for(box.low, box.high).where
        low, high = where(is_noisy, -np.inf, box.low), where(is_noisy, np.inf, box.high)
        return spaces.Box(low, high, box.shape, box.dtype)
