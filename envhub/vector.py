"""Many environments of one kind as one, on a leading axis."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub.capabilities import Capabilities
from envhub.environment import Environment, EnvSpec, StepResult
from envhub.errors import InvalidOptionError


class VectorEnv:
    """A batch of environments: every array has a leading axis of `num_envs`.

    Make one with `envhub.make_vec`. Its methods are those of `Environment`, under `vmap`, and work
    inside `jit`, `scan` and `vmap` likewise.

    Args:
        env: one of them.
        num_envs: how many.
        batched_params: whether params have the leading axis too, one set for each environment.

    Attributes:
        env: one of them.
        num_envs: how many.
        batched_params: as above.
    """

    def __init__(self, env: Environment, num_envs: int, *, batched_params: bool = False) -> None:
        if type(num_envs) is not int or num_envs < 1:
            raise InvalidOptionError(f"num_envs is a positive integer, got {num_envs!r}.")
        self.env, self.num_envs, self.batched_params = env, num_envs, batched_params
        self._axis = 0 if batched_params else None

    @property
    def default_params(self) -> Any:
        """The params in force when a call gives none, as they are given."""
        params = self.env.default_params
        if not self.batched_params:
            return params
        return jax.tree.map(lambda leaf: np.stack([np.asarray(leaf)] * self.num_envs), params)

    @property
    def capabilities(self) -> Capabilities:
        """Those of one environment."""
        return self.env.capabilities

    @property
    def spec(self) -> EnvSpec | None:
        """Where the environments come from."""
        return self.env.spec

    def reset(self, key: jax.Array, params: Any = None) -> tuple[Any, Any]:
        """Start an episode in each environment, as `Environment.reset` does.

        Args:
            key: one PRNG key, which is split among the environments.
            params: of one environment, or with `batched_params` of each.

        Returns:
            Observations and states.
        """
        params = self.default_params if params is None else params
        keys = jax.random.split(key, self.num_envs)
        obs, state = self._reset(keys, params)
        return obs, state

    def step(self, key: jax.Array, state: Any, action: Any, params: Any = None) -> StepResult:
        """Advance each environment one step, as `Environment.step` does.

        Args:
            key: one PRNG key, which is split among the environments.
            state: what `reset` or the last `step` returned.
            action: one for each environment.
            params: as for `reset`.
        """
        params = self.default_params if params is None else params
        result: StepResult = self._step(jax.random.split(key, self.num_envs), state, action, params)
        return result

    def single_observation_space(self, params: Any = None) -> spaces.Space:
        """The observations of one environment under its (concrete, not batched) params."""
        return self.env.observation_space(params)

    def single_action_space(self, params: Any = None) -> spaces.Space:
        """The actions of one environment, likewise."""
        return self.env.action_space(params)

    def observation_space(self, params: Any = None) -> spaces.Space:
        """The batches of observations, under params of one environment."""
        return spaces.batch(self.env.observation_space(params), self.num_envs)

    def action_space(self, params: Any = None) -> spaces.Space:
        """The batches of actions, likewise."""
        return spaces.batch(self.env.action_space(params), self.num_envs)

    def render(self, state: Any, params: Any = None, index: int = 0) -> np.ndarray:
        """Draw one of the environments; see `Environment.render`."""
        pick = functools.partial(jax.tree.map, lambda leaf: leaf[index])
        return self.env.render(pick(state), pick(params) if self.batched_params else params)

    def close(self) -> None:
        """Free what the environments hold outside of JAX; idempotent."""
        self.env.close()

    def __repr__(self) -> str:
        return f"<VectorEnv of {self.num_envs} {self.env!r}>"

    @functools.cached_property
    def _reset(self) -> Any:
        return jax.vmap(self.env.reset, in_axes=(0, self._axis))

    @functools.cached_property
    def _step(self) -> Any:
        return jax.vmap(self.env.step, in_axes=(0, 0, 0, self._axis))
