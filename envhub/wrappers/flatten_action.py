"""Multi-part actions as one integer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers.transform_action import TransformAction


class FlattenAction(TransformAction):
    """Takes one integer for a `MultiDiscrete` action: its index in row-major order.

    The actions are `Discrete(n)`, where `n` is the product of the sizes. An action out of range
    stands for the nearest one.

    The end of an episode changes nothing.

    Raises:
        InvalidOptionError: if actions are not `MultiDiscrete`, there are too many for an int32, or
            there are several agents.

    Examples:
        >>> bins = envhub.wrappers.DiscretizeAction(bins=5, multidiscrete=True)
        >>> env, params = envhub.make("gymnax::Pendulum-v1", wrappers=[bins, FlattenAction])
        >>> env.env.action_space(), env.action_space()
        (MultiDiscrete([5]), Discrete(5))
    """

    def __init__(self, env: Environment) -> None:
        inner = env.action_space(env.default_params)
        if not isinstance(inner, spaces.MultiDiscrete):
            raise InvalidOptionError(
                f"FlattenAction needs a MultiDiscrete action space; got {inner}."
            )
        flat, parts_of = flattened(env, inner)
        super().__init__(env, lambda action: parts_of(action) + inner.start, flat)


def flattened(
    env: Environment, space: spaces.MultiDiscrete
) -> tuple[spaces.Discrete, Callable[[Any], jax.Array]]:
    """Number the actions of a space in row-major order; also return the map from number to parts.

    The parts count from 0, for any `start` of the space.

    Raises:
        InvalidOptionError: if there are too many for an int32, or if there are several agents.
    """
    sizes = tuple(space.nvec.ravel().tolist())
    count = math.prod(sizes)
    if env.observation_agents != "none":
        raise InvalidOptionError(
            f"numbering actions needs one agent; {env} has {env.num_agents} agents."
        )
    if count > np.iinfo(np.int32).max:
        raise InvalidOptionError(f"{space} has {count} actions, more than an int32 can number.")

    def parts_of(action: Any) -> jax.Array:
        number = jnp.clip(action, 0, count - 1)
        return jnp.stack(jnp.unravel_index(number, sizes)).reshape(space.shape)

    return spaces.Discrete(count), parts_of
