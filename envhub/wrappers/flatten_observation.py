"""Observations as vectors."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub._tracing import concrete_if_known, numpy_for
from envhub.environment import Environment
from envhub.spaces._flat import flat_bounds, flatten_leaf
from envhub.spaces._trees import leaves_of
from envhub.wrappers._observation import ObservationWrapper
from envhub.wrappers._options import refuse_by_name


class FlattenObservation(ObservationWrapper):
    """Concatenates all numbers of an observation into one vector, one per agent.

    An array keeps its dtype. The entries of a `Dict` are in the order of their names, and the
    elements of a `Tuple` in their own order, in the dtype to which JAX promotes their dtypes. A
    `Discrete` or `MultiDiscrete` integer becomes one-hot. This is the order of Gymnasium's
    `flatten`.

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Examples:
        >>> env, params = envhub.make("gymnax::Catch-bsuite", wrappers=[FlattenObservation])
        >>> env.env.observation_space().shape, env.observation_space().shape
        ((10, 5), (50,))
    """

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        refuse_by_name(env, type(self).__name__)
        self._inside = leaves_of(env.observation_space(env.default_params))

    def observation(self, obs: Any) -> Any:
        pairs = zip(self._inside, jax.tree.leaves(obs), strict=True)
        return jnp.concatenate([self._row(flatten_leaf(*each)) for each in pairs], axis=-1)

    def observation_space(self, params: Any = None) -> spaces.Space:
        with concrete_if_known(params) as known:
            leaves = leaves_of(self.env.observation_space(known))
        dtype = leaves[0].dtype
        if len(leaves) > 1:
            dtype = jnp.result_type(*(jax.dtypes.canonicalize_dtype(leaf.dtype) for leaf in leaves))
        low, high = (
            numpy_for(bounds).concatenate([self._row(each.astype(dtype)) for each in bounds], -1)
            for bounds in zip(*map(flat_bounds, leaves), strict=True)
        )
        return spaces.Box(low, high, low.shape, dtype)

    def _row(self, vector: Any) -> Any:
        is_leading = self.observation_agents == "leading"
        return vector.reshape(self.num_agents, -1) if is_leading else vector
