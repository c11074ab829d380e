"""Observations transformed by a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envhub import spaces
from envhub.environment import Environment
from envhub.wrappers._observation import ObservationWrapper
from envhub.wrappers._options import check_function, check_space


class TransformObservation(ObservationWrapper):
    """Applies a function to each observation.

    The final observation of an episode, also in `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        func: a function from an observation to the new observation, in `jax.numpy`.
        observation_space: the space of the new observations; by default the environment's own.

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
