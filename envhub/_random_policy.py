"""Measure random actions in many copies of an environment, for `envhub run` and `envhub tour`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub._random_action import RandomAction
from envhub.environment import Environment

CHUNK = 100
"""The most steps between two reports, at which progress is shown and Ctrl-C is noticed."""


class Episode(NamedTuple):
    """Episodes as arrays of one shape: episodes in progress, or episodes that ended.

    Attributes:
        total: the sum of the rewards; for several agents, their mean.
        length: the number of steps.
        terminated: whether the last step ended the MDP, for at least one agent.
        truncated: whether the last step reached a limit, for at least one agent.
    """

    total: Any
    length: Any
    terminated: Any
    truncated: Any


class Rollout:
    """A random policy in copies of one environment, each reset when its episode ends.

    An episode of several agents ends when all of them are done.

    Iterating runs it, and yields the number of steps taken so far in each copy. `report` returns
    the measurements so far, also after an interrupt.

    Args:
        env: the environment.
        params: its params.
        steps: the number of steps in each copy.
        num_envs: the number of copies.
        seed: determines all actions, resets and transitions.
    """

    def __init__(
        self, env: Environment, params: Any, *, steps: int, num_envs: int, seed: int
    ) -> None:
        self.steps, self._num_envs, self._seed = steps, num_envs, seed
        self._env, self._params = env, params
        self._choose = RandomAction.of(env, params)
        # Chunks of one length share one compilation. Together they may have a few steps too many,
        # fewer than there are chunks. These steps run and are not counted.
        self._chunk = math.ceil(steps / math.ceil(steps / CHUNK))
        self._taken, self._seconds = 0, 0.0
        self._compile_seconds: float | None = None
        self._ended = [Episode(np.empty(0), np.empty(0, int), np.empty(0, bool), np.empty(0, bool))]

    def __iter__(self) -> Iterator[int]:
        began = time.perf_counter()
        carry = jax.jit(self._start)(jax.random.key(self._seed))
        advance = jax.jit(self._advance).lower(carry).compile()
        self._compile_seconds = time.perf_counter() - began
        while self._taken < self.steps:
            began = time.perf_counter()
            carry, seen = advance(carry)
            seen = Episode(*map(np.asarray, seen))  # this waits for the device
            self._record(seen, time.perf_counter() - began)
            yield self._taken

    def report(self) -> dict[str, Any]:
        """Return the measurements so far; the speed excludes compiling."""
        total, length, terminated, truncated = map(np.concatenate, zip(*self._ended, strict=True))
        steps = self._taken * self._num_envs
        return {
            "steps": self._taken,
            "num_envs": self._num_envs,
            "episodes": len(total),
            "terminated": int(terminated.sum()),
            "truncated": int(truncated.sum()),
            "return": _spread(total),
            "length": _spread(length),
            "compile_seconds": self._compile_seconds,
            "steps_per_second": steps / self._seconds if self._seconds else None,
        }

    def _start(self, key: jax.Array) -> Any:
        """Return the carry of the scan: a key, and what `_fresh` returns."""
        key, reset_key = jax.random.split(key)
        return key, self._fresh(reset_key)

    def _fresh(self, key: jax.Array) -> Any:
        """Return the observation, state, return and length of every episode."""
        keys = jax.random.split(key, self._num_envs)
        obs, state = jax.vmap(self._env.reset, (0, None))(keys, self._params)
        return obs, state, jnp.zeros(self._num_envs), jnp.zeros(self._num_envs, jnp.int32)

    def _advance(self, carry: Any) -> tuple[Any, Episode]:
        return jax.lax.scan(self._step, carry, None, self._chunk)

    def _step(self, carry: Any, _: None) -> tuple[Any, Episode]:
        key, (obs, state, total, length) = carry
        key, reset_key, *keys = jax.random.split(key, 4)
        action_keys, step_keys = (jax.random.split(each, self._num_envs) for each in keys)
        action = jax.vmap(self._choose)(action_keys, obs)
        step = jax.vmap(self._env.step, (0, 0, 0, None))
        result = step(step_keys, state, action, self._params)
        ended = self._of_agents(result.done).all(-1)
        seen = Episode(
            total + self._of_agents(result.reward).mean(-1),
            length + 1,
            ended & self._of_agents(result.terminated).any(-1),
            ended & self._of_agents(result.truncated).any(-1),
        )

        def restart(running: Any) -> Any:
            return jax.vmap(_select)(ended, self._fresh(reset_key), running)

        # The whole batch is reset, but only if one of its episodes ended.
        running = (result.obs, result.state, seen.total, seen.length)
        return (key, jax.lax.cond(ended.any(), restart, lambda same: same, running)), seen

    def _of_agents(self, values: jax.Array) -> jax.Array:
        """Return the values with axes for the copies and for the agents of each copy."""
        return values.reshape(self._num_envs, -1)

    def _record(self, seen: Episode, seconds: float) -> None:
        counted = min(self._chunk, self.steps - self._taken)
        ended = (seen.terminated | seen.truncated)[:counted]
        self._ended.append(Episode(*(array[:counted][ended] for array in seen)))
        self._taken += counted
        self._seconds += seconds * counted / self._chunk


def _select(condition: jax.Array, on_true: Any, on_false: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), on_true, on_false)


def _spread(values: np.ndarray) -> dict[str, float | None]:
    if not values.size:
        return {"mean": None, "min": None, "max": None}
    return {name: getattr(values, name)().item() for name in ("mean", "min", "max")}
