"""Whole episodes of random actions, in lanes, each followed until it ends."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub.probes import Subject

LANES = 3
SHORT = 7  # the limit of the second half of the lanes, which have the keys of the first half
CHUNK = 50
PATIENCE = 200
ENOUGH = 1_000  # go on that long for more ends, once there was one


@dataclasses.dataclass(frozen=True)
class Episodes:
    """What was seen, each array of shape (steps, 2 * LANES); steps after the end count as not seen.

    Attributes:
        alive: the lane had not ended before this step.
        contained: the observation lies in the space.
        terminated, truncated: the flags.
        reward_finite: the reward is a finite number.
        first_obs: the observations of the first SHORT steps, leaves of shape (SHORT, lanes, …).
    """

    alive: np.ndarray
    contained: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    reward_finite: np.ndarray
    first_obs: Any

    @property
    def ended(self) -> np.ndarray:
        return self.alive & (self.terminated | self.truncated)


def optimised(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled as it is for users, and not as `tests/conftest.py` has it."""
    options: dict[str, Any] = {"xla_backend_optimization_level": 3}
    if "fusion_emitters" in os.environ["XLA_FLAGS"]:
        options["xla_cpu_use_fusion_emitters"] = True
    program = None

    def call(*arguments: Any) -> Any:
        nonlocal program
        if program is None:
            program = jax.jit(function).lower(*arguments).compile(compiler_options=options)
        return program(*arguments)

    return call


def stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def run_episodes(subject: Subject, limit: str) -> Episodes:
    """Lanes whose limit is a param: all in one program."""
    params = subject.params
    lanes = [params] * LANES + [params.replace(**{limit: SHORT})] * LANES
    return follow(subject, lanes, [*jax.random.split(jax.random.key(3), LANES)] * 2)


def run_in_two(whole: Subject, short: Subject) -> Episodes:
    """Lanes whose limit is an option of the environment: the second half in another one."""
    keys = [*jax.random.split(jax.random.key(3), LANES)]
    parts = [follow(subject, [subject.params] * LANES, keys) for subject in (whole, short)]
    steps = max(len(part.alive) for part in parts)

    def pad(array: np.ndarray) -> np.ndarray:
        missing = [(0, steps - len(array))] + [(0, 0)] * (array.ndim - 1)
        return np.pad(array, missing)  # False: not alive

    names = [field.name for field in dataclasses.fields(Episodes)]
    joined = {
        name: np.concatenate([pad(getattr(part, name)) for part in parts], axis=1)
        for name in names
        if name != "first_obs"
    }
    first_obs = jax.tree.map(
        lambda *leaves: np.concatenate(leaves, axis=1), *[part.first_obs for part in parts]
    )
    return Episodes(**joined, first_obs=first_obs)


def follow(subject: Subject, lanes: list[Any], keys: list[Any], longest: int = 20_000) -> Episodes:
    """Random actions in one lane for each of the params and keys, until all have ended."""
    env, params = subject.env, subject.params
    obs_space, action_space = env.observation_space(params), env.action_space(params)
    starts = [env.reset(key, lane) for key, lane in zip(keys, lanes, strict=True)]
    assert all(obs_space.contains(obs) for obs, _ in starts), "a reset observation is outside"
    lane_params, lane_keys, state = map(stack, (lanes, keys, [state for _, state in starts]))

    def step(carry: Any, time: Any) -> Any:
        def one(params: Any, key: Any, state: Any, alive: Any) -> Any:
            key_action, key_step = jax.random.split(jax.random.fold_in(key, time))
            result = env.step(key_step, state, action_space.sample(key_action), params)
            seen = {
                "alive": alive,
                "contained": obs_space.contains(result.obs),
                # Of several agents, all.
                "terminated": result.terminated.all(),
                "truncated": result.truncated.all(),
                "reward_finite": jnp.isfinite(result.reward).all(),
                "first_obs": result.obs,
            }
            return (result.state, alive & ~result.done.all()), seen

        (state, alive), seen = jax.vmap(one)(lane_params, lane_keys, *carry)
        return (state, alive), seen

    carry, seen, first_obs = (state, jnp.ones(len(lanes), bool)), [], None

    def scan(carry: Any, times: Any) -> Any:
        return jax.lax.scan(step, carry, times)

    chunk = jax.jit(scan)
    for start in range(0, longest, CHUNK):
        if start == PATIENCE:
            chunk = optimised(scan)  # it will take thousands of steps: now compiling pays
        carry, part = chunk(carry, jnp.arange(start, start + CHUNK))
        part_obs = part.pop("first_obs")
        if first_obs is None:
            first_obs = jax.tree.map(lambda leaf: np.asarray(leaf[:SHORT]), part_obs)
        seen.append(jax.tree.map(np.asarray, part))
        alive = np.asarray(carry[1])
        if not alive.any() or (start + CHUNK >= ENOUGH and not alive[:LANES].all()):
            break
    arrays = {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}
    return Episodes(**arrays, first_obs=first_obs)
