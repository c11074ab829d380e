"""Compile the hooks of an environment, with the checks and conversions that all suites need."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub import _flax, _hooks, _inputs
from envhub._arrays import keep_dtype, narrow, shaped, strong
from envhub._result import StepResult


def compile_reset(env: Any) -> Any:
    """Return the environment's `reset_env`, compiled."""

    def reset(key: jax.Array, params: Any) -> tuple[Any, Any]:
        env.check_params(params)
        with jax.numpy_rank_promotion("allow"):
            obs, state = _hooks.check_reset(env, env.reset_env(key, params))
        _flax.accept(state)
        return jax.tree.map(narrow, obs), jax.tree.map(strong, state)

    return jax.jit(reset)


def compile_step(env: Any) -> Any:
    """Return the environment's `step_env`, compiled."""

    def step(key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        env.check_params(params)
        is_checked = not env.capabilities.jax_native
        action = _inputs.conform_action(env._actions, action, is_checked=is_checked)
        dtypes = jax.tree.map(lambda leaf: leaf.dtype, state)
        agents = () if env.num_agents == 1 else (env.num_agents,)
        with jax.numpy_rank_promotion("allow"):
            returned = env.step_env(key, state, action, params)
        result = _hooks.check_step(env, returned, state)
        return StepResult(
            obs=jax.tree.map(narrow, result.obs),
            state=jax.tree.map(keep_dtype, result.state, dtypes),
            reward=shaped(result.reward, jnp.float32, agents),
            terminated=shaped(result.terminated, jnp.bool_, agents),
            truncated=shaped(result.truncated, jnp.bool_, agents),
            info=jax.tree.map(strong, result.info),
        )

    return jax.jit(step)
