"""Continuous observations as discrete observations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._tracing import numpy_for
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._observation import BoxObservation
from envhub.wrappers._options import check_bins, check_flag


class DiscretizeObservation(BoxObservation):
    """Divides the range of each number of an observation into equal bins, and shows bin indices.

    An observation is `Discrete`, one index for the bins of all numbers in row-major order (the last
    varies fastest), or `MultiDiscrete` with the shape of the environment's own observations. The
    ranges are those of the space under the params of the call; a number outside its range is in the
    nearest bin.

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        bins: the number of bins, at least 1: one number for all, or a sequence with one for each.
        multidiscrete: whether observations are `MultiDiscrete`.

    Raises:
        InvalidOptionError: if observations are not arrays or have infinite bounds, or `bins` does
            not fit them; or, for `Discrete`, if there are too many observations for an int32 or
            several agents.

    Examples:
        >>> wrappers = [DiscretizeObservation(bins=10)]
        >>> env, params = envhub.make("gymnax::MountainCar-v0", wrappers=wrappers)
        >>> env.observation_space(), env.reset(jax.random.key(0), params)[0].item()
        (Discrete(100), 45)
    """

    checks = {"bins": check_bins, "multidiscrete": check_flag}  # noqa: RUF012

    def __init__(
        self, env: Environment, bins: int | Sequence[int], multidiscrete: bool = False
    ) -> None:
        super().__init__(env)
        inner = self.inner_space
        if not (np.isfinite(inner.low).all() and np.isfinite(inner.high).all()):
            raise InvalidOptionError(
                f"DiscretizeObservation needs finite bounds, not {inner}. MaskObservation inside "
                "of it leaves out what has none."
            )
        counts = np.asarray(bins)
        if counts.shape != () and counts.size != inner.low.size:
            raise InvalidOptionError(
                f"bins must be a positive integer, or {inner.low.size} of them, got {bins!r}."
            )
        self._counts = np.broadcast_to(counts.ravel(), inner.low.size)
        self._is_flat = not multidiscrete
        if self._is_flat and (
            self.observation_agents == "leading" or math.prod(self._counts.tolist()) >= 2**31
        ):
            raise InvalidOptionError(
                f"the bins of {inner} as one number are those of several agents, or too many for "
                "an int32: give multidiscrete=True."
            )
        self.capabilities = env.capabilities.without(
            differentiable="DiscretizeObservation shows integers."
        )

    def observation(self, obs: Any) -> Any:
        return self.observation_under(self.default_params, obs)

    def observation_under(self, params: Any, obs: Any) -> Any:
        numbers = jnp.ravel(obs).astype(jnp.float32)[:, None]
        places = jnp.sum(numbers >= self._edges(self.box(params)), axis=1, dtype=jnp.int32)
        if not self._is_flat:
            return places.reshape(self.inner_space.shape)
        strides = np.cumprod([1, *self._counts[:0:-1]])[::-1].astype(np.int32)
        return jnp.sum(places * strides, dtype=jnp.int32)

    def observation_space(self, params: Any = None) -> spaces.Space:
        if self._is_flat:
            return spaces.Discrete(math.prod(self._counts.tolist()))
        return spaces.MultiDiscrete(self._counts.reshape(self.inner_space.shape))

    def _edges(self, space: spaces.Box) -> Any:
        """Return the edges between bins: float32[size, most bins - 1], padded with inf."""
        xp = numpy_for(space.low, space.high)
        low, high = (bound.ravel()[:, None] for bound in (space.low, space.high))
        if xp is np:
            low, high = low.astype(np.float64), high.astype(np.float64)
        number = np.arange(1, max(self._counts), dtype=np.int32)
        count = self._counts[:, None].astype(np.int32)
        edges = xp.where(number < count, low + (high - low) * (number / count), np.inf)
        near = edges.astype(np.float32)
        # A float32 is beyond an edge if it is not below the least float32 that is.
        return xp.where(near < edges, xp.nextafter(near, np.float32(np.inf)), near)
