"""The wrapper of the programs in the style of PureJaxRL; it knows only gymnax's interface."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class LogState(NamedTuple):
    """The environment's state, and the episode so far."""

    env: Any
    total: jax.Array
    length: jax.Array


class LogWrapper:
    """The returns and lengths of episodes, in the info of the step that ends them."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, key: Any, params: Any) -> tuple[Any, LogState]:
        obs, state = self._env.reset(key, params)
        return obs, LogState(state, jnp.float32(0), jnp.int32(0))

    def step(self, key: Any, state: LogState, action: Any, params: Any) -> Any:
        obs, env_state, reward, *ends, _ = self._env.step(key, state.env, action, params)
        done = jnp.stack(ends).any()  # one flag in gymnax 0.0.x, two in gymnax 1.0
        total, length = state.total + reward, state.length + 1
        info = {"done": done, "return": total, "length": length}
        after = LogState(env_state, jnp.where(done, 0, total), jnp.where(done, 0, length))
        return obs, after, reward, done, info


def flat(obs: Any, batch_axes: int) -> Any:
    """Observations as vectors of float32."""
    return obs.reshape(*obs.shape[:batch_axes], -1).astype(jnp.float32)
