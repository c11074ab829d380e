"""Export an environment as a `dm_env.Environment`."""

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
    """Export an environment as a `dm_env.Environment`.

    The first `step`, and the step after the end of an episode, ignore their action and reset.
    Observations are NumPy arrays with the dtypes of the specs; rewards and discounts are floats.
    The discount of a step is 0 if the episode terminated, and 1 otherwise, also at a limit. `info`
    is omitted. A `Discrete` space that starts at 0 becomes a `DiscreteArray`, a `Box` without
    bounds an `Array`, other spaces a `BoundedArray`, and a `Dict` or `Tuple` a dict or tuple of
    specs. An action of another structure, shape or kind, or an integer out of bounds, raises
    `InvalidActionError`. `close()` closes the environment.

    Args:
        env: one environment of one agent, without `AutoReset`.
        params: the params of all calls; by default the environment's default params.
        seed: the first episode is that of `env.reset(jax.random.split(jax.random.key(seed))[1])`;
            by default the seed is random.

    Raises:
        InvalidOptionError: if the environment is not of this kind.
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
