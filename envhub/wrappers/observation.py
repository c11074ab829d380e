"""What wrappers of observations share."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrapper import Wrapper


class ObservationWrapper(Wrapper):
    """Changes each observation by itself, the last one of an episode as well."""

    @abc.abstractmethod
    def observation(self, obs: Any) -> Any:
        """The observation to show in the place of one."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        return self.observation(obs), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state, action, params)
        info = result.info
        if "final_obs" in info:  # of an `AutoReset` inside
            info = {**info, "final_obs": self.observation(info["final_obs"])}
        return result._replace(obs=self.observation(result.obs), info=info)


class BoxObservation(ObservationWrapper):
    """Changes arrays.

    Attributes:
        inner_space: of the observations inside, under the default params.

    Raises:
        InvalidOptionError: if observations are no arrays.
    """

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        self.inner_space = self.box(env.default_params)

    def box(self, params: Any) -> spaces.Box:
        """The space of the observations inside."""
        space = self.env.observation_space(params)
        if not isinstance(space, spaces.Box):
            raise InvalidOptionError(
                f"{type(self).__name__} takes observations that are arrays (Box), and not {space}."
            )
        return space


class ImageObservation(BoxObservation):
    """Changes pictures: uint8[height, width, 3], or uint8[height, width] where gray is taken.

    Raises:
        InvalidOptionError: if observations are no pictures.
    """

    takes_gray = True

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        shape, dtype = self.inner_space.shape, self.inner_space.dtype
        is_colour = len(shape) == 3 and shape[-1] == 3
        if dtype != np.uint8 or not (is_colour or (self.takes_gray and len(shape) == 2)):
            form = "uint8[height, width, 3]" + " or uint8[height, width]" * self.takes_gray
            raise InvalidOptionError(
                f"{type(self).__name__} takes pictures, {form}; {env} shows {self.inner_space}."
            )


def mapped(space: spaces.Box, function: Callable[[Any], Any]) -> spaces.Box:
    """The space of the arrays that a function of bounds gives."""
    low, high = function(space.low), function(space.high)
    return spaces.Box(low, high, low.shape, low.dtype)
