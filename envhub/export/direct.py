"""Drive a bare callback environment from outside JAX, without a program for each step."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from envhub._forks import refuse_after_fork
from envhub._pictures import picture_of
from envhub._tracing import is_outside
from envhub.environment import Environment
from envhub.export.driver import Driver
from envhub.export.seeds import key_after, seed_of_reset
from envhub.host.detached import Detached, taker_of
from envhub.host.direct import Direct, flat
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


class HostDriver(Driver):
    """Does the same as `Driver`, with the same keys, in NumPy.

    Steps do not use their keys, so the keys of an episode are split when the next one starts.
    """

    env: HostEnvironment
    _calls = 0  # that have split the key since it was kept

    def seed(self, seed: int | None) -> None:
        super().seed(seed)
        self._calls = 0

    def reset(self, mask: Any = None) -> Any:
        refuse_after_fork()
        if self._calls:
            self._key, self._calls = np.asarray(key_after(self._key, self._calls)), 0
        obs = self._begin(seed_of_reset(self._key))
        self._calls = 1
        return obs

    def _begin(self, seed: int) -> Any:
        """Start the episode of a seed."""
        raise NotImplementedError


class DetachedDriver(HostDriver):
    """Steps one instance without the pool, as the library's own users do."""

    def _prepare(self) -> None:
        super()._prepare()
        self._detached: Detached = self.env.detached(self.params)
        self._take = taker_of(self.env._values.actions, self._action)

    @property
    def state(self) -> Any:
        """The last state; `None` before the first reset. Without a snapshot it names nothing."""
        if not self._is_started:
            return None
        snapshot = self._detached.snapshot()
        row = None if snapshot is None else jnp.asarray(snapshot)
        return HostState(jnp.zeros(3, jnp.uint32), row)

    @state.setter
    def state(self, state: None) -> None:
        self._is_started = False

    @property
    def is_started(self) -> bool:
        return self._is_started

    def __getstate__(self) -> dict[str, Any]:
        kept = super().__getstate__()
        for name in ("_detached", "_take"):
            del kept[name]
        return kept | {"_snapshot": self._detached.snapshot() if self._is_started else None}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        snapshot = kept.pop("_snapshot")
        super().__setstate__(kept)
        if snapshot is not None:
            self._detached.continue_from(snapshot)

    def __deepcopy__(self, memo: dict[int, Any]) -> Driver:
        other = super().__deepcopy__(memo)
        assert isinstance(other, DetachedDriver)
        other._prepare()
        other._detached.follow(self._detached)
        return other

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        refuse_after_fork()
        result = self._detached.step(action, self._take(action))
        self._calls += 1
        return result

    def render(self) -> Any:
        return picture_of(self.env, self._detached.render)

    def close(self) -> None:
        self._detached.close()
        super().close()

    def _begin(self, seed: int) -> Any:
        obs = self._detached.reset(seed)
        self._is_started = True
        return obs


class DirectDriver(HostDriver):
    """Calls the pool of the environment, where a fleet must run the instances."""

    _shown: Columns | None = None  # what the last call gave, by name

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

    def _begin(self, seed: int) -> Any:
        given = {SEED: np.array([seed], np.uint32)}
        self._shown = self._direct.call(Pool.reset, given | self._flat)[1]
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
        self._calls += 1
        one = {name: column.reshape(column.shape[1:]) for name, column in shown.items()}
        named = zip(self.env.info_entries, self.env._protocol.info, strict=True)
        info = {entry.name: one[name] for entry, name in named}
        return self._seen(), one[REWARD], one[TERMINATED], one[TRUNCATED], info

    def _seen(self) -> Any:
        shown = self._shown
        assert shown is not None
        leaves = [shown[name][0] for name in self.env._protocol.obs]
        return self.observation(of_leaves(self.env.observation_space(), iter(leaves)))


def driver_of(env: Environment, params: Any, seed: int | None) -> Driver:
    """Return the driver that suits an environment."""
    if type(env) is not HostEnvironment or not env._is_plain or not is_outside():
        return Driver(env, params, seed)
    return (DetachedDriver if env.can_detach else DirectDriver)(env, params, seed)
