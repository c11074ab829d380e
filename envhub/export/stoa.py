"""Export an environment with Stoa's interface."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import _inputs, spaces
from envhub._forks import refuse_after_fork
from envhub.environment import Environment
from envhub.export.checks import check_one_episode, load
from envhub.export.copies import Copied


def to_stoa(env: Environment, params: Any = None) -> Any:
    """Export an environment as a `stoa.Environment`, for Stoix and other users of Stoa.

    `reset(rng_key, env_params=None)` and `step(state, action, env_params=None)` return a state and
    a `TimeStep`, inside `jit`, `vmap` and `scan` too. The step type is `TERMINATED` if the episode
    terminated, and `TRUNCATED` if only a limit cut it; `discount`, float32[], is 0 if it
    terminated, and 1 otherwise, also at a limit. `extras` is the `info` of the step; after a reset
    it is zeros of the same form. There is no automatic reset: use Stoa's `AutoResetWrapper`.

    The state holds a key, `rng_key`, from which the steps draw: the episode of `reset(key)` is that
    of `env.reset(jax.random.split(key)[1])`. `state_space` is not implemented.

    Args:
        env: one environment of one agent, without `AutoReset`.
        params: the params of calls that pass none; by default the environment's default params.

    Raises:
        InvalidOptionError: if the environment is not of this kind.
        MissingDependencyError: if Stoa is not installed.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> exported = to_stoa(env, params)
        >>> state, timestep = jax.jit(exported.reset)(jax.random.key(0))
        >>> bool(timestep.first()), exported.action_space().num_values
        (True, 2)
    """
    check_one_episode(env, "to_stoa")
    return _env_class()(env, env.default_params if params is None else params)


class _Environment(Copied):
    """The methods, in front of those of Stoa's class."""

    # Those of Stoa's dataclass, which has no fields, would have all environments equal.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, env: Environment, params: Any) -> None:
        self.env, self.params = env, params

    def reset(self, rng_key: jax.Array, env_params: Any = None) -> tuple[Any, Any]:
        refuse_after_fork()
        _inputs.check_key(rng_key)
        params = self._in_force(env_params)
        key, used = jax.random.split(rng_key)
        obs, state = self.env.reset(used, params)
        action = self.env.action_space(params).sample(used)
        info = jax.eval_shape(self.env.step, used, state, action, params).info
        extras = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), info)
        return self._shown(key, state, _stoa().StepType.FIRST, 0, 1, obs, extras)

    def step(self, state: Any, action: Any, env_params: Any = None) -> tuple[Any, Any]:
        refuse_after_fork()
        kinds = _stoa().StepType
        key, used = jax.random.split(state.rng_key)
        params = self._in_force(env_params)
        obs, after, reward, terminated, truncated, info = self.env.step(
            used, state.base_env_state, action, params
        )
        going_on = jnp.where(truncated, kinds.TRUNCATED, kinds.MID)
        step_type = jnp.where(terminated, kinds.TERMINATED, going_on)
        return self._shown(key, after, step_type, reward, ~terminated, obs, info)

    def observation_space(self, env_params: Any = None) -> Any:
        refuse_after_fork()
        return _space(self.env.observation_space(self._in_force(env_params)))

    def action_space(self, env_params: Any = None) -> Any:
        refuse_after_fork()
        return _space(self.env.action_space(self._in_force(env_params)))

    def state_space(self, env_params: Any = None) -> Any:
        raise NotImplementedError("the states of environments have no space.")

    def render(self, state: Any, env_params: Any = None) -> Any:
        return self.env.render(state.base_env_state, self._in_force(env_params))

    def close(self) -> None:
        self.env.close()

    def _in_force(self, params: Any) -> Any:
        return self.params if params is None else params

    def _shown(
        self, key: Any, state: Any, step_type: Any, reward: Any, discount: Any, obs: Any, info: Any
    ) -> tuple[Any, Any]:
        timestep = _stoa().TimeStep(
            step_type=step_type,
            reward=jnp.float32(reward),
            discount=jnp.float32(discount),
            observation=obs,
            extras=info,
        )
        return _adapters().AdapterStateWithKey(base_env_state=state, rng_key=key), timestep


@functools.cache
def _env_class() -> Any:
    class EnvHubStoaEnv(_Environment, _stoa().Environment):  # type: ignore[misc]
        """An environment of envhub; see `envhub.export.to_stoa`."""

        class_of = staticmethod(_env_class)

    return EnvHubStoaEnv


def _stoa() -> Any:
    return load("stoa", "stoa-env", "to_stoa")


def _adapters() -> Any:
    return load("stoa.env_adapters.base", "stoa-env", "to_stoa")


def _space(space: Any) -> Any:
    """Convert a space to Stoa's, also inside `jit`, where Stoa would inspect tracers."""
    with jax.ensure_compile_time_eval():
        return _converted(space)


def _converted(space: Any) -> Any:
    kinds = _stoa()
    if isinstance(space, spaces.Dict):
        return kinds.DictSpace({name: _converted(child) for name, child in space.items()})
    if isinstance(space, spaces.Tuple):
        return kinds.TupleSpace([_converted(child) for child in space])
    # JAX's dtype, which without x64 mode may be narrower.
    dtype = jax.dtypes.canonicalize_dtype(space.dtype)
    if isinstance(space, spaces.Discrete) and not space.start:
        return kinds.DiscreteSpace(space.n, dtype)
    if isinstance(space, spaces.MultiDiscrete) and not space.start.any():
        return kinds.MultiDiscreteSpace(space.nvec, dtype)
    low, high = np.asarray(space.low, dtype), np.asarray(space.high, dtype)
    if dtype.kind == "f" and np.isinf([low, high]).all():
        return kinds.ArraySpace(space.shape, dtype)
    return kinds.BoundedArraySpace(space.shape, dtype, low, high)
