"""Actions clipped to their bounds."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.wrappers.transform_action import BoxAction


class ClipAction(BoxAction):
    """Takes actions of any size, and clips them to the bounds of the environment's actions.

    Shape and dtype are those of the environment's own actions. The bounds are those under the
    params of the call. The end of an episode changes nothing.

    Raises:
        InvalidOptionError: if the action space is not a `Box` of floats.

    Examples:
        >>> env, params = envhub.make("gymnax::Pendulum-v1", wrappers=[ClipAction])
        >>> env.env.action_space(), env.action_space()
        (Box(-2.0, 2.0, (1,), float32), Box(-inf, inf, (1,), float32))
    """

    def __init__(self, env: Environment) -> None:
        inner = self._box_of(env, env.default_params)
        anything = spaces.Box(-np.inf, np.inf, inner.shape, inner.dtype)
        super().__init__(env, jnp.clip, anything)
