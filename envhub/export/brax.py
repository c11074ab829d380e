"""An environment in brax's interface."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import _inputs, hub, registry, spaces
from envhub._forks import refuse_after_fork
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidActionError, InvalidOptionError
from envhub.export.checks import check_one_episode
from envhub.export.copies import Copied

# The truncation after the end of an episode, for what is left of an action repeat. After the
# repeat, `EpisodeWrapper` overwrites it.
ENDED = 2.0


def to_brax(env: Environment, params: Any = None) -> Any:
    """Export an environment as a `brax.envs.Env`, for `brax.training`.

    `reset(rng)` and `step(state, action)` return brax's `State`: `pipeline_state` is the
    environment's own state, `obs` is float32, `reward` is float32[], `metrics` holds the single
    numbers of the environment's `info`. `step` draws from a key in `info["key"]`.

    `done` is 1.0 in the step that ends the episode, and `info["truncation"]` is 1.0 if a limit
    alone ended it: the environment's own, or `episode_length` of brax's training if that is lower.
    If `episode_length` is higher, brax counts infinitely many steps of an episode that the
    environment's own limit ended, so `eval/avg_episode_length` is infinite. What is left of an
    action repeat after the end does nothing, and has the reward 0.

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
            _inputs.check_key(rng)
            key, reset_key = jax.random.split(rng)
            obs, state = self.env.reset(reset_key, self.params)
            action = jnp.zeros(self._actions.shape, self._actions.dtype)
            step = functools.partial(self.env.step, params=self.params)
            shapes = jax.eval_shape(step, key, state, action)
            metrics = {name: jnp.float32(0) for name in _metrics(shapes)}
            zero = jnp.float32(0)
            info = {"key": key, "truncation": zero}
            return base.State(state, _floats(obs), zero, zero, metrics, info)

        def step(self, state: Any, action: jax.Array) -> Any:
            refuse_after_fork()
            key, step_key = jax.random.split(state.info["key"])
            action = _scaled(action, self._actions)
            result = self.env.step(step_key, state.pipeline_state, action, self.params)
            metrics = {name: jnp.float32(value) for name, value in _metrics(result).items()}
            cut = (result.truncated & ~result.terminated).astype(jnp.float32)
            after = state.replace(
                pipeline_state=result.state,
                obs=_floats(result.obs),
                reward=result.reward,
                done=(result.terminated | result.truncated).astype(jnp.float32),
                metrics=state.metrics | metrics,
                info=state.info | {"key": key, "truncation": cut},
            )
            return _under_training(state, after) if "steps" in state.info else after

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
    """Scale an action of brax's policies, from -1 to 1, to the space.

    Raises:
        InvalidActionError: if it has another number of elements.
    """
    low, high = space.low, space.high
    if jnp.size(action) != low.size:
        raise InvalidActionError(
            f"the action of one environment has {low.size} numbers, got the shape "
            f"{jnp.shape(action)}. For several environments, use vmap."
        )
    action = jnp.reshape(action, space.shape)
    is_same = (low == -1).all() and (high == 1).all()
    if is_same or not np.isfinite([low, high]).all():
        return action
    return jnp.clip(low + (action + 1) * (high - low) / 2, low, high)


def _under_training(before: Any, after: Any) -> Any:
    """Make brax's `EpisodeWrapper` end an episode where the environment does.

    The wrapper repeats an action and then overwrites the truncation: with 0 until its count of the
    steps, which is in `info`, reaches its limit, and with 1 then, unless the environment says
    `done` (brax 0.12 to 0.14).
    """
    wrapper = _episode_wrapper()
    if wrapper is None:
        return after
    info, steps = after.info, after.info["steps"]
    is_cut = info["truncation"] > 0
    is_early = is_cut & (steps + wrapper.action_repeat < wrapper.episode_length)
    most = np.inf if steps.dtype.kind == "f" else np.iinfo(steps.dtype).max // 2
    own = {
        "steps": jnp.where(is_early, most, steps),
        "truncation": jnp.where(after.done > 0, ENDED, info["truncation"]),
    }
    after = after.replace(done=after.done * ~is_cut, info=info | own)
    if wrapper.action_repeat == 1:
        return after
    is_over = before.info["truncation"] == ENDED
    ended = before.replace(reward=jnp.zeros_like(before.reward))
    return jax.tree.map(functools.partial(jnp.where, is_over), ended, after)


def _episode_wrapper() -> Any:
    """Return the `EpisodeWrapper` of brax that is calling, or `None`.

    Only the wrapper knows its limit. It is among the callers because it is being traced.
    """
    kind = registry.get("brax").load("envs.wrappers.training").EpisodeWrapper
    frame = inspect.currentframe()
    while frame and not isinstance(frame.f_locals.get("self"), kind):
        frame = frame.f_back
    return frame and frame.f_locals["self"]


def _metrics(result: StepResult) -> dict[str, Any]:
    """Return the single numbers in the `info` of a step, by path."""
    leaves = jax.tree_util.tree_leaves_with_path(result.info)
    return {"/".join(map(_name, path)): leaf for path, leaf in leaves if leaf.shape == ()}


def _name(step: Any) -> str:
    return str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", step))))


def _floats(obs: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), obs)
