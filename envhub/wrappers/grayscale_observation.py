"""Grayscale images."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from envhub import spaces
from envhub.environment import Environment
from envhub.wrappers._observation import ImageObservation
from envhub.wrappers._options import check_flag

WEIGHTS = (0.2125, 0.7154, 0.0721)  # of red, green and blue, as Gymnasium's wrapper has them


class GrayscaleObservation(ImageObservation):
    """Converts RGB images to grayscale: [height, width], in the same dtype (uint8 or floats).

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        keep_dim: whether to keep an axis of size 1 for the colour.

    Raises:
        InvalidOptionError: if observations are not images of three colours.

    Examples:
        >>> options = {"observation_fn": "rgb", "wrappers": [GrayscaleObservation]}
        >>> env, params = envhub.make("navix::Navix-Empty-5x5-v0", **options)
        >>> len(env.env.observation_space().shape), len(env.observation_space().shape)
        (3, 2)
    """

    needs_colour = True
    checks = {"keep_dim": check_flag}  # noqa: RUF012

    def __init__(self, env: Environment, keep_dim: bool = False) -> None:
        super().__init__(env)
        self.keep_dim = keep_dim

    def observation(self, obs: Any) -> Any:
        gray = self.as_shown((obs.astype(jnp.float32) * jnp.array(WEIGHTS)).sum(-1))
        return gray[..., None] if self.keep_dim else gray

    def observation_space(self, params: Any = None) -> spaces.Space:
        shape = self.inner_space.shape[:2]
        return self.space_of((*shape, 1) if self.keep_dim else shape)
