"""Drive a bare callback environment from outside JAX, without a program for each step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub._forks import refuse_after_fork
from envhub._seeding import traced_seed
from envhub.environment import Environment
from envhub.export.driver import Driver
from envhub.host.direct import Direct, flat, is_outside
from envhub.host.environment import HostEnvironment, HostState
from envhub.host.pool import Pool
from envhub.host.protocol import (
    HANDLE,
    REWARD,
    SEED,
    SNAPSHOT,
    TERMINATED,
    TRUNCATED,
    Columns,
    of_leaves,
    to_leaves,
)


class DirectDriver(Driver):
    """Does the same as `Driver`, with the same keys, in NumPy.

    The pool of the environment answers each call at once. Steps do not use their keys, so the keys
    of an episode are split when the next one starts.
    """

    env: HostEnvironment
    _shown: Columns | None = None  # what the last call gave, by name
    _steps = 0  # since the last reset

    @property
    def state(self) -> Any:
        """The last state, as arrays of JAX; `None` before the first reset."""
        if self._shown is None:
            return None
        snapshot = self._shown.get(SNAPSHOT)
        return HostState(
            jnp.asarray(self._shown[HANDLE][0]),
            None if snapshot is None else jnp.asarray(snapshot[0]),
        )

    @state.setter
    def state(self, state: None) -> None:
        self._shown = state

    @property
    def is_started(self) -> bool:
        return self._shown is not None

    def _prepare(self) -> None:
        super()._prepare()
        self._direct: Direct = self.env._direct
        self._flat = flat(self.params)

    def __getstate__(self) -> dict[str, Any]:
        kept = super().__getstate__()
        return {name: value for name, value in kept.items() if name not in ("_direct", "_flat")}

    def seed(self, seed: int | None) -> None:
        super().seed(seed)
        self._steps = 0

    def reset(self, mask: Any = None) -> Any:
        refuse_after_fork()
        key, seed = _next_seed(self._key, self._steps)
        given = {SEED: np.asarray(seed)[None]}
        self._shown = self._direct.call(Pool.reset, given | self._flat)[1]
        self._key, self._steps = key, 0
        return self._seen()

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        refuse_after_fork()
        before = self._shown
        assert before is not None
        leaves = to_leaves(self.actions, self._action(action))
        given = {name: before[name] for name in (HANDLE, SNAPSHOT) if name in before}
        given |= {
            name: leaf.astype(form.dtype)[None]
            for (name, form), leaf in zip(self.env._protocol.chosen.items(), leaves, strict=True)
        }
        self._shown = shown = self._direct.call(Pool.step, given | self._flat)[1]
        self._steps += 1
        one = {name: column.reshape(column.shape[1:]) for name, column in shown.items()}
        named = zip(self.env.info_entries, self.env._protocol.info, strict=True)
        info = {entry.name: one[name] for entry, name in named}
        return self._seen(), one[REWARD], one[TERMINATED], one[TRUNCATED], info

    def _seen(self) -> Any:
        shown = self._shown
        assert shown is not None
        leaves = [shown[name][0] for name in self.env._protocol.obs]
        return self.observation(of_leaves(self.env.observation_space(), iter(leaves)))


@jax.jit
def _next_seed(key_data: Any, steps: Any) -> tuple[Any, Any]:
    """Return the key to keep and the seed of the episode, after the keys of that many steps."""

    def split(_: Any, data: Any) -> Any:
        return jax.random.key_data(jax.random.split(jax.random.wrap_key_data(data))[0])

    key_data = jax.lax.fori_loop(0, steps, split, key_data)
    kept, used = jax.random.split(jax.random.wrap_key_data(key_data))
    return jax.random.key_data(kept), traced_seed(used)


def driver_of(env: Environment, params: Any, seed: int | None) -> Driver:
    """Return the driver that suits an environment."""
    is_direct = type(env) is HostEnvironment and env._is_plain and is_outside()
    return (DirectDriver if is_direct else Driver)(env, params, seed)
