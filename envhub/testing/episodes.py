"""Play whole episodes of random actions in lanes, each until its end."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub._random_action import RandomAction
from envhub.testing.comparison import Refuted
from envhub.testing.subject import Subject

LANES = 2
SHORT = 7  # the limit of the other lanes, which have the keys of the first ones
CHUNK = 50
WARM = 3
PATIENCE = 200
ENOUGH = 500  # go on that long for more ends, once there was one
LONGEST = 20_000
TRIES = 30  # times as many lanes, to find one that outlasts a limit
SEEN = ("alive", "contained", "terminated", "truncated", "reward_finite")


@dataclasses.dataclass(frozen=True)
class Episodes:
    """Records of the episodes, arrays of shape (steps, lanes); steps after the end do not count.

    Attributes:
        alive: the lane had not ended before this step.
        contained: the observation lies in the space.
        terminated: all agents terminated.
        truncated: the episode ended, and an agent was truncated; others may have terminated.
        reward_finite: the reward is a finite number.
        first_obs: the observations of the first SHORT steps, leaves of shape (SHORT, lanes, …).
        compile_seconds: the CPU time for tracing and compiling the program of these steps.
        steps_per_second: the steps per second of all lanes together, in the fastest chunk.
    """

    alive: np.ndarray
    contained: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    reward_finite: np.ndarray
    first_obs: Any
    compile_seconds: float
    steps_per_second: float

    @property
    def reaches_limit(self) -> np.ndarray:
        """Whether a lane goes on until the step `SHORT` and does not terminate there."""
        reaches: np.ndarray = self.alive[SHORT - 1] & ~self.terminated[SHORT - 1]
        return reaches

    @property
    def outlasts(self) -> np.ndarray:
        """Whether a lane goes on after `SHORT` steps, so that a limit there would cut it."""
        lasts: np.ndarray = self.alive[SHORT]
        return lasts

    @property
    def ended(self) -> np.ndarray:
        """Whether an episode ended, by step and lane."""
        ended: np.ndarray = self.alive & (self.terminated | self.truncated)
        return ended


class Program:
    """A function of arrays, compiled for its first arguments.

    Args:
        function: the function to compile.
        is_optimised: whether to optimise as for users, for any `XLA_FLAGS`: tests compile more than
            they run, and make XLA optimise less.

    Attributes:
        compile_seconds: the time for tracing and compiling; CPU time, as others may be busy too.
    """

    def __init__(self, function: Callable[..., Any], is_optimised: bool = False) -> None:
        self._function, self._is_optimised = function, is_optimised
        self._compiled: Any = None
        self.compile_seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call the function; the first call compiles it."""
        self.compile(*arguments)
        return self._compiled(*arguments)

    def optimised(self) -> Program:
        """Return the same program, optimised as for users."""
        return self if self._is_optimised else Program(self._function, is_optimised=True)

    def compile(self, *arguments: Any) -> None:
        """Compile the function for arguments of these shapes, unless it is compiled already."""
        if self._compiled is not None:
            return
        began = time.process_time()
        lowered = jax.jit(self._function).lower(*arguments)
        self._compiled = lowered.compile(compiler_options=self._options())
        self.compile_seconds = time.process_time() - began

    def _options(self) -> dict[str, Any] | None:
        flags = os.environ.get("XLA_FLAGS", "")
        if not self._is_optimised or "backend_optimization_level" not in flags:
            return None
        options: dict[str, Any] = {"xla_backend_optimization_level": 3}
        if "backend_extra_options" in flags:
            options["xla_backend_extra_options"] = ""
        return options


def optimised(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function as for users, for any `XLA_FLAGS`."""
    return Program(function, is_optimised=True)


def stack(trees: Sequence[Any]) -> Any:
    """Stack pytrees on a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def side_by_side(whole: Episodes, short: Episodes) -> Episodes:
    """Return lanes of two environments; the second half has the limit as an option."""
    steps = max(len(whole.alive), len(short.alive))

    def join(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.concatenate([pad(one), pad(other)], axis=1)

    def pad(array: np.ndarray) -> np.ndarray:
        missing = [(0, steps - len(array))] + [(0, 0)] * (array.ndim - 1)
        return np.pad(array, missing)  # False: not alive

    arrays: dict[str, Any] = {
        name: join(getattr(whole, name), getattr(short, name)) for name in SEEN
    }
    first_obs = jax.tree.map(
        lambda *leaves: np.concatenate(leaves, axis=1), whole.first_obs, short.first_obs
    )
    return dataclasses.replace(whole, **arrays, first_obs=first_obs)


def program_of(trial: Subject, is_optimised: bool = False) -> Program:
    """Return a program that takes random steps, from params, seeds of lanes, a carry and times.

    Args:
        trial: the trial that has the environment and the spaces.
        is_optimised: whether to compile as for users from the start.

    Returns:
        A program that returns the carry (observations, states, and which lanes are alive) and the
        records.
    """
    env = trial.env
    obs_space, choose = env.observation_space(trial.params), RandomAction.of(env, trial.params)

    def one(params: Any, turn: Any, key: Any, obs: Any, state: Any, alive: Any) -> Any:
        key_action, key_step = jax.random.split(jax.random.fold_in(key, turn))
        result = env.step(key_step, state, choose(key_action, obs), params)
        seen = {
            "alive": alive,
            "contained": obs_space.contains(result.obs),
            "terminated": result.terminated.all(),
            "truncated": result.done.all() & result.truncated.any(),
            "reward_finite": jnp.isfinite(result.reward).all(),
            "first_obs": result.obs,
        }
        return (result.obs, result.state, alive & ~result.done.all()), seen

    def steps(params: Any, keys: Any, carry: Any, times: Any) -> Any:
        def step(carry: Any, turn: Any) -> Any:
            return jax.vmap(one, in_axes=(None, None, 0, 0, 0, 0))(params, turn, keys, *carry)

        return jax.lax.scan(step, carry, times)

    return Program(steps, is_optimised)


def follow(
    trial: Subject, params: Any, program: Program, longest: int = LONGEST, seed: int = 0
) -> Episodes:
    """Take random actions in lanes until all lanes have ended.

    Args:
        trial: the trial that has the environment and the spaces.
        params: the params of the episodes.
        program: a program of `program_of`; once it pays, it is compiled again, optimised.
        longest: the maximum number of steps.
        seed: which episodes.

    Raises:
        Refuted: if the observation of a reset lies outside its space.
    """
    env, obs_space = trial.env, trial.env.observation_space(trial.params)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), params)
    keys = jax.random.split(jax.random.key(3 + seed), LANES)
    starts = [env.reset(key, params) for key in keys]
    for obs, _ in starts:
        if not obs_space.contains(obs):
            raise Refuted(f"the observation of a reset is not in {obs_space}")
    carry = *stack(starts), jnp.ones(LANES, bool)
    seen, first_obs, speed = [], None, 0.0
    program.compile(params, keys, carry, jnp.arange(CHUNK))
    compile_seconds = program.compile_seconds
    is_pure = env.capabilities.jax_native
    for start in range(0, longest, CHUNK):
        if start == PATIENCE:
            program = program.optimised()  # thousands of steps: now compiling pays
        turn = functools.partial(program, params, keys, carry, jnp.arange(start, start + CHUNK))
        (carry, part), rate = _timed(turn)
        # On the host, what has ended is not stepped on.
        speed = max(speed, rate if is_pure else rate * np.mean(part["alive"]))
        part_obs = part.pop("first_obs")
        if first_obs is None:
            first_obs = jax.tree.map(lambda leaf: np.asarray(leaf[:SHORT]), part_obs)
        seen.append(jax.tree.map(np.asarray, part))
        alive = np.asarray(carry[-1])
        if not alive.any() or (start + CHUNK >= ENOUGH and not alive.all()):
            break
    if is_pure and len(seen) < WARM <= longest // CHUNK:  # the first calls of a program are slow
        speed = max(speed, *(_timed(turn)[1] for _ in range(WARM)))
    arrays = {name: np.concatenate([part[name] for part in seen]) for name in SEEN}
    return Episodes(
        **arrays,
        first_obs=first_obs,
        compile_seconds=compile_seconds,
        steps_per_second=float(speed),
    )


def _timed(chunk: Callable[[], Any]) -> tuple[Any, float]:
    """Run a chunk, and return its results and the steps per second of all lanes."""
    began = time.perf_counter()
    result = jax.block_until_ready(chunk())  # type: ignore[no-untyped-call]
    return result, LANES * CHUNK / (time.perf_counter() - began)
