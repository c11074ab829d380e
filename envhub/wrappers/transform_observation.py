"""Observations as a function makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envhub import spaces
from envhub.environment import Environment
from envhub.wrappers._observation import ObservationWrapper
from envhub.wrappers._options import check_function, check_space


class TransformObservation(ObservationWrapper):
    """Shows what a function makes of the observation.

    The last observation of an episode, `info["final_obs"]` too, is changed like any other.

    Args:
        env: the environment.
        func: from an observation to what is shown, in `jax.numpy`.
        observation_space: of what is shown; by default as before.

    Examples:
        >>> wrappers = [TransformObservation(func=jnp.abs)]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> bool((env.reset(jax.random.key(0), params)[0] >= 0).all())
        True
    """

    checks = {"func": check_function, "observation_space": check_space}  # noqa: RUF012

    def __init__(
        self,
        env: Environment,
        func: Callable[[Any], Any],
        observation_space: spaces.Space | None = None,
    ) -> None:
        super().__init__(env)
        self._func, self._space = func, observation_space

    def observation(self, obs: Any) -> Any:
        return self._func(obs)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self._space or self.env.observation_space(params)
