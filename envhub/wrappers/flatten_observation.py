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
from envhub.wrappers._by_name import each_agent, each_space
from envhub.wrappers._observation import ObservationWrapper


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
        self._inside = env.observation_space(env.default_params)

    def observation(self, obs: Any) -> Any:
        return each_agent(self, self._vector, self._inside, obs)

    def _vector(self, inside: spaces.Space, obs: Any) -> Any:
        pairs = zip(leaves_of(inside), jax.tree.leaves(obs), strict=True)
        return jnp.concatenate([self._row(flatten_leaf(*each)) for each in pairs], axis=-1)

    def observation_space(self, params: Any = None) -> spaces.Space:
        with concrete_if_known(params) as known:
            inside = self.env.observation_space(known)
        return each_space(self, self._box, inside)

    def _box(self, inside: spaces.Space) -> spaces.Space:
        leaves = leaves_of(inside)
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
