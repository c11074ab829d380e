"""Reshaped observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._observation import BoxObservation, mapped


def _check_shape(name: str, shape: Any) -> None:
    sizes = shape if isinstance(shape, list | tuple) else [None]
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise InvalidOptionError(f"{name} must be a tuple of sizes, got {shape!r}.")


class ReshapeObservation(BoxObservation):
    """Reshapes the observation array; the dtype is unchanged.

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        shape: the new shape.

    Raises:
        InvalidOptionError: if the array has another number of elements.

    Examples:
        >>> wrappers = [ReshapeObservation(shape=(2, 2))]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> env.observation_space().shape
        (2, 2)
    """

    checks = {"shape": _check_shape}  # noqa: RUF012

    def __init__(self, env: Environment, shape: Sequence[int]) -> None:
        super().__init__(env)
        self.shape, inner = tuple(shape), self.inner_space.shape
        if np.prod(self.shape) != np.prod(inner):
            raise InvalidOptionError(f"observations of {inner} do not fit into {self.shape}.")

    def observation(self, obs: Any) -> Any:
        return jnp.reshape(obs, self.shape)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return mapped(self.box(params), lambda bound: bound.reshape(self.shape))
