"""Observations that are hidden at random."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._tracing import numpy_for
from envhub.environment import Environment
from envhub.wrappers._observation import RandomObservation
from envhub.wrappers._options import check_probability


class FlickeringObservation(RandomObservation):
    """Hides each observation with some probability: a hidden observation is all zeros.

    In the flickering Atari games of Hausknecht and Stone (2015), the probability is one half. The
    observation after a reset may be hidden too. For several agents, each agent's observation is
    hidden independently. A hidden observation has no gradient.

    Shape and dtype are unchanged. The final observation of an episode is hidden independently.

    Args:
        env: the environment.
        probability: the probability that an observation is hidden, at least 0 and below 1.

    Raises:
        InvalidOptionError: if the probability is out of range, or observations are not arrays.

    Examples:
        >>> wrappers = [FlickeringObservation(probability=0.5)]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> obs = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.key(0), 64), params)[0]
        >>> 0 < int((obs == 0).all(axis=1).sum()) < 64
        True
    """

    checks = {"probability": check_probability}  # noqa: RUF012

    def __init__(self, env: Environment, probability: float) -> None:
        super().__init__(env)
        self.probability = float(probability)

    def observation(self, key: jax.Array, obs: Any) -> Any:
        agents = (self.num_agents,) if self.observation_agents == "leading" else ()
        one_each = agents + (1,) * (obs.ndim - len(agents))
        is_hidden = jax.random.bernoulli(key, self.probability, one_each)
        return jnp.where(is_hidden, jnp.zeros_like(obs), obs)

    def observation_space(self, params: Any = None) -> spaces.Space:
        box = self.box(params)
        zero = np.zeros((), box.dtype)
        numpy = numpy_for(box.low, box.high)
        low, high = numpy.minimum(box.low, zero), numpy.maximum(box.high, zero)
        return spaces.Box(low, high, box.shape, box.dtype)
