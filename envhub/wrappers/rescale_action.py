"""Actions rescaled to other bounds."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._options import check_number, check_order
from envhub.wrappers.transform_action import BoxAction


class RescaleAction(BoxAction):
    """Takes actions between new bounds, and maps them linearly to the environment's own bounds.

    Shape and dtype are those of the environment's own actions. The environment's bounds are those
    under the params of the call. The end of an episode changes nothing.

    Args:
        env: the environment.
        min_action, max_action: the new bounds.

    Raises:
        InvalidOptionError: if the new bounds are not in order, the environment's bounds are
            infinite, or its actions are not arrays of floats.

    Examples:
        >>> env, params = envhub.make("gymnax::Pendulum-v1", wrappers=[RescaleAction])
        >>> env.env.action_space(), env.action_space()
        (Box(-2.0, 2.0, (1,), float32), Box(-1.0, 1.0, (1,), float32))
    """

    checks = {  # noqa: RUF012
        "min_action": check_number,
        "max_action": check_number,
        ("min_action", "max_action"): check_order,
    }

    def __init__(self, env: Environment, min_action: float = -1.0, max_action: float = 1.0) -> None:
        inner = self._box_of(env, env.default_params)
        if not (np.isfinite(inner.low).all() and np.isfinite(inner.high).all()):
            raise InvalidOptionError(f"RescaleAction needs finite bounds; got {inner}.")

        def rescaled(action: Any, low: Any, high: Any) -> jax.Array:
            scale = (high - low) / (max_action - min_action)
            # Rounding must not lead out of the bounds.
            return jnp.clip(low + (action - min_action) * scale, low, high)

        super().__init__(
            env, rescaled, spaces.Box(min_action, max_action, inner.shape, inner.dtype)
        )
