"""One environment as a `dm_env.Environment`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.export.checks import check_one_episode, load
from envhub.export.copies import Copied
from envhub.export.driver import Driver


def to_dm_env(env: Environment, params: Any = None, *, seed: int | None = None) -> Any:
    """Make a `dm_env.Environment` of an environment.

    The first `step`, and the one after the end of an episode, ignores its action and resets.
    Observations are NumPy arrays of the dtypes of the specs, rewards and discounts floats. The
    discount of a step is 0 where the episode terminated, and 1 elsewhere, at a limit too. `info` is
    left out. A `Discrete` space that counts from 0 is a `DiscreteArray`, a `Box` without any bounds
    an `Array`, other spaces are a `BoundedArray`, and a `Dict` and a `Tuple` are a dict and a tuple
    of specs. An action of another structure, shape or kind, or an integer out of bounds, is
    `InvalidActionError`. `close()` closes the environment.

    Args:
        env: one environment of one agent, without `AutoReset`.
        params: those of all calls; by default its default params.
        seed: the first episode is that of `env.reset(jax.random.split(jax.random.key(seed))[1])`;
            by default a random one.

    Raises:
        InvalidOptionError: if the environment is none of those.
        MissingDependencyError: if dm_env is not installed.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> exported = to_dm_env(env, params, seed=0)
        >>> exported.reset().first(), exported.action_spec().num_values
        (True, 2)
    """
    check_one_episode(env, "to_dm_env")
    return _env_class()(Driver(env, params, seed))


@functools.cache
def _env_class() -> Any:
    dm_env: Any = _load()

    class EnvHubDmEnv(Copied, dm_env.Environment):  # type: ignore[misc]
        """An environment of envhub; see `envhub.export.to_dm_env`."""

        class_of = staticmethod(_env_class)

        def __init__(self, driver: Driver) -> None:
            self.driver = driver
            self._is_over = True

        def reset(self) -> Any:
            self._is_over = False
            return dm_env.restart(self.driver.reset())

        def step(self, action: Any) -> Any:
            if self._is_over:
                return self.reset()
            obs, reward, terminated, truncated, _ = self.driver.step(action)
            self._is_over = bool(terminated or truncated)
            if terminated:
                return dm_env.termination(float(reward), obs)
            end = dm_env.truncation if truncated else dm_env.transition
            return end(float(reward), obs, discount=1.0)

        def observation_spec(self) -> Any:
            return _spec(self.driver.observations, "observation")

        def action_spec(self) -> Any:
            return _spec(self.driver.actions, "action")

        def close(self) -> None:
            self.driver.close()

    return EnvHubDmEnv


def _load() -> Any:
    return load("dm_env", "dm-env", "to_dm_env")


def _spec(space: Any, name: str) -> Any:
    specs: Any = _load().specs
    if isinstance(space, spaces.Dict):
        return {key: _spec(child, key) for key, child in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_spec(child, f"{name}_{place}") for place, child in enumerate(space))
    if isinstance(space, spaces.Discrete) and not space.start:
        return specs.DiscreteArray(space.n, space.dtype, name)
    if isinstance(space, spaces.Box) and np.isinf([space.low, space.high]).all():
        return specs.Array(space.shape, space.dtype, name)
    return specs.BoundedArray(space.shape, space.dtype, space.low, space.high, name)
