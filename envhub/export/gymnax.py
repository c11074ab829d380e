"""Export an environment with gymnax's interface."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub import registry, spaces
from envhub._forks import refuse_after_fork
from envhub._tracing import numpy_for
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.export.checks import check_one_episode
from envhub.export.copies import Copied
from envhub.limits import NO_LIMIT
from envhub.params import params_dataclass
from envhub.spaces._trees import map_space
from envhub.wrappers._episode import EpisodeWrapper
from envhub.wrappers._options import check_count
from envhub.wrappers.autoreset import AutoReset

LIMIT = "max_steps_in_episode"


@params_dataclass
class Params:
    """The params for an environment whose own params have no field `max_steps_in_episode`.

    Attributes:
        max_steps_in_episode: a limit in addition to the environment's own limit.
        env: the environment's own params.
    """

    max_steps_in_episode: Any
    env: Any


class State(NamedTuple):
    """The state of an environment and its progress in the episode.

    Attributes:
        env: the environment's own state.
        time: int32[], the steps since the reset.
        terminated, truncated: bool[], how the last step ended the episode.
    """

    env: Any
    time: jax.Array
    terminated: jax.Array
    truncated: jax.Array


def to_gymnax(
    env: Environment,
    params: Any = None,
    *,
    api: Literal["1.0", "0.0"] | None = None,
    max_steps_in_episode: int | None = None,
) -> Any:
    """Export an environment as a subclass of gymnax's `Environment`.

    `reset(key, params=None)` returns `(obs, state)`. `step(key, state, action, params=None)` resets
    when an episode ends: it then returns the observation and the state of the next episode:

    - in gymnax 1.0's form `(obs, state, reward, terminated, truncated, info)`, where `info` has
      `terminated`, `truncated` and `final_observation`, the observation before a reset;
    - in the form of gymnax 0.0.x `(obs, state, reward, done, info)`.

    For an environment of the suite gymnax, both forms equal gymnax's own, bit for bit, but a step
    computes a reset only for the lanes of a `vmap` that need one. `step_env` does not reset, and
    `is_terminated`, `is_truncated`, `is_terminal` and `discount` tell how a state that it returned
    ended. `info["discount"]` is the environment's own. If it has none, it is 0 if the episode
    terminated (in the older form: or was truncated) and 1 otherwise.

    `default_params` are the environment's own if they have a field `max_steps_in_episode`, and
    otherwise `Params`: this field, and the environment's own params in `env`. The spaces are
    gymnax's own objects. An observation space `MultiDiscrete` or `MultiBinary` becomes a `Box`.
    `get_obs` and `state_space` are not implemented. As in gymnax, an action may have any shape with
    the right number of elements: a scalar for `Box(1,)`.

    Args:
        env: one environment of one agent, without `AutoReset`.
        params: the default params; by default the environment's own.
        api: the version of gymnax's form; by default that of the installed gymnax, which gymnax's
            own wrappers need. A trainer that unpacks five values of `step`, such as rejax 0.1 and
            scripts in the style of PureJaxRL, needs `"0.0"` with every gymnax. Only the caller can
            notice the wrong form, in Python's `ValueError`: "too many values to unpack (expected
            5" asks for `"0.0"`, and "not enough values to unpack (expected 6" for `"1.0"`.
        max_steps_in_episode: the default of the params' field of that name; by default the
            environment's own limit, or 2**31 - 1 if it has none.

    Raises:
        InvalidOptionError: if the environment is not of this kind, gymnax has no space for its
            actions, or the api or the limit is invalid.
        MissingDependencyError, UnsupportedVersionError: if gymnax is not usable.

    Examples:
        >>> env, params = envhub.make("gymnasium::CartPole-v1")
        >>> exported = to_gymnax(env, params)
        >>> exported.num_actions
        2
    """
    check_one_episode(env, "to_gymnax")
    is_old = not _has_six_values(api)
    params = env.default_params if params is None else params
    episodes = _Episodes(env, has_limit=hasattr(params, LIMIT))
    episodes.default_params = _with_limit(env, params, max_steps_in_episode)
    return _env_class()(episodes, is_old=is_old)


def _with_limit(env: Environment, params: Any, asked: int | None) -> Any:
    """Return the params, or `Params` around them, with a limit, which is `asked` if it is given."""
    if not hasattr(params, LIMIT):
        limit = env.episode_limit(params)
        params = Params(NO_LIMIT if limit is None else limit, params)
    if asked is None:
        return params
    check_count(LIMIT, asked)
    return params.replace(max_steps_in_episode=asked)


def _has_six_values(api: str | None) -> bool:
    """Tell whether a step returns six values, as in gymnax 1.0, instead of five."""
    suite = registry.get("gymnax")
    own = "1.0" if suite.at_least("1.0") else "0.0"
    if api not in ("1.0", "0.0", None):
        raise InvalidOptionError(
            f'api must be "1.0", for six values of a step, or "0.0", for five, got {api!r}. The '
            "gymnax "
            f"that is installed ({suite.installed()}) has that of {own!r}."
        )
    return (api or own) == "1.0"


class _Episodes(EpisodeWrapper):
    """Counts the steps of an episode, keeps its flags, and truncates it."""

    def __init__(self, env: Environment, *, has_limit: bool) -> None:
        super().__init__(env)
        self.has_limit = has_limit

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, self._inside(params))
        return obs, State(state, jnp.int32(0), jnp.bool_(False), jnp.bool_(False))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, self._inside(params))
        time, truncated = state.time + 1, result.truncated
        if not self.has_limit:
            truncated |= time >= params.max_steps_in_episode
        after = State(result.state, time, result.terminated, truncated)
        return result._replace(state=after, truncated=truncated)

    def limit(self, params: Any) -> Any:
        inside = self.env.limit(self._inside(params))
        if self.has_limit:
            return inside
        own = params.max_steps_in_episode
        return own if inside is None else numpy_for((inside, own)).minimum(inside, own)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self.env.observation_space(self._inside(params))

    def action_space(self, params: Any = None) -> spaces.Space:
        return self.env.action_space(self._inside(params))

    def _inside(self, params: Any) -> Any:
        params = self.default_params if params is None else params
        return params if self.has_limit else params.env


class _Environment(Copied):
    """The methods, in front of those of gymnax's class."""

    def __init__(self, env: _Episodes, *, is_old: bool) -> None:
        self.env, self._is_old = env, is_old
        self._resetting = AutoReset(env)
        self._action_space = _space(env.action_space(), of_actions=True)

    @property
    def default_params(self) -> Any:
        return self.env.default_params

    def reset(self, key: jax.Array, params: Any = None) -> tuple[Any, Any]:
        return self.env.reset(key, params)

    def reset_env(self, key: jax.Array, params: Any = None) -> tuple[Any, Any]:
        return self.env.reset(key, params)

    def step(self, key: jax.Array, state: Any, action: Any, params: Any = None) -> Any:
        refuse_after_fork()
        result = self._resetting.step(key, state, self._reshaped(action), params)
        info = self._with_discount(result)
        last_obs = info.pop("final_obs")
        flags = {"terminated": result.terminated, "truncated": result.truncated}
        if self._is_old:
            return result.obs, result.state, result.reward, result.done, info
        info |= {**flags, "final_observation": last_obs}
        return result.obs, result.state, result.reward, *flags.values(), info

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any = None) -> Any:
        refuse_after_fork()
        result = self.env.step(key, state, self._reshaped(action), params)
        ended = result.done if self._is_old else result.terminated
        return result.obs, result.state, result.reward, ended, self._with_discount(result)

    def is_terminated(self, state: State, params: Any = None) -> jax.Array:
        return state.terminated

    def is_truncated(self, state: State, params: Any = None) -> jax.Array:
        return state.truncated

    def is_terminal(self, state: State, params: Any = None) -> jax.Array:
        refuse_after_fork()
        return state.terminated | state.truncated if self._is_old else state.terminated

    def discount(self, state: State, params: Any = None) -> jax.Array:
        return jnp.where(self.is_terminal(state), 0.0, 1.0)

    def action_space(self, params: Any = None) -> Any:
        return self._action_space

    def observation_space(self, params: Any = None) -> Any:
        refuse_after_fork()
        return _space(self.env.observation_space(params), of_actions=False)

    def get_obs(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError("a state has no observation: reset and step return it.")

    def state_space(self, params: Any = None) -> Any:
        raise NotImplementedError("the states of environments have no space.")

    @property
    def num_actions(self) -> int:
        space = self._action_space
        return int(space.n) if hasattr(space, "n") else math.prod(space.shape)

    @property
    def name(self) -> str:
        return self.env.spec.id if self.env.spec else type(self.env.env).__name__

    def _reshaped(self, action: Any) -> Any:
        """Reshape an action with the right number of elements to the shape of the space."""
        try:
            return map_space(_in_shape, self.env._actions, action)
        except (TypeError, ValueError, KeyError):
            return action  # of another structure, which `step` refuses

    def _with_discount(self, result: StepResult) -> dict[str, Any]:
        ended = result.done if self._is_old else result.terminated
        return {"discount": jnp.where(ended, 0.0, 1.0), **result.info}


@functools.cache
def _env_class() -> Any:
    environment: Any = registry.get("gymnax").load("environments.environment")

    class EnvHubEnvironment(_Environment, environment.Environment):  # type: ignore[misc]
        """An environment of envhub; see `envhub.export.to_gymnax`."""

        class_of = staticmethod(_env_class)

    return EnvHubEnvironment


def _in_shape(space: Any, leaf: Any) -> Any:
    if np.shape(leaf) == space.shape or np.size(leaf) != math.prod(space.shape):
        return leaf
    return jnp.reshape(leaf, space.shape)


def _space(space: Any, *, of_actions: bool) -> Any:
    """Convert a space to gymnax's.

    Raises:
        InvalidOptionError: if gymnax has no space whose samples are actions.
    """
    kinds: Any = registry.get("gymnax").load("environments.spaces")
    if isinstance(space, spaces.Dict):
        children = {name: _space(child, of_actions=of_actions) for name, child in space.items()}
        return kinds.Dict(children)
    if isinstance(space, spaces.Tuple):
        return kinds.Tuple([_space(child, of_actions=of_actions) for child in space])
    if isinstance(space, spaces.Discrete) and not space.start:
        return kinds.Discrete(space.n)
    if of_actions and space.dtype.kind != "f":
        raise InvalidOptionError(
            f"gymnax has no action space for {space}. Wrap the environment: FlattenAction takes "
            "one number for several integers, and TransformAction takes any other action."
        )
    # JAX's dtype, which without x64 mode may be narrower.
    dtype = jax.dtypes.canonicalize_dtype(space.dtype)
    low, high = (np.asarray(bound, dtype) for bound in (space.low, space.high))
    return kinds.Box(low, high, space.shape, dtype)
