"""The one protocol that every environment follows: `docs/contract.md`, section 2."""

from __future__ import annotations

import abc
import functools
from collections.abc import Hashable
from typing import Any, Generic, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from envhub import _inputs, _travel, spaces
from envhub._agents import Agents
from envhub._arrays import placed
from envhub._compiled import compile_reset, compile_step
from envhub._display import table
from envhub._forks import refuse_after_fork
from envhub._key_reuse import count_one_use
from envhub._pictures import picture_of
from envhub._reset_where import reset_where
from envhub._result import StepResult
from envhub._tracing import is_outside, is_traced
from envhub._typing import Obs, Params, State
from envhub._value import Alone, Value, key_of
from envhub.errors import (
    EnvHubError,
    MissingCapabilityError,
    RenderError,
    UnpicklableError,
)
from envhub.flags import Capabilities
from envhub.params import register_waiting
from envhub.spec import EnvSpec, show

__all__ = ["Environment", "StepResult"]

register_waiting()
E = TypeVar("E")
COMPARED = ("capabilities", "default_params", "spec", "unwrapped")


class Environment(Agents, Value, abc.ABC, Generic[Obs, State, Params]):
    """An environment: pure functions of keys, states, actions and params.

    An environment is a value. JAX-native environments with equal specs are equal and share compiled
    code. A callback environment equals only itself, because its states may refer to its own
    instances. A copy (`copy.copy`, `copy.deepcopy`) is the same object, because states hold the
    episodes. Unpickling makes the environment again, with its own instances.

    Adapters implement the hooks `reset_env`, `step_env`, `observation_space`, `action_space` and,
    if the suite can draw, `render_env`. Callers use `reset`, `step` and `render`, which add
    what every suite needs: input checks, compiled calls outside `jit`, and stable dtypes.

    Type checkers read `Environment[Obs, State, Params]` as an environment with these types; an
    omitted type is `Any`.

    Attributes:
        default_params: the params of calls that pass none; `None` if the suite has no params.
        capabilities: what this environment can do; the same as `envhub.capabilities(id)`.
        spec: what it was made from; `None` if `envhub.make` did not make it.
        unwrapped: the suite's own object.
        num_agents: the number of agents that act.
        turn_based: whether one agent acts in each step: the one whom `obs["current_player"]` names.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> obs, state = env.reset(jax.random.key(0), params)
        >>> result = env.step(jax.random.key(1), state, 1, params)
        >>> result.obs.shape, float(result.reward), bool(result.done)
        ((4,), 1.0, False)
    """

    limited_by: str | None = None  # the keyword that `Suite.limit` names
    _made_of: tuple[tuple[Any, ...], dict[str, Any]] | None  # the arguments, if there is no spec

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._made_of = args, kwargs
        return made

    def __init__(
        self,
        unwrapped: Any,
        default_params: Params,
        capabilities: Capabilities,
        spec: EnvSpec | None = None,
    ) -> None:
        self.unwrapped = unwrapped
        self.default_params = default_params
        self.capabilities = capabilities
        self.spec = spec
        self._placed: tuple[Any, Any] | None = None  # the default params, as given and placed

    @abc.abstractmethod
    def reset_env(self, key: jax.Array, params: Params) -> tuple[Obs, State]:
        """Call the suite's own reset, and return `(obs, state)`."""

    @abc.abstractmethod
    def step_env(
        self, key: jax.Array, state: State, action: Any, params: Params
    ) -> StepResult[Obs, State]:
        """Call the suite's own step, which never resets."""

    @abc.abstractmethod
    def observation_space(self, params: Params | None = None) -> spaces.Space[Obs]:
        """Return the space of all observations under these params, which may be traced."""

    @abc.abstractmethod
    def action_space(self, params: Params | None = None) -> spaces.Space:
        """Return the space of actions that `step` accepts under these params (may be traced)."""

    def derived_params(self, params: Any, changed: set[str]) -> dict[str, Any]:
        """Return the new values of fields that are computed from changed fields, by name.

        `make` sets them, unless the caller passes these fields too.
        """
        return {}

    def step_then_reset(
        self, key: jax.Array, state: State, action: Any, params: Params
    ) -> tuple[StepResult[Obs, State], Obs]:
        """Advance one step, and start the next episode if this one ended; `AutoReset` calls this.

        The key is split in two: the first half is for the step, the second for the reset.

        Returns:
            The result, with the observation and the state of the next episode if one started; and
            the final observation of the step itself.
        """
        result = self.step(jax.random.split(key)[0], state, action, params)
        obs, after = self._reset_where(jnp.all(result.done), key, params, result)
        return result._replace(obs=obs, state=after), result.obs

    def step_or_reset(
        self,
        is_reset: jax.Array,
        key: jax.Array,
        state: State,
        action: Any,
        params: Params,
    ) -> StepResult[Obs, State]:
        """Start an episode (no reward, no end) or advance one step; `AutoReset` calls this.

        The key is split as in `step_then_reset`.
        """
        result = self.step(jax.random.split(key)[0], state, action, params)
        obs, after = self._reset_where(is_reset, key, params, result)
        others = (result.reward, result.terminated, result.truncated, result.info)
        kept = jax.tree.map(lambda leaf: jnp.where(is_reset, jnp.zeros_like(leaf), leaf), others)
        return StepResult(obs, after, *kept)

    def _reset_where(
        self, chosen: jax.Array, key: jax.Array, params: Any, result: StepResult
    ) -> tuple[Any, Any]:
        # The step takes one half of the key and the reset the other one, which JAX's check of keys
        # that are used twice cannot see.
        clone: Any = jax.random.clone
        key = clone(key)

        def reset(key: jax.Array, params: Any) -> tuple[Any, Any]:
            # Split here, where few lanes are reset: to split all keys takes longer than CartPole.
            return self.reset(jax.random.split(key)[1], params)

        on_host = not self.capabilities.jax_native
        stepped = result.obs, result.state
        obs, state = reset_where(chosen, reset, key, params, stepped, one_by_one=on_host)
        return obs, state

    def limit(self, params: Any) -> Any:
        """Return the episode limit under these params, which may be traced; adapters override it.

        By default this is the field of the params, or the option of `make`, that the suite
        declares as its limit.
        """
        field = self.limited_by
        if field is None or hasattr(params, field):
            return getattr(params, field or "", None)
        given = self.spec.options.get(field) if self.spec else None
        return given if isinstance(given, int) and given > 0 else None

    def render_env(self, state: State, params: Params) -> Any:
        """Draw a concrete state with the suite's own renderer: uint8[H, W, 3]."""
        raise NotImplementedError

    def reset(self, key: jax.Array, params: Params | None = None) -> tuple[Obs, State]:
        """Start an episode.

        Args:
            key: one PRNG key, typed or legacy uint32[2]; it determines the whole initial state.
            params: params with the structure of `default_params`; `None` for the default params.

        Returns:
            The pair `(obs, state)`; `obs` lies in `observation_space(params)`, and `state` is a
            pytree of arrays.

        Raises:
            InvalidKeyError: if `key` is not one PRNG key.
            InvalidParamsError: if `params` or one of its fields has a different structure, shape or
                kind.
        """
        refuse_after_fork()
        _inputs.check_key(key)
        params = self._params_in_force(params)
        try:
            obs, state = self._run(self._compiled_reset, key, params)
        except EnvHubError:
            raise
        except Exception as error:
            self.check_params(params)
            _inputs.check_split(self, error, key, params)
            raise
        return obs, state

    def step(
        self, key: jax.Array, state: State, action: Any, params: Params | None = None
    ) -> StepResult[Obs, State]:
        """Advance one step, without any reset.

        Args:
            key: one PRNG key, for the randomness of this transition.
            state: a state that `reset` or `step` returned.
            action: an action with the shape and kind of `action_space(params)`.
            params: as for `reset`.

        Returns:
            `(obs, state, reward, terminated, truncated, info)`, see `StepResult`.

        Raises:
            InvalidKeyError, InvalidParamsError: as for `reset`.
            InvalidActionError: if the action does not fit the action space.
            InvalidStateError: if the state belongs to another environment.
        """
        refuse_after_fork()
        _inputs.check_key(key)
        _inputs.check_values(self, action)
        params = self._params_in_force(params)
        try:
            result: StepResult[Obs, State] = self._run(
                self._compiled_step, key, state, action, params
            )
        except EnvHubError:
            raise
        except Exception as error:
            self.check_params(params)
            _inputs.conform_action(self._actions, action)
            _inputs.check_split(self, error, key, state, action, params)
            _inputs.check_state(self, state, jax.eval_shape(self._compiled_reset, key, params)[1])
            raise
        return result

    def render(self, state: State, params: Params | None = None) -> np.ndarray:
        """Draw one state. No display is needed.

        Args:
            state: a concrete state of one environment; call `render` outside `jit`.
            params: as for `reset`.

        Returns:
            uint8[H, W, 3], a NumPy array.

        Raises:
            MissingCapabilityError: if the environment cannot be drawn.
            RenderError: if this machine lacks what drawing needs, or the suite fails.
            InvalidStateError: if the state belongs to another environment.
        """
        refuse_after_fork()
        if not self.capabilities.renderable:
            raise MissingCapabilityError(
                f"{self} cannot be rendered: {self.capabilities.why('renderable')}"
            )
        if is_traced(state, params) or not is_outside():
            raise RenderError(
                f"{self}: render draws concrete states. Call it outside jit and vmap."
            )
        params = self.default_params if params is None else params
        self.check_params(params)
        _inputs.check_state(self, state, self.reset_shapes[1])
        return picture_of(self, lambda: self.render_env(state, params))

    def expect(self, num_envs: int) -> None:
        """Announce the size of a batch, which calls from several devices do not show."""

    def close(self) -> None:
        """Free what the environment holds outside JAX. It may be called repeatedly."""

    @functools.cached_property
    def _key(self) -> Hashable:
        spec = self.spec
        if spec is None or not self.capabilities.jax_native or callable(spec.source):
            return Alone()
        # The key has the classes, because a suite may have registered another one under the name.
        return type(self), type(self.unwrapped), spec, key_of(self.default_params)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in COMPARED:  # the key is computed again when it is needed
            vars(self).pop("_key", None)
            vars(self).pop("_shared", None)
        if name == "spec" and value is not None:
            vars(self)["_made_of"] = None  # the spec has the arguments, and keeps no live object
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        after = {"default_params": self.default_params}
        spec = self.spec
        if spec is None and self._made_of:
            args, kwargs = self._made_of
            _travel.check(self, kwargs, args)
            return _travel.call, (type(self), args, kwargs), after
        if spec is None or not spec.recreatable:
            raise UnpicklableError(
                f"{self} cannot be pickled, because envhub.wrap was given one live object. "
                "Give envhub.wrap a function that makes it."
            )
        _travel.check(self, {**spec.kwargs, "source": spec.source})
        return _made_again, (spec,), after

    def __repr__(self) -> str:
        spec = self.spec
        if spec is None:
            return f"<{type(self).__name__} {type(self.unwrapped).__name__}>"
        options = f"({show(spec.kwargs)})" if spec.kwargs else ""
        return f"<{type(self).__name__} {spec.id}{options}>"

    def _repr_html_(self) -> str:
        """Return a table of spaces and capabilities, for notebooks."""
        spaces = {"observations": self.observation_space(), "actions": self.action_space()}
        shown = {"environment": repr(self), **spaces, **self.capabilities.answers()}
        return table(shown.items())

    def episode_limit(self, params: Any = None) -> int | None:
        """Return the number of steps after which an episode is truncated at the latest.

        Args:
            params: concrete params; for batched params the largest limit is returned.

        Returns:
            The limit; `None` if there is no limit.
        """
        limit = self.limit(self.default_params if params is None else params)
        return None if limit is None else int(np.max(limit))

    def find(self, kind: type[E]) -> E | None:
        """Return the outermost wrapper of this class; `None` if there is none."""
        return self if isinstance(self, kind) else None

    def check_params(self, params: Any) -> None:
        """Refuse params that do not fit. The check runs at trace time and costs nothing later.

        Raises:
            InvalidParamsError: if they do not fit; the message names the field.
        """
        _inputs.check_params(params, self.default_params)

    def _params_in_force(self, params: Any) -> Any:
        if params is not None and params is not self.default_params:
            return params
        if self._placed is None or self._placed[0] is not self.default_params:
            self._placed = self.default_params, placed(self.default_params)
        return self._placed[1]

    def _run(self, compiled: Any, *arguments: Any) -> Any:
        """Run a call; callback environments override this to separate their errors from others."""
        config: Any = jax.config
        if config.jax_debug_key_reuse:
            return count_one_use(compiled, *arguments)
        return compiled(*arguments)

    # A call outside jit is compiled, as gymnax's and craftax's own are. Inside jit the boundary is
    # inlined by XLA, and retracing a step that was traced before costs nothing.

    @functools.cached_property
    def _compiled_reset(self) -> Any:
        return self._shared.get("reset", compile_reset)

    @functools.cached_property
    def _compiled_step(self) -> Any:
        return self._shared.get("step", compile_step)

    @functools.cached_property
    def _actions(self) -> spaces.Space:
        # Suites compute sizes with jax.numpy, which a surrounding trace would make abstract.
        with jax.ensure_compile_time_eval():
            return self.action_space(self.default_params)

    @functools.cached_property
    def _fills_dtypes(self) -> bool:
        return _inputs.fills_dtypes(self._actions)

    @functools.cached_property
    def reset_shapes(self) -> tuple[Any, Any]:
        """Return the shapes and dtypes of `(obs, state)` after a reset, by tracing a reset."""
        with jax.transfer_guard("allow"):
            shapes = jax.eval_shape(self._compiled_reset, jax.random.key(0), self.default_params)
        return shapes[0], shapes[1]


def _made_again(spec: EnvSpec) -> Environment:
    return spec.make()[0]
