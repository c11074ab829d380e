"""The base class of wrappers: an environment around an environment."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

import jax

from envhub import _travel, spaces
from envhub._value import key_of
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities
from envhub.spec import WrapperSpec, show
from envhub.vector import VectorEnv

E = TypeVar("E")


def arranged(names: Iterable[str]) -> str:
    """Return the keywords of `make` and `make_vec` for these wrappers, the innermost first."""
    return f"wrappers=[{', '.join(names)}], autoreset=None"


def layers_of(env: Environment) -> list[Wrapper]:
    """Return the wrappers around an environment, the innermost first."""
    layers: list[Wrapper] = []
    while isinstance(env, Wrapper):
        layers.insert(0, env)
        env = env.env
    return layers


class Wrapper(Environment):
    """Passes every call on to the inner environment; a wrapper overrides what it changes.

    A wrapper with its own state keeps the inner state in the field `env` of that state, and
    overrides `inner_state`.

    Without an environment, a wrapper such as `ResizeObservation(shape=(84, 84))` is a function that
    wraps an environment, for the `wrappers=` of `envhub.make`.

    Args:
        env: the inner environment.
        capabilities: the capabilities of the wrapped environment; by default those of `env`.

    Attributes:
        env: the inner environment.
        spans_episodes: whether the wrapper remembers something beyond the end of an episode. An
            `AutoReset` around such a wrapper would reset that too, so it is refused.
        inside_batches: whether `make_vec` may make a batch of the wrapped environment.
        checks: functions that refuse values that fit no environment: `check(name, value)` by the
            name of an option, or `check(names, values)` by a tuple of names. They run before
            `__init__`; if the wrapper is made without an environment, they run at once.

    Examples:
        >>> class Halved(Wrapper):
        ...     def step_env(self, key, state, action, params):
        ...         result = self.env.step(key, state, action, params)
        ...         return result._replace(reward=result.reward / 2)
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[Halved])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).reward)
        0.5
    """

    spans_episodes = False
    inside_batches = True
    checks: ClassVar[Mapping[Any, Callable[[Any, Any], object]]] = {}
    _recipe: WrapperSpec[Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a wrapper, or without an environment a function that makes the wrapper.

        Raises:
            InvalidOptionError: if the first argument is not an environment, the wrapper has no such
                option, or an option has a value that fits no environment.
        """
        if args and not isinstance(args[0], Environment):
            raise InvalidOptionError(
                f"{cls.__name__} wraps one environment, got {args[0]!r}. {cls._instead(args[0])}"
            )
        is_alone = not (args or "env" in kwargs)
        recipe: Any = WrapperSpec.of(cls, (None,) if is_alone else args, kwargs)
        cls._check(recipe.options)
        if is_alone:
            return recipe  # type: ignore[no-any-return] # see `wrappers/__init__.pyi`
        made = super().__new__(cls)
        made._recipe = recipe
        made._made_of = None
        return made

    def __init__(self, env: Environment, capabilities: Capabilities | None = None) -> None:
        spec = env.spec and env.spec.within(self._recipe)
        super().__init__(env.unwrapped, env.default_params, capabilities or env.capabilities, spec)
        self.env = env
        self.num_agents, self.agents = env.num_agents, env.agents
        self.turn_based, self.observation_agents = env.turn_based, env.observation_agents

    @classmethod
    def _check(cls, options: Mapping[str, Any]) -> None:
        for which, check in cls.checks.items():
            names = which if isinstance(which, tuple) else (which,)
            if options.keys() >= set(names):  # a subclass may have others
                values = tuple(options[name] for name in names)
                check(which, values if isinstance(which, tuple) else values[0])

    @classmethod
    def _instead(cls, given: Any) -> str:
        """Handle a first argument that is not an environment."""
        if not isinstance(given, VectorEnv):
            return "Give options by keyword. Without an environment, they are stored for later."
        name = cls.__name__
        if not cls.inside_batches:
            return f"Wrap the environment of the batch: {name}(venv.env)."
        order = ["AutoReset", name] if cls.spans_episodes else [name, "AutoReset"]
        return f"It belongs inside the batch. Give make_vec {arranged(dict.fromkeys(order))}."

    @functools.cached_property
    def _key(self) -> Hashable:
        params = self.default_params
        own = () if params is self.env.default_params else (key_of(params),)
        return type(self), key_of(self._recipe.options), self.env._key, *own

    def __reduce__(self) -> tuple[Any, ...]:
        given = self._recipe
        _travel.check(self, given.kwargs, given.args)
        return given, (self.env,), {"default_params": self.default_params}

    def inner_state(self, state: Any) -> Any:
        """Return the state of the inner environment."""
        return state

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        return self.env.reset(key, params)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return self.env.step(key, state, action, params)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self.env.observation_space(params)

    def action_space(self, params: Any = None) -> spaces.Space:
        return self.env.action_space(params)

    def render_env(self, state: Any, params: Any) -> Any:
        return self.env.render_env(self.inner_state(state), params)

    def derived_params(self, params: Any, changed: set[str]) -> dict[str, Any]:
        return self.env.derived_params(params, changed)

    def check_params(self, params: Any) -> None:
        if self.default_params is self.env.default_params:
            self.env.check_params(params)
        else:  # a wrapper with params of its own
            super().check_params(params)

    def expect(self, num_envs: int) -> None:
        self.env.expect(num_envs)

    def close(self) -> None:
        self.env.close()

    def limit(self, params: Any) -> Any:
        return self.env.limit(params)

    def find(self, kind: type[E]) -> E | None:
        return self if isinstance(self, kind) else self.env.find(kind)

    def _run(self, compiled: Any, *arguments: Any) -> Any:
        return self.env._run(compiled, *arguments)

    def __repr__(self) -> str:
        given = self._recipe
        options = f"({show(given.kwargs, *given.args)})" if given.kwargs or given.args else ""
        return f"<{type(self).__name__}{options}{self.env!r}>"
