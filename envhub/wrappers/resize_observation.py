"""Pictures in another size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers.observation import ImageObservation


class ResizeObservation(ImageObservation):
    """Shows pictures in another size: uint8[*shape, 3], or uint8[*shape] of gray ones.

    By `jax.image.resize`, linear and, where it shrinks, antialiased.

    Args:
        env: the environment.
        shape: height and width.

    Raises:
        InvalidOptionError: if that is no height and width.
    """

    def __init__(self, env: Environment, shape: Sequence[int]) -> None:
        super().__init__(env)
        if len(shape) != 2 or not all(type(size) is int and size > 0 for size in shape):
            raise InvalidOptionError(f"shape is a height and a width, got {shape!r}.")
        self.shape = (*shape, *self.inner_space.shape[2:])

    def observation(self, obs: Any) -> Any:
        resized = jax.image.resize(obs.astype(jnp.float32), self.shape, "linear")
        return jnp.clip(jnp.round(resized), 0, 255).astype(jnp.uint8)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(0, 255, self.shape, np.uint8)
