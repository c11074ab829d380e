"""Resized images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._observation import ImageObservation


def _check_shape(name: str, shape: Any) -> None:
    sizes = shape if isinstance(shape, list | tuple) else []
    if len(sizes) != 2 or not all(type(size) is int and size > 0 for size in sizes):
        raise InvalidOptionError(f"{name} must be a height and a width, got {shape!r}.")


class ResizeObservation(ImageObservation):
    """Resizes images of uint8 or floats: [*shape, channels], or [*shape].

    It uses `jax.image.resize` with linear interpolation, antialiased when it shrinks. The dtype is
    unchanged.

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        shape: height and width.

    Raises:
        InvalidOptionError: if `shape` is not a height and a width, or observations are not images.

    Examples:
        >>> options = {"observation_fn": "rgb", "wrappers": [ResizeObservation(shape=(84, 84))]}
        >>> env, params = envhub.make("navix::Navix-Empty-5x5-v0", **options)
        >>> env.observation_space()
        Box(0, 255, (84, 84, 3), uint8)
    """

    checks = {"shape": _check_shape}  # noqa: RUF012

    def __init__(self, env: Environment, shape: Sequence[int]) -> None:
        super().__init__(env)
        self.shape = (*shape, *self.inner_space.shape[2:])

    def observation(self, obs: Any) -> Any:
        resized = jax.image.resize(obs.astype(jnp.float32), self.shape, "linear")
        return self.as_shown(jnp.round(resized) if obs.dtype == jnp.uint8 else resized)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self.space_of(self.shape)
