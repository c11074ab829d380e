"""Evaluate a policy on whole episodes: their returns and lengths."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub import _inputs
from envhub._forks import refuse_after_fork
from envhub._random_policy import CHUNK
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, InvalidParamsError
from envhub.trajectories import Policy, check_policy, chosen_policy, runner
from envhub.vector import VectorEnv
from envhub.wrappers.autoreset import AutoReset

FOREVER = 2**31 - 1


class Evaluation(NamedTuple):
    """The result of `evaluate`, in the order in which the episodes were started.

    Attributes:
        returns: float32[num_episodes], the sum of the rewards of each episode; for several agents
            float32[num_episodes, num_agents].
        lengths: int32[num_episodes], the number of steps of each episode.

    Examples:
        >>> env, params = envhub.make("gymnax::Pendulum-v1", max_steps_in_episode=10)
        >>> returns, lengths = envhub.evaluate(env, params, None, jax.random.key(0), 3)
        >>> returns.shape, lengths.tolist()
        ((3,), [10, 10, 10])
    """

    returns: jax.Array
    lengths: jax.Array


def evaluate(
    env: Environment[Any, Any, Any] | VectorEnv[Any, Any, Any],
    params: Any,
    policy: Policy | None,
    key: jax.Array,
    num_episodes: int,
) -> Evaluation:
    """Play whole episodes, and return the return and the length of each.

    The first `num_episodes` episodes that start are played to their ends. So the result is not
    biased towards short episodes, as it would be if the first episodes to end were counted.

    For an environment, all episodes are played side by side, as in a batch of `num_episodes`; the
    policy gets one observation, and a key of `jax.random.split(policy_key, num_episodes)`. If the
    environment is not `vmap_safe`, the episodes are played one after another. For a batch, each
    lane plays one episode at a time; episodes that start in the same step are numbered by lane.

    The loop is that of `Trajectory`, with the same keys, until the last episode has ended. Rewards
    and ends are those that `env` shows: leave out wrappers that change rewards for training, such
    as `NormalizeReward`. It works inside `jit`, `scan` and `vmap`, over params, keys or weights.
    Outside these, Ctrl-C interrupts it even if an episode never ends.

    Args:
        env: an environment or a batch. Episodes that an environment's `AutoReset` starts do not
            count. A batch needs an `AutoReset`, unless each lane plays at most one episode.
        params: as for `env.step`; `None` for the default params.
        policy: as for `rollout`; `None` for random actions.
        key: one PRNG key; it determines the whole result.
        num_episodes: the number of episodes; for a batch with `batched_params`, in each lane.

    Returns:
        `(returns, lengths)`. With `batched_params` both have a leading axis of `num_envs`.

    Raises:
        InvalidOptionError: if `num_episodes` is not a positive integer, the batch has no
            `AutoReset` and too few environments, or the policy or the environment is invalid.
        InvalidKeyError, InvalidParamsError, InvalidActionError: as in `reset` and `step`.

    Examples:
        >>> venv, params = envhub.make_vec("gymnax::CartPole-v1", 4)
        >>> result = evaluate(venv, params, None, jax.random.key(0), 10)
        >>> result.lengths.shape, bool(jnp.all(result.returns == result.lengths))
        ((10,), True)
    """
    _check(env, policy, key, num_episodes)
    given: Any = env.default_params if params is None else params
    _inputs.check_arrays("params", given, InvalidParamsError)
    return _played(env, given, chosen_policy(env, given, policy), key, num_episodes)


class _Lanes(NamedTuple):
    """The progress of the lanes of a batch.

    Attributes:
        key: the key with which to continue.
        last: the pair `(obs, state)`.
        number: int32[num_envs], the episode that each lane plays; those after the last are ignored.
        started: int32[], the number of episodes that were started.
        waits: bool[num_envs], whether the next step resets and so belongs to no episode.
        total, length: the return and length so far of the episodes in progress.
        returns, lengths: the return and length of the episodes that ended, by number.
    """

    key: jax.Array
    last: tuple[Any, Any]
    number: jax.Array
    started: jax.Array
    waits: jax.Array
    total: jax.Array
    length: jax.Array
    returns: jax.Array
    lengths: jax.Array

    def result(self, env: Any, num_episodes: int) -> Evaluation:
        if not _has_batched_params(env):
            return Evaluation(self.returns, self.lengths)
        shape = env.num_envs, num_episodes
        returns = self.returns.reshape(*shape, *self.returns.shape[1:])
        return Evaluation(returns, self.lengths.reshape(shape))


def _check(env: Any, policy: Any, key: Any, num_episodes: Any) -> None:
    if not isinstance(env, Environment | VectorEnv):
        raise InvalidOptionError(
            f"evaluate needs an environment or a batch (a member of a fleet), got {env!r}."
        )
    check_policy(policy)
    _inputs.check_positive("num_episodes", num_episodes)
    if isinstance(env, VectorEnv) and not env.find(AutoReset):
        most = 1 if env.batched_params else env.num_envs
        if num_episodes > most:
            raise InvalidOptionError(
                f"{env} has no AutoReset, so it can play at most {most} episodes, not "
                f'{num_episodes}: make it with autoreset="same_step".'
            )
    refuse_after_fork()
    _inputs.check_key(key)


def _played(env: Any, params: Any, policy: Policy, key: jax.Array, num_episodes: int) -> Evaluation:
    start, play = env._shared.get("evaluate", _programs)
    params = env._params_in_force(params)
    lanes: _Lanes = runner(env, start)(params, key, num_episodes)
    run = functools.partial(runner(env, play), params, policy, num_episodes)
    given = jax.tree.leaves((lanes, params, policy))
    is_traced = any(isinstance(leaf, jax.core.Tracer) for leaf in given)
    is_over: Any = False
    while not is_over:
        lanes, is_over = run(lanes, FOREVER if is_traced else CHUNK)
        is_over = is_traced or is_over
    return lanes.result(env, num_episodes)


def _has_batched_params(env: Any) -> bool:
    return isinstance(env, VectorEnv) and env.batched_params


def _batch_of(env: Any, num_episodes: int) -> VectorEnv:
    """Return the batch that plays the episodes."""
    if isinstance(env, VectorEnv):
        return env
    if env.capabilities.vmap_safe:
        return VectorEnv(env, num_episodes)
    return VectorEnv(env if env.find(AutoReset) else AutoReset(env), 1)


def _programs(env: Environment | VectorEnv) -> tuple[Any, Any]:
    """Return the compiled programs that start the first episodes and play all episodes."""
    start = jax.jit(functools.partial(_start, env), static_argnums=2)
    return start, jax.jit(functools.partial(_play, env), static_argnums=2)


def _start(env: Any, params: Any, key: jax.Array, num_episodes: int) -> _Lanes:
    venv = _batch_of(env, num_episodes)
    key, reset_key = jax.random.split(key)
    lanes = jnp.arange(venv.num_envs, dtype=jnp.int32)
    size = venv.num_envs * num_episodes if venv.batched_params else num_episodes
    agents = (venv.num_agents,) if venv.num_agents > 1 else ()
    return _Lanes(
        key,
        venv.reset(reset_key, params),
        number=lanes * num_episodes if venv.batched_params else lanes,
        started=jnp.int32(venv.num_envs),
        waits=jnp.zeros(lanes.shape, bool),
        total=jnp.zeros((*lanes.shape, *agents), jnp.float32),
        length=jnp.zeros_like(lanes),
        returns=jnp.zeros((size, *agents), jnp.float32),
        lengths=jnp.zeros(size, jnp.int32),
    )


def _play(
    env: Any, params: Any, policy: Policy, num_episodes: int, lanes: _Lanes, most_steps: jax.Array
) -> tuple[_Lanes, jax.Array]:
    """Play this many steps, or until all episodes have ended; and tell whether they have."""
    venv = _batch_of(env, num_episodes)
    act = policy if isinstance(env, VectorEnv) else _for_each(policy, venv.num_envs)
    beyond: Any = num_episodes
    if venv.batched_params:
        beyond = (jnp.arange(venv.num_envs, dtype=jnp.int32) + 1) * num_episodes

    def goes_on(carry: tuple[_Lanes, jax.Array]) -> jax.Array:
        lanes, steps = carry
        return jnp.any(lanes.number < beyond) & (steps < most_steps)

    def advance(carry: tuple[_Lanes, jax.Array]) -> tuple[_Lanes, jax.Array]:
        lanes, steps = carry
        key, policy_key, step_key = jax.random.split(lanes.key, 3)
        obs, state = lanes.last
        result = venv.step(step_key, state, act(policy_key, obs), params)
        after = lanes._replace(key=key, last=(result.obs, result.state))
        seen = result.reward, result.done
        reward, done = venv._shards.replicate(seen) if venv._shards else seen
        return _counted(venv, after, reward, done, beyond), steps + 1

    lanes, _ = jax.lax.while_loop(goes_on, advance, (lanes, jnp.int32(0)))
    return lanes, ~jnp.any(lanes.number < beyond)


def _counted(
    venv: VectorEnv, lanes: _Lanes, reward: jax.Array, done: jax.Array, beyond: Any
) -> _Lanes:
    """Add a step to the episodes, and mark those that have ended."""

    def of_agents(of_lanes: jax.Array) -> jax.Array:
        return of_lanes.reshape(-1, *[1] * (reward.ndim - 1))

    total = lanes.total + jnp.where(of_agents(lanes.waits), 0, reward)
    length = lanes.length + ~lanes.waits
    ended = done.reshape(venv.num_envs, -1).all(1) & ~lanes.waits
    place = jnp.where(ended & (lanes.number < beyond), lanes.number, len(lanes.lengths))
    following = lanes.number + 1
    if not venv.batched_params:
        following = lanes.started + jnp.cumsum(ended, dtype=jnp.int32) - 1
    autoreset = venv.find(AutoReset)
    return lanes._replace(
        number=jnp.where(ended, following, lanes.number),
        started=lanes.started + jnp.sum(ended, dtype=jnp.int32),
        waits=ended if autoreset and autoreset.mode == "next_step" else lanes.waits,
        total=jnp.where(of_agents(ended), 0, total),
        length=jnp.where(ended, 0, length),
        returns=lanes.returns.at[place].set(total, mode="drop"),
        lengths=lanes.lengths.at[place].set(length, mode="drop"),
    )


def _for_each(policy: Policy, num_envs: int) -> Policy:
    """Turn a policy of one observation into a policy of all observations."""

    def act(key: jax.Array, obs: Any) -> Any:
        return jax.vmap(policy)(jax.random.split(key, num_envs), obs)

    return act
