"""Observations as vectors."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from envhub import spaces
from envhub.wrappers._observation import BoxObservation, mapped


class FlattenObservation(BoxObservation):
    """Shows the elements of an array one behind the other: one axis, of the same dtype.

    The last observation of an episode, `info["final_obs"]` too, is changed like any other.

    Examples:
        >>> env, params = envhub.make("gymnax::Catch-bsuite", wrappers=[FlattenObservation])
        >>> env.env.observation_space().shape, env.observation_space().shape
        ((10, 5), (50,))
    """

    def observation(self, obs: Any) -> Any:
        return jnp.ravel(obs)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return mapped(self.box(params), lambda bound: bound.ravel())
