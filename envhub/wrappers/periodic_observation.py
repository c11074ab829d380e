"""Angles as points on a circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._tracing import numpy_for
from envhub.environment import Environment
from envhub.wrappers._observation import ElementsObservation
from envhub.wrappers._options import check_different


class PeriodicObservation(ElementsObservation):
    """Replaces angles by their cosine and sine, so that a full turn makes no difference.

    Both take the place of the angle, the cosine first: `angles=[1]` turns `[x, angle, v]` into
    `[x, cos(angle), sin(angle), v]`.

    The other axes and the dtype are unchanged. The final observation of an episode, also in
    `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment, whose observations are arrays of floats.
        angles: the indices of the angles on the last axis, in radians, or a bool for each of its
            elements.

    Raises:
        InvalidOptionError: the errors of `ElementsObservation`; and if observations are not arrays
        of floats.

    Examples:
        >>> wrappers = [PeriodicObservation(angles=[2])]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> env.observation_space().shape
        (5,)
    """

    needs_floats = True

    checks = {"angles": check_different}  # noqa: RUF012

    def __init__(self, env: Environment, angles: Sequence[int] | Sequence[bool]) -> None:
        super().__init__(env, angles)
        size, count = self.inner_space.shape[-1], len(self.elements)
        places = {int(angle): size + n for n, angle in enumerate(self.elements)}
        # Of the elements, then the cosines, then the sines.
        pairs = [[places[n], places[n] + count] if n in places else [n] for n in range(size)]
        self._order = np.concatenate(pairs).astype(np.int32)

    def observation(self, obs: Any) -> Any:
        angles = obs[..., self.elements]
        return jnp.concatenate([obs, jnp.cos(angles), jnp.sin(angles)], -1)[..., self._order]

    def observation_space(self, params: Any = None) -> spaces.Space:
        box = self.box(params)
        ones = np.ones((*box.shape[:-1], 2 * len(self.elements)), box.dtype)
        low, high = (
            numpy_for(bound).concatenate([bound, edge], -1)[..., self._order]
            for bound, edge in ((box.low, -ones), (box.high, ones))
        )
        return spaces.Box(low, high, low.shape, box.dtype)
