"""The bases of wrappers of observations."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._tracing import concrete_if_known
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._base import Wrapper


class ObservationWrapper(Wrapper):
    """Changes each observation by itself, including the final observation of an episode."""

    @abc.abstractmethod
    def observation(self, obs: Any) -> Any:
        """Compute the new observation from the inner one."""

    def observation_under(self, params: Any, obs: Any) -> Any:
        """Compute the new observation; override this if it depends on the params."""
        return self.observation(obs)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        return self.observation_under(params, obs), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state, action, params)
        info = result.info
        if "final_obs" in info:  # of an `AutoReset` inside
            info = {**info, "final_obs": self.observation_under(params, info["final_obs"])}
        return result._replace(obs=self.observation_under(params, result.obs), info=info)


class BoxWrapper(Wrapper):
    """Needs observations that are arrays.

    Attributes:
        inner_space: the space of the inner observations, under the default params.

    Raises:
        InvalidOptionError: if observations are not arrays, or are not floats and the wrapper
            needs floats.
    """

    needs_floats = False

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        self.inner_space = self.box(env.default_params)

    def box(self, params: Any) -> spaces.Box:
        """Return the space of the inner observations."""
        with concrete_if_known(params) as known:
            space = self.env.observation_space(known)
        name = type(self).__name__
        if not isinstance(space, spaces.Box):
            by_name = (
                " TransformObservation takes a function of the dict of all agents."
                if self.observation_agents == "by_name"
                else ""
            )
            raise InvalidOptionError(
                f"{name} needs array (Box) observations; got {space}.{by_name}"
            )
        if self.needs_floats and space.dtype.kind != "f":
            raise InvalidOptionError(
                f"{name} needs arrays of floats as observations; got {space}. "
                "Put a DtypeObservation inside it to convert them."
            )
        return space


class BoxObservation(BoxWrapper, ObservationWrapper):
    """Changes arrays, each by itself."""


class ElementsObservation(BoxObservation):
    """Changes some elements of the last axis of arrays.

    Attributes:
        elements: the indices of these elements.

    Raises:
        InvalidOptionError: if they are not indices or a mask of that axis, are empty, or repeat an
            index.
    """

    def __init__(self, env: Environment, chosen: Any) -> None:
        super().__init__(env)
        shape = self.inner_space.shape
        if len(shape) < (2 if self.observation_agents == "leading" else 1):
            raise InvalidOptionError(
                f"{type(self).__name__} needs arrays with at least one axis; got "
                f"{self.inner_space}."
            )
        elements: Any = np.empty(0)
        with contextlib.suppress(IndexError, TypeError, ValueError):
            elements = np.arange(shape[-1], dtype=np.int32)[np.asarray(chosen)]
        if elements.ndim != 1 or not 0 < len(np.unique(elements)) == elements.size:
            raise InvalidOptionError(
                f"{type(self).__name__} needs different indices below {shape[-1]}, or a list of "
                f"{shape[-1]} bools; got {chosen!r}."
            )
        self.elements = elements


class RandomObservation(BoxWrapper):
    """Changes arrays randomly, each with its own key, including final observations.

    Outside an `AutoReset`, the final observation of an episode and the first of the next are
    changed independently. In steps without an end, `info["final_obs"]` equals the changed
    observation.
    """

    @abc.abstractmethod
    def observation(self, key: jax.Array, obs: Any) -> Any:
        """Compute the new observation from the inner one."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        reset_key, own_key = jax.random.split(key)
        obs, state = self.env.reset(reset_key, params)
        return self.observation(own_key, obs), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        step_key, own_key = jax.random.split(key)
        result = self.env.step(step_key, state, action, params)
        obs = self.observation(own_key, result.obs)
        info = result.info
        if "final_obs" in info:  # of an `AutoReset` inside
            last = self.observation(jax.random.fold_in(own_key, 1), info["final_obs"])
            obs = jnp.where(jnp.all(result.done), obs, last)
            info = {**info, "final_obs": last}
        return result._replace(obs=obs, info=info)


class ImageObservation(BoxObservation):
    """Changes images of uint8 or floats: [height, width, channels], or [height, width].

    Attributes:
        needs_colour: whether images need the three channels red, green and blue.

    Raises:
        InvalidOptionError: if observations are not images.
    """

    needs_colour = False

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        space = self.inner_space
        if self.needs_colour:
            fits, form = len(space.shape) == 3 and space.shape[-1] == 3, "[height, width, 3]"
        else:
            fits, form = len(space.shape) in (2, 3), "[height, width, channels] or [height, width]"
        if not fits or not (space.dtype == np.uint8 or space.dtype.kind == "f"):
            raise InvalidOptionError(
                f"{type(self).__name__} needs images, {form} of uint8 or floats; {env} has {space}."
            )

    def as_shown(self, picture: jax.Array) -> jax.Array:
        """Convert floats to values of the space: in its dtype and within its bounds."""
        space = self.inner_space
        return jnp.clip(picture, space.low.min(), space.high.max()).astype(space.dtype)

    def space_of(self, shape: tuple[int, ...]) -> spaces.Box:
        """Return the space of images of another shape."""
        space = self.inner_space
        return spaces.Box(space.low.min(), space.high.max(), shape, space.dtype)


def mapped(space: spaces.Box, function: Callable[[Any], Any]) -> spaces.Box:
    """Return the space whose bounds a function computes from the old bounds."""
    low, high = function(space.low), function(space.high)
    return spaces.Box(low, high, low.shape, low.dtype)
