"""Trajectories: a policy in an environment for some steps, as one compiled program."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp

from envhub import _inputs
from envhub._forks import refuse_after_fork
from envhub._progress import progress_bar
from envhub._random_action import RandomAction, RandomActions
from envhub._random_policy import CHUNK
from envhub._typing import Obs, Params, State
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, InvalidParamsError, InvalidStateError
from envhub.multi._environment import MultiEnv
from envhub.vector import VectorEnv

Playable = Environment | VectorEnv | MultiEnv
Policy = Callable[[jax.Array, Any], Any]
"""A policy: a function from a key and an observation to an action, in JAX."""


class Trajectory(NamedTuple, Generic[Obs, State]):
    """The result of `rollout`: arrays with time as the first axis, except `last` and `key`.

    It holds the values of this loop:

        key, reset_key = jax.random.split(key)
        obs, state = env.reset(reset_key, params)
        for _ in range(num_steps):
            key, policy_key, step_key = jax.random.split(key, 3)
            action = policy(policy_key, obs)
            obs, state, … = env.step(step_key, state, action, params)

    To continue, call `rollout(env, params, policy, trajectory.key, num_steps,
    state=trajectory.last)`: together, both results equal one longer trajectory.

    Under `vmap`, the axes of the `vmap` come before time. The axis of a `VectorEnv` comes after it.

    Attributes:
        obs: the observation from which each action was chosen. Step `t` leads to `obs[t + 1]`, and
            the last step to `last[0]`. If an `AutoReset` in mode `"same_step"` started an episode,
            that is its first observation, and `info["final_obs"][t]` is the final observation.
        action: the action that the policy chose.
        reward: the reward of the step with that action.
        terminated: whether that step ended the MDP.
        truncated: whether a limit cut the episode at that step.
        info: the `info` of that step, as in `StepResult`.
        last: the pair `(obs, state)` after the last step.
        key: the key with which to continue.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> trajectory = envhub.rollout(env, params, None, jax.random.key(0), 5)
        >>> trajectory.obs.shape, trajectory.reward.tolist(), trajectory.last[0].shape
        ((5, 4), [1.0, 1.0, 1.0, 1.0, 1.0], (4,))
    """

    obs: Obs
    action: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    info: dict[str, Any]
    last: tuple[Obs, State]
    key: jax.Array

    @property
    def done(self) -> jax.Array:
        """Whether an episode ended at each step, for either reason; for a fleet, by name."""
        done: jax.Array = jax.tree.map(jnp.logical_or, self.terminated, self.truncated)
        return done


def rollout(
    env: Environment[Obs, State, Params] | VectorEnv[Obs, State, Params] | MultiEnv,
    params: Params | None,
    policy: Policy | None,
    key: jax.Array,
    num_steps: int,
    *,
    state: tuple[Obs, State] | None = None,
    progress: bool = False,
) -> Trajectory[Obs, State]:
    """Collect a trajectory, as one compiled program.

    The result equals the loop that `Trajectory` shows, except for the last bit where XLA rounds
    differently in a larger program. The program is compiled once per environment, policy and
    `num_steps`, and works inside `jit`, `scan` and `vmap` too.

    With an `AutoReset`, which every batch of `envhub.make_vec` has by default, an episode follows
    another. Without one, the suite decides what steps after the end of an episode do.

    Args:
        env: an environment, a batch, or a fleet; for a fleet, all values are dicts by name.
        params: as for `env.step`; `None` for the default params.
        policy: `policy(key, obs)` returns an action; for a batch, it maps one key and all
            observations to all actions. `None` for random actions, which are legal where the
            observation has an `action_mask`; if the params are traced or
            batched, these come from the space under the default params. A function is compiled
            once, with the values that it closes over, so pass the same function again. Pass weights
            that change as `jax.tree_util.Partial(function, weights)`, for
            `function(weights, key, obs)`, or as any other callable pytree of arrays.
        key: one PRNG key; it determines the whole trajectory.
        num_steps: the number of steps, in each environment of a batch.
        state: the pair `(obs, state)` from which to start, as `reset` returns it; then there is no
            reset, and `key` is not split for one.
        progress: whether to show progress on stderr, outside `jit` and `vmap`: a bar if `rich` is
            installed, otherwise lines. The steps are then taken in up to 100 parts.

    Raises:
        InvalidOptionError: if `num_steps` is not a positive integer, the policy or the environment
            is invalid, or `progress` is true inside `jit` or `vmap`.
        InvalidStateError: if `state` is not such a pair; and all errors of `reset` and `step`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> rollout(env, params, lambda key, obs: 1, jax.random.key(0), 4).action.tolist()
        [1, 1, 1, 1]
    """
    _check(env, policy, key, num_steps)
    given: Any = env.default_params if params is None else params
    _inputs.check_arrays("params", given, InvalidParamsError)
    key, state = _start(env, given, key, state)
    chosen = chosen_policy(env, given, policy)
    run = functools.partial(runner(env, _compiled(env)), env._params_in_force(given), chosen)
    if progress:
        return _in_parts(run, key, state, num_steps)
    trajectory: Trajectory[Obs, State] = run(key, state, num_steps)
    return trajectory


def check_policy(policy: Any) -> None:
    """Refuse a policy that cannot be called.

    Raises:
        InvalidOptionError: if it is neither a function nor `None`.
    """
    if not (policy is None or callable(policy)):
        raise InvalidOptionError(
            f"policy must be a function of a key and an observation, got {policy!r}."
        )


def _check(env: Any, policy: Any, key: Any, num_steps: Any) -> None:
    if not isinstance(env, Environment | VectorEnv | MultiEnv):
        raise InvalidOptionError(
            f"rollout needs an environment, a VectorEnv or a MultiEnv, got {env!r}."
        )
    check_policy(policy)
    _inputs.check_positive("num_steps", num_steps)
    refuse_after_fork()
    _inputs.check_key(key)


def _start(env: Playable, params: Any, key: jax.Array, state: Any) -> tuple[jax.Array, Any]:
    """Return the key with which to continue, and the pair `(obs, state)` from which to start."""
    if state is None:
        key, reset_key = jax.random.split(key)
        state = env.reset(reset_key, params)
    if not (isinstance(state, tuple) and len(state) == 2):
        raise InvalidStateError("state must be the pair (obs, state) that reset returns.")
    _inputs.check_arrays("state", state, InvalidStateError)
    return key, state


def chosen_policy(env: Playable, params: Any, policy: Policy | None) -> Any:
    """Return the policy (by default random actions) as an argument of a compiled function."""
    chosen = _random(env, params) if policy is None else policy
    if jax.tree_util.all_leaves([chosen]):  # a function is a part of the program, and not an input
        return jax.tree_util.Partial(chosen)  # type: ignore[no-untyped-call]
    return chosen


def _random(env: Playable, params: Any) -> RandomAction | RandomActions:
    if isinstance(env, MultiEnv):
        return RandomActions.of(env.envs, env.default_params)
    return RandomAction.of(env, params)


def runner(env: Any, compiled: Any) -> Any:
    """Return the program, which separates errors of a callback from errors of the caller."""
    if isinstance(env, MultiEnv):
        return functools.reduce(
            lambda run, member: runner(member, run), env.envs.values(), compiled
        )
    one = env.env if isinstance(env, VectorEnv) else env
    return functools.partial(one._run, compiled)


def _compiled(env: Environment | VectorEnv | MultiEnv) -> Any:
    """Return the program, kept with the environment's other programs, not in a function cache."""
    return env._shared.get(
        "rollout", lambda env: jax.jit(functools.partial(_collect, env), static_argnums=4)
    )


def _collect(
    env: Playable,
    params: Any,
    policy: Policy,
    key: jax.Array,
    start: tuple[Any, Any],
    num_steps: int,
) -> Trajectory:
    def advance(carry: Any, _: None) -> Any:
        key, (obs, state) = carry
        key, policy_key, step_key = jax.random.split(key, 3)
        action = policy(policy_key, obs)
        result = env.step(step_key, state, action, params)
        others = (result.reward, result.terminated, result.truncated, result.info)
        return (key, (result.obs, result.state)), (obs, action, *others)

    (key, last), seen = jax.lax.scan(advance, (key, start), None, num_steps)
    return Trajectory._make((*seen, last, key))


def _in_parts(
    run: Callable[..., Trajectory], key: jax.Array, state: tuple[Any, Any], num_steps: int
) -> Trajectory:
    """Collect parts of at most two lengths; each length is compiled once."""
    count = min(math.ceil(num_steps / CHUNK), 100)
    length, longer = divmod(num_steps, count)
    parts = []
    with progress_bar(num_steps, "steps") as report:
        done = 0
        for index in range(count):
            steps = length + (index < longer)
            part = run(key, state, steps)
            if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(part)):
                raise InvalidOptionError(
                    "progress=True shows a rollout while it runs: call it outside jit and vmap."
                )
            jax.block_until_ready(part)  # type: ignore[no-untyped-call]
            key, state = part.key, part.last
            parts.append(part[:-2])
            done += steps
            report(done)
    return Trajectory._make((*jax.tree.map(_joined, *parts), state, key))


def _joined(first: jax.Array, *others: jax.Array) -> jax.Array:
    # Over several devices, XLA splits the actions of parts in different ways.
    return jnp.concatenate([first, *(jax.device_put(each, first.sharding) for each in others)])
