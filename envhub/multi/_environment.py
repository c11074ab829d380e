"""`MultiEnv`: different environments driven together, by name."""

from __future__ import annotations

import functools
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub import _inputs
from envhub._display import table
from envhub._forks import refuse_after_fork
from envhub._progress import progress_bar
from envhub._random_action import RandomAction
from envhub._value import Value, key_of
from envhub.environment import StepResult
from envhub.errors import (
    EnvHubError,
    InvalidActionError,
    InvalidOptionError,
    InvalidParamsError,
    InvalidStateError,
)
from envhub.multi._groups import MISFITS, TAKES, Group, Member, grouped, naming, one
from envhub.multi._members import Members


class MultiStepResult(StepResult):
    """The result of `MultiEnv.step`: a `StepResult` whose fields are dicts by name.

    Examples:
        >>> fleet, params = envhub.make_multi({"pole": "gymnax::CartPole-v1"})
        >>> _, states = fleet.reset(jax.random.key(0), params)
        >>> bool(fleet.step(jax.random.key(1), states, {"pole": jnp.int32(1)}, params).done["pole"])
        False
    """

    __slots__ = ()

    @property
    def done(self) -> Any:
        """Return whether the episodes ended, by name."""
        return jax.tree.map(jnp.logical_or, self.terminated, self.truncated)


class CompileSeconds(NamedTuple):
    """The times that `MultiEnv.compile` took.

    Attributes:
        alone: the seconds for `reset_at` and `step_at`, by name; few for a member equal to an
            earlier one.
        together: the seconds for `reset` and `step`.

    Examples:
        >>> seconds = CompileSeconds(alone={"pole": 0.4, "catch": 0.3}, together=0.5)
        >>> sum(seconds.alone.values()) + seconds.together
        1.2
    """

    alone: dict[str, float]
    together: float


class MultiEnv(Value, Members):
    """A fleet: several environments, each with a name, driven together.

    `envhub.make_multi` and `make_multi_vec` make a fleet. Arguments and results are dicts by name.
    A fleet works inside `jit`, `scan` and `vmap` like one environment.

    Outside `jit`, one compiled call runs all JAX-native members, and then the callback environments
    run one after another. Members that are the same object (as members made with equal arguments
    are) form a group: one call under `vmap` advances the group, each member with its own params.

    Args:
        envs: the members by name: environments or batches.
        default_params: the params of each member by name, as calls take them; by default their own.

    Attributes:
        names: the names of the members, in the given order, which is the order of their keys.
        envs: the members by name.
        default_params: the params of calls that pass none.
        groups: the names of the members of each group.

    Raises:
        InvalidOptionError: if there are no members, or a member is not an environment.
        InvalidParamsError: if the params do not fit the members.

    Examples:
        >>> pair = {"pole": "gymnax::CartPole-v1", "catch": "gymnax::Catch-bsuite"}
        >>> fleet, params = envhub.make_multi(pair)
        >>> obs, states = fleet.reset(jax.random.key(0), params)
        >>> {name: fleet.pad_observations(obs)[name].shape for name in fleet.names}
        {'pole': (50,), 'catch': (50,)}
    """

    def __init__(
        self, envs: Mapping[str, Member], default_params: Mapping[str, Any] | None = None
    ) -> None:
        for name, env in envs.items():
            if not (isinstance(name, str) and isinstance(env, Member)):
                raise InvalidOptionError(
                    f"a fleet must map names to environments, got {name!r}: {env!r}."
                )
        if not envs:
            raise InvalidOptionError("a fleet needs at least one environment.")
        self.names, self.envs = tuple(envs), dict(envs)
        self.default_params = {name: env.default_params for name, env in envs.items()}
        self.default_params = self._params_in_force(default_params)
        self._groups = grouped(self.envs, self.default_params)
        self.groups = tuple(group.names for group in self._groups)
        self._on_host = [each for each in self._groups if not each.env.capabilities.jax_native]

    def reset(
        self, key: jax.Array, params: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode in each member.

        Args:
            key: one PRNG key; `jax.random.split(key, len(names))` gives the keys of the members.
            params: the params of each member by name; `None` for a member's default params.

        Returns:
            Observations and states by name. They equal those of each member alone with its key; a
            group runs under `vmap`, where XLA may round differently.

        Raises:
            InvalidKeyError: if `key` is not one PRNG key.
            InvalidParamsError: if params are missing or do not fit.
        """
        refuse_after_fork()
        _inputs.check_key(key)
        obs, states = self._call("reset", key, self._params_in_force(params))
        return obs, states

    def step(
        self,
        key: jax.Array,
        states: Mapping[str, Any],
        actions: Mapping[str, Any],
        params: Mapping[str, Any] | None = None,
    ) -> MultiStepResult:
        """Advance each member one step.

        No member is stepped unless every member has a state and an action of the right form. If a
        callback environment raises after that, the members before it have moved; stepping them
        again from the same states with the same actions gives the same results.

        Args:
            key: as for `reset`.
            states: the states that `reset` or `step` returned, by name.
            actions: the actions by name.
            params: as for `reset`.

        Raises:
            InvalidKeyError, InvalidParamsError: as for `reset`.
            InvalidStateError, InvalidActionError: if one is missing or does not fit.
        """
        refuse_after_fork()
        _inputs.check_key(key)
        self._check_names("states", states, InvalidStateError)
        self._check_names("actions", actions, InvalidActionError)
        for name, env in self.envs.items():
            with naming(name):
                _inputs.check_values(one(env), actions[name])
        params = self._params_in_force(params)
        return MultiStepResult(*self._call("step", key, dict(states), dict(actions), params))

    def reset_at(self, name: str, key: jax.Array, params: Any = None) -> tuple[Any, Any]:
        """Start an episode in one member only. The key is not split. See `Environment.reset`.

        Raises:
            UnknownEnvError: if there is no member of that name; and all errors of its `reset`.
        """
        env, default = self._at(name)
        with naming(name):
            return env.reset(key, default if params is None else params)

    def step_at(
        self, name: str, key: jax.Array, state: Any, action: Any, params: Any = None
    ) -> StepResult:
        """Advance one member only. The key is not split. See `Environment.step`.

        Raises:
            UnknownEnvError: if there is no member of that name; and all errors of its `step`.
        """
        env, default = self._at(name)
        with naming(name):
            return env.step(key, state, action, default if params is None else params)

    def compile(self, progress: bool = True, *, key: jax.Array | None = None) -> CompileSeconds:
        """Compile the methods, so that later calls with the default params run at once.

        First it compiles each member alone, and then all together. It resets and steps them for
        that, so callback environments make instances, as for any other reset.

        Args:
            progress: whether to show progress on stderr: a bar if `rich` is installed, else lines.
            key: a PRNG key of the kind that later calls use; by default a typed key.
        """
        key = jax.random.key(0) if key is None else key
        states, actions, alone = {}, {}, {}
        total = len(self.names) + 1
        with progress_bar(total, "compiling", wanted=progress) as report:
            for done, name in enumerate(self.names):
                report(done, f"compiling {name}")
                start = time.perf_counter()
                obs, states[name] = self.reset_at(name, key)
                actions[name] = RandomAction.of(self.envs[name], self.default_params[name])(
                    key, obs
                )
                result = self.step_at(name, key, states[name], actions[name])
                jax.block_until_ready(result)  # type: ignore[no-untyped-call]
                alone[name] = time.perf_counter() - start
            report(total - 1, "compiling all together")
            start = time.perf_counter()
            params = self.default_params
            groups = [each for each in self._on_host if len(each.names) > 1]  # others were alone
            resets = self._results("reset", key, [params], groups)
            states |= {name: state for name, (_, state) in resets.items()}
            results = self._results("step", key, [states, actions, params], groups)
            jax.block_until_ready(results)  # type: ignore[no-untyped-call]
            together = time.perf_counter() - start
            report(total, "compiled")
        return CompileSeconds(alone, together)

    def close(self) -> None:
        """Free what the members hold outside JAX. It may be called repeatedly."""
        for env in self.envs.values():
            env.close()

    @functools.cached_property
    def _key(self) -> Hashable:
        members = tuple((name, env._key) for name, env in self.envs.items())
        return type(self), members, key_of(self.default_params)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.envs, self.default_params)

    def __len__(self) -> int:
        return len(self.names)

    def _repr_html_(self) -> str:
        """Return a table of the members, for notebooks."""
        return table(self.envs.items())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.envs}>"

    def _call(self, method: str, key: jax.Array, *given: dict[str, Any]) -> list[Any]:
        """Call a method of all members, and return its results field by field."""
        try:
            results = self._results(method, key, given, self._on_host)
        except EnvHubError:
            raise
        except Exception:
            for what, by_name in zip(TAKES[method], given, strict=True):
                for name, tree in by_name.items():
                    _inputs.check_arrays(f"{what} of {name!r}", tree, MISFITS[what])
            raise
        fields = range(len(results[self.names[0]]))
        return [{name: results[name][field] for name in self.names} for field in fields]

    def _results(
        self, method: str, key: jax.Array, given: Sequence[Any], on_host: Sequence[Group]
    ) -> dict[str, Any]:
        """Return the results of native members and of callback environments, by name."""
        results: dict[str, Any]
        results, waiting = self._programs[method](key, *given)
        for group, arguments in zip(self._on_host, waiting, strict=True):
            if group in on_host:
                with naming(*group.names):
                    results |= group.call(method, arguments)
        return results

    @functools.cached_property
    def _programs(self) -> dict[str, Any]:
        """Return the compiled programs, by method.

        They cannot contain the callbacks, whose errors would become plain text outside `jit`. So
        they also prepare the arguments of the callbacks, in the same call.
        """

        def compiled(method: str) -> Any:
            return self._shared.get(
                method, lambda fleet: jax.jit(functools.partial(fleet._run, method))
            )

        return {method: compiled(method) for method in TAKES}

    def _run(self, method: str, key: jax.Array, *given: dict[str, Any]) -> Any:
        """Call the native members, and collect the arguments of the other groups."""
        keys = dict(zip(self.names, jax.random.split(key, len(self.names)), strict=True))
        trees = dict(zip(TAKES[method], given, strict=True))
        if "action" in trees:
            trees["action"] = self._conform(trees["action"])
        results: dict[str, Any] = {}
        waiting = []
        for group in self._groups:
            with naming(*group.names):
                arguments = [group.gather("key", keys)]
                arguments += [group.gather(what, by_name) for what, by_name in trees.items()]
                if group in self._on_host:
                    waiting.append(arguments)
                else:
                    results |= group.call(method, arguments)
        return results, waiting

    def _conform(self, actions: dict[str, Any]) -> dict[str, Any]:
        """Check and convert all actions, before anything is stepped."""
        conformed = {}
        for name in self.names:
            with naming(name):
                is_checked = not self.envs[name].capabilities.jax_native
                conformed[name] = _inputs.conform_action(
                    self.action_spaces[name], actions[name], is_checked=is_checked
                )
        return conformed

    def _params_in_force(self, params: Mapping[str, Any] | None) -> dict[str, Any]:
        defaults = self.default_params
        if params is None:
            return defaults
        self._check_names("params", params, InvalidParamsError)
        return {
            name: default if params[name] is None else params[name]
            for name, default in defaults.items()
        }

    def _check_names(self, what: str, given: Any, error: type[EnvHubError]) -> None:
        if not isinstance(given, Mapping):
            raise error(f"{what} must be a dict by name, got {given!r}.")
        for name in given:
            if name not in self.envs:
                raise error(
                    f"{what} has the name {name!r}, which is not in the fleet.{self._hint(name)}"
                )
        missing = [name for name in self.names if name not in given]
        if missing:
            raise error(f"{what} has no entry for {', '.join(map(repr, missing))}.")
