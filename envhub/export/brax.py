"""An environment in brax's interface."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import hub, registry, spaces
from envhub._forks import refuse_after_fork
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.export.checks import check_one_episode
from envhub.export.copies import Copied


def to_brax(env: Environment, params: Any = None) -> Any:
    """Export an environment as a `brax.envs.Env`, for `brax.training`.

    `reset(rng)` and `step(state, action)` return brax's `State`: `pipeline_state` is the
    environment's own state, `obs` is float32, `reward` is float32[], `metrics` holds the single
    numbers of the environment's `info`, and `info["truncation"]` is 1.0 if the environment's own
    limit cut the episode. `step` draws from a key in `info["key"]`.

    `done` is 1.0 if the episode terminated. It is not set at the environment's own limit, because
    brax would treat that as a termination: in brax, the limit is `episode_length` of its training.
    If `episode_length` is above the environment's own limit, brax's `EpisodeWrapper` is made to cut
    the episode in the next step: that step does nothing, and brax leaves it out as it does every
    truncation. brax counts it as infinitely many steps, so `eval/avg_episode_length` is infinite.

    Actions are those of brax's policies: one axis, from -1 to 1, scaled to the environment's own
    bounds if these are finite. The export has no automatic reset and no limit, because brax's
    training adds them. brax's automatic reset returns to the first state of each environment.

    Args:
        env: one environment of one agent, without `AutoReset`. Its actions are a `Box` of floats
            and its observations a `Box` of one axis or a `Dict` of boxes. A callback environment
            must be `forkable`.
        params: the params of all calls; by default the environment's default params.

    Raises:
        InvalidOptionError: if the environment is not of this kind.
        MissingCapabilityError: if it is not forkable, because brax returns to earlier states.
        MissingDependencyError, UnsupportedVersionError: if brax is not usable.

    Examples:
        >>> env, params = envhub.make("gymnax::Pendulum-v1")
        >>> exported = to_brax(env, params)
        >>> exported.observation_size, exported.action_size
        (3, 1)
    """
    check_one_episode(env, "to_brax")
    hub.require(env, "forkable")
    params = env.default_params if params is None else params
    actions = env.action_space(params)
    if not isinstance(actions, spaces.Box) or actions.dtype.kind != "f":
        raise InvalidOptionError(
            f"brax's policies need a Box (float) action space; {env} has {actions}. "
            + _floats_for(actions)
        )
    return _env_class()(env, params, actions, _sizes(env, env.observation_space(params)))


def _floats_for(actions: spaces.Space) -> str:
    """Return how to convert floats to the environment's actions."""
    if not isinstance(actions, spaces.Discrete):
        return "envhub.wrappers.TransformAction maps floats to them."
    start = f" + {actions.start}" if actions.start else ""
    return (
        f"Choose the greatest of {actions.n} floats: envhub.wrappers.TransformAction("
        f"func=lambda scores: jnp.argmax(scores){start}, "
        f"action_space=envhub.spaces.Box(-1, 1, ({actions.n},)))."
    )


def _sizes(env: Environment, space: spaces.Space) -> Any:
    """Return brax's `observation_size`.

    Raises:
        InvalidOptionError: if brax cannot represent the observations.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return space.shape[0]
    if isinstance(space, spaces.Dict):
        boxes = {name: child for name, child in space.items() if isinstance(child, spaces.Box)}
        if len(boxes) == len(space):
            return {name: box.shape for name, box in boxes.items()}
    raise InvalidOptionError(
        f"brax's networks need vector observations; {env} has {space}. "
        "envhub.wrappers.FlattenObservation makes vectors of arrays."
    )


@functools.cache
def _env_class() -> Any:
    base: Any = registry.get("brax").load("envs.base")

    class EnvHubBraxEnv(Copied, base.Env):  # type: ignore[misc]
        """An environment of envhub; see `envhub.export.to_brax`."""

        class_of = staticmethod(_env_class)

        def __init__(self, env: Environment, params: Any, actions: spaces.Box, sizes: Any) -> None:
            self.env, self.params = env, params
            self._actions, self._sizes = actions, sizes

        def reset(self, rng: jax.Array) -> Any:
            refuse_after_fork()
            key, reset_key = jax.random.split(rng)
            obs, state = self.env.reset(reset_key, self.params)
            action = jnp.zeros(self._actions.shape, self._actions.dtype)
            step = functools.partial(self.env.step, params=self.params)
            shapes = jax.eval_shape(step, key, state, action)
            metrics = {name: jnp.float32(0) for name in _metrics(shapes)}
            zero = jnp.float32(0)
            info = {"key": key, "truncation": zero, "limit": zero}
            return base.State(state, _floats(obs), zero, zero, metrics, info)

        def step(self, state: Any, action: jax.Array) -> Any:
            refuse_after_fork()
            key, step_key = jax.random.split(state.info["key"])
            action = _scaled(action, self._actions)
            result = self.env.step(step_key, state.pipeline_state, action, self.params)
            metrics = {name: jnp.float32(value) for name, value in _metrics(result).items()}
            truncation = result.truncated.astype(jnp.float32)
            limit = truncation * ~result.terminated
            after = state.replace(
                pipeline_state=result.state,
                obs=_floats(result.obs),
                reward=result.reward,
                done=result.terminated.astype(jnp.float32),
                metrics=state.metrics | metrics,
                info=state.info | {"key": key, "truncation": truncation, "limit": limit},
            )
            return _cut(state, after) if "steps" in state.info else after

        @property
        def observation_size(self) -> Any:
            return self._sizes

        @property
        def action_size(self) -> int:
            return int(self._actions.low.size)

        @property
        def backend(self) -> str:
            return "envhub"

    return EnvHubBraxEnv


def _scaled(action: jax.Array, space: spaces.Box) -> jax.Array:
    """Scale an action of brax's policies, from -1 to 1, to the space."""
    low, high = space.low, space.high
    action = action.reshape(space.shape)
    is_same = (low == -1).all() and (high == 1).all()
    if is_same or not np.isfinite([low, high]).all():
        return action
    return jnp.clip(low + (action + 1) * (high - low) / 2, low, high)


def _cut(before: Any, after: Any) -> Any:
    """Make brax's `EpisodeWrapper` cut an episode at the environment's own limit.

    The wrapper overwrites the truncation with 0 until its count of steps reaches its limit; it
    reads the count from `info` (brax 0.12 to 0.14).
    """
    is_over = (before.info["limit"] > 0) & (before.info["truncation"] == 0)
    steps = before.info["steps"]
    most = np.inf if steps.dtype.kind == "f" else np.iinfo(steps.dtype).max // 2

    def chosen(old: Any, new: Any) -> Any:
        return jax.tree.map(functools.partial(jnp.where, is_over), old, new)

    zero, info = jnp.zeros_like(after.reward), after.info
    kept = {name: chosen(before.info[name], info[name]) for name in ("truncation", "limit")}
    return after.replace(
        obs=chosen(before.obs, after.obs),
        reward=chosen(zero, after.reward),
        done=chosen(zero, after.done),
        info=info | kept | {"steps": chosen(jnp.full_like(steps, most), steps)},
    )


def _metrics(result: StepResult) -> dict[str, Any]:
    """Return the single numbers in the `info` of a step, by path."""
    leaves = jax.tree_util.tree_leaves_with_path(result.info)
    return {"/".join(map(_name, path)): leaf for path, leaf in leaves if leaf.shape == ()}


def _name(step: Any) -> str:
    return str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", step))))


def _floats(obs: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), obs)
