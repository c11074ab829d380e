"""Observations rescaled to other bounds."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._tracing import numpy_for
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._observation import BoxObservation
from envhub.wrappers._options import check_number, check_order


class RescaleObservation(BoxObservation):
    """Maps an array linearly from the bounds of its space to new bounds: float32, the same shape.

    The bounds of its space are those under the params of the call.

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        min_obs, max_obs: the new bounds.

    Raises:
        InvalidOptionError: if the new bounds are not in order, or an old bound is infinite or
            effectively infinite in float32.

    Examples:
        >>> wrappers = [RescaleObservation(min_obs=-1, max_obs=1)]
        >>> env, params = envhub.make("gymnax::Catch-bsuite", wrappers=wrappers)
        >>> env.observation_space()
        Box(-1.0, 1.0, (10, 5), float32)
    """

    checks = {  # noqa: RUF012
        "min_obs": check_number,
        "max_obs": check_number,
        ("min_obs", "max_obs"): check_order,
    }

    def __init__(self, env: Environment, min_obs: float, max_obs: float) -> None:
        super().__init__(env)
        space = self.inner_space
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        # gymnax says "unbounded" with the greatest floats there are.
        if not (high - low < np.finfo(np.float32).max).all():
            raise InvalidOptionError(f"RescaleObservation needs finite bounds; got {space}.")
        self.min_obs, self.max_obs = float(min_obs), float(max_obs)

    def observation(self, obs: Any) -> Any:
        return self.observation_under(self.default_params, obs)

    def observation_under(self, params: Any, obs: Any) -> Any:
        space = self.box(params)
        low, high = (bound.astype(np.float32) for bound in (space.low, space.high))
        width = numpy_for(low, high).where(high > low, high - low, np.float32(1))
        share = (obs.astype(jnp.float32) - low) / width
        scaled = self.min_obs + share * (self.max_obs - self.min_obs)
        return jnp.clip(scaled, self.min_obs, self.max_obs)  # where rounding leads out of them

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(self.min_obs, self.max_obs, self.inner_space.shape, np.float32)
