"""Measure how fast random actions step a batch, for `envhub bench`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub._random_action import RandomAction
from envhub.vector import VectorEnv

CALL_SECONDS = 0.5
"""The approximate time of a call: the cost of calling is negligible, and Ctrl-C is noticed."""


class Speed:
    """Times random actions in a batch.

    It times a compiled loop of the batch's `step`. The loop keeps no trajectory; it carries the
    last observations, so that all are computed, and adds up rewards and ends. Compiling and warming
    up come before, and episodes continue from one repeat to the next.

    Iterating measures, and yields the number of repeats so far. `report` returns the measurements
    so far, also after an interrupt.

    Args:
        venv: the batch.
        params: its params.
        steps: the number of steps in each environment and repeat; `None` for as many as take about
            `CALL_SECONDS`.
        repeats: the number of measurements.
        seed: determines all actions, resets and transitions.
    """

    def __init__(
        self, venv: VectorEnv, params: Any, *, steps: int | None, repeats: int, seed: int
    ) -> None:
        self._venv, self._params = venv, params
        self._choose = RandomAction.of(venv, params)
        self._steps, self._repeats, self._key = steps, repeats, jax.random.key(seed)
        self._compile_seconds, self._episodes = 0.0, 0
        self._speeds: list[float] = []

    def __iter__(self) -> Iterator[int]:
        self._carry = self._compile(self._start, self._key, self._params)(self._key, self._params)
        self._advance = self._compile(self._loop, self._carry, self._params, 1)
        a_call = self._steps_of_a_call()
        self._steps = self._steps or a_call
        parts = [a_call] * (self._steps // a_call) + [self._steps % a_call]
        ended_before = int(self._carry[-1])
        for repeat in range(self._repeats):
            seconds = sum(self._time(part) for part in parts if part)
            self._speeds.append(self._steps * self._venv.num_envs / seconds)
            self._episodes = int(self._carry[-1]) - ended_before
            yield repeat + 1

    def report(self) -> dict[str, Any] | None:
        """Return the measurements so far; `None` before the first repeat."""
        if not self._speeds:
            return None
        return {
            "num_envs": self._venv.num_envs,
            "steps": self._steps,
            "repeats": len(self._speeds),
            "episodes": self._episodes,
            "compile_seconds": self._compile_seconds,
            "steps_per_second": {
                "median": float(np.median(self._speeds)),
                "min": min(self._speeds),
                "max": max(self._speeds),
            },
        }

    def _compile(self, function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
        began = time.perf_counter()
        program = jax.jit(function).lower(*arguments).compile()
        self._compile_seconds += time.perf_counter() - began
        return program

    def _steps_of_a_call(self) -> int:
        """Return how many steps take about `CALL_SECONDS`; this also warms up."""
        steps = 1
        while (seconds := self._time(steps)) < CALL_SECONDS / 4:
            steps *= 4
        return max(1, round(steps * CALL_SECONDS / seconds))

    def _time(self, steps: int) -> float:
        began = time.perf_counter()
        self._carry = jax.block_until_ready(  # type: ignore[no-untyped-call]
            self._advance(self._carry, self._params, steps)
        )
        return time.perf_counter() - began

    def _start(self, key: jax.Array, params: Any) -> Any:
        """Return the carry of the loop: a key, observations and states, and the sums."""
        key, reset_key = jax.random.split(key)
        return key, *self._venv.reset(reset_key, params), jnp.float32(0), jnp.int32(0)

    def _loop(self, carry: Any, params: Any, steps: int) -> Any:
        def advance(_: Any, carry: Any) -> Any:
            key, obs, state, rewards, ended = carry
            key, action_key, step_key = jax.random.split(key, 3)
            action = self._choose(action_key, obs)
            result = self._venv.step(step_key, state, action, params)
            rewards += result.reward.sum()
            return key, result.obs, result.state, rewards, ended + result.done.sum(dtype=jnp.int32)

        return jax.lax.fori_loop(0, steps, advance, carry)
