"""Adopt environments that were made elsewhere: `wrap` puts them under the contract."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from envhub import registry
from envhub._foreign import blaming, quiet
from envhub._forks import refuse_after_fork
from envhub._value import Value, own_copy
from envhub.environment import Environment
from envhub.errors import EnvHubError, InvalidOptionError, MissingDependencyError
from envhub.hub import usable_suites
from envhub.spec import EnvSpec, MadeBy
from envhub.suite import Suite, keywords, takes_any_keyword

# Interfaces that are known and not taken, by package and class.
REFUSED = {
    "gymnasium.VectorEnv": "It is a batch, which resets by itself: give one of its environments; "
    "envhub.VectorEnv(env, n) makes a batch of that.",
    "pettingzoo.AECEnv": "Its agents act in turn: give a function that makes it parallel, "
    "with pettingzoo.utils.conversions.aec_to_parallel.",
}


def wrap(
    obj: Any,
    /,
    *,
    timeout: float | None = None,
    forkable: bool | None = None,
    workers: str | None = None,
    num_workers: int | None = None,
    ray_options: Mapping[str, Any] | None = None,
) -> tuple[Environment, Any]:
    """Put an environment with a suite's own interface under the contract.

    `wrap` takes environments of Gymnasium, gymnax, brax, jumanji, navix, craftax, jaxmarl, octax
    and dm_env, your own environments with their interfaces, and functions or classes that make an
    environment when called without arguments. A parallel PettingZoo environment runs through
    PufferLib's emulation.
    An environment of dm_env takes no seed, so one that draws from a generator is not reproducible.
    A callback environment needs an instance per episode. A Gymnasium environment is made again from
    its `spec`, with its wrappers, and the object itself is not used. For an environment without a
    `spec`, for one that was changed after it was made, and for a `PufferEnv`, pass a function that
    makes it. Otherwise each reset reuses the one object and so ends the previous episode.

    A suite's own environment has the same capabilities as from `make`. For other environments, a
    trial finds out whether the seed determines their episodes; a capability that cannot be known is
    denied, with that reason. An object that differs from what its `spec` makes is refused.

    Args:
        obj: the environment, or a function or class that makes it.
        timeout: the seconds that one call of a callback environment may take, as for `make`. With
            a timeout, one live object is called in a thread and lost with it.
        forkable: as for `make`: `True` requires snapshots, and `False` leaves them out.
        workers: as for `make`. Processes take a function or class that a module defines, and Ray
            takes any that cloudpickle takes.
        num_workers: as for `make`.
        ray_options: as for `make`.

    Returns:
        The environment, whose `unwrapped` is the object, and its default params.

    Raises:
        InvalidOptionError: if `obj` has none of these interfaces, its spec does not make it again,
            it resets or counts steps by itself, or calling it raises; if a keyword is given for an
            environment that is not a callback environment; and if a worker cannot make it.
        MissingCapabilityError: if `forkable=True` is given and it cannot be forkable.
        UnavailableEnvError: if it calls JAX behind the interface of a callback environment.
        HostEnvError: if a trial call did not end within the timeout.

    Examples:
        >>> import gymnasium
        >>> env, params = wrap(gymnasium.make("CartPole-v1"))
        >>> env.reset(jax.random.key(0), params)[0].shape
        (4,)
    """
    refuse_after_fork()
    given: dict[str, Any] = {"timeout": timeout, "forkable": forkable}
    given |= {"workers": workers, "num_workers": num_workers, "ray_options": ray_options}
    given = {name: own_copy(value) for name, value in given.items() if value is not None}
    env = _adopt(obj, given)
    return env, env.default_params


def _adopt(obj: Any, options: dict[str, Any]) -> Environment:
    """Return the environment of an object, or of what it makes when it is called."""
    env, made, given_by = _ask_suites(obj, None, options), obj, ""
    if env is None and callable(obj):
        made, given_by = _called(obj, options.get("timeout")), f" of {obj!r}"
        env = _ask_suites(made, obj, options)
    if env is None:
        interfaces = (registry.get(name).interface for name in _own())
        raise InvalidOptionError(
            f"envhub.wrap takes {', '.join(filter(None, interfaces))}, or a function that makes "
            f"one, of a supported version of the package; got {made!r}{given_by}. {_why_not(made)}"
        )
    return env


def _own() -> tuple[str, ...]:
    """Return the names of the suites and interfaces that envhub itself brings along."""
    return (*registry.BUILTIN, *registry.INTERFACES)


def _why_not(obj: Any) -> str:
    """Return what is wrong with the object, as far as its class shows."""
    if isinstance(obj, Value):
        return "It is under the contract already."
    packages = [kind.__module__.partition(".")[0] for kind in type(obj).__mro__]
    names = zip(packages, type(obj).__mro__, strict=True)
    for name in (f"{package}.{kind.__name__}" for package, kind in names):
        if name in REFUSED:
            return REFUSED[name]
    suites = [registry.get(name) for name in _own()]
    for suite in suites:
        if set(suite.also_takes) & set(packages):
            return f"The suite {suite.name!r} plays it. Run: {suite.install_command}"
    if {suite.module for suite in suites} & set(packages):
        return "Remove the wrappers of other libraries, and use those of envhub.wrappers."
    return "It has none of these interfaces."


def _called(construct: Callable[[], Any], timeout: float | None) -> Any:
    from envhub.host.trials import Trial

    try:
        with quiet():
            return Trial("envhub.wrap", timeout).first(construct)
    except (EnvHubError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InvalidOptionError(
            f"envhub.wrap calls {construct!r} without arguments, and it raised "
            f"{type(error).__name__}: {error}"
        ) from error


def _ask_suites(
    obj: Any, construct: Callable[[], Any] | None, options: dict[str, Any]
) -> Environment | None:
    """Return the environment, if a suite adopts the object."""
    kind = type(getattr(obj, "unwrapped", obj))
    if kind.__module__.startswith("envhub.export."):
        raise InvalidOptionError(
            f"{obj!r} was exported from an environment of envhub. Use that environment."
        )
    for suite in [*usable_suites(), *map(registry.get, registry.INTERFACES)]:
        # There is no object of a package that nobody has imported.
        is_imported = not sys.modules.keys().isdisjoint({suite.module, *suite.also_takes})
        adopted = _adopted(suite, obj, construct, options) if is_imported else None
        if adopted is not None:
            name, env = adopted
            env.limited_by = suite.limit(name, {})
            source = construct or _source_of(obj, suite.maker(obj), env)
            provider, version = suite.origin(name, env.unwrapped)
            env.spec = EnvSpec(
                f"{suite.name}::{name}",
                suite.name,
                name,
                options,
                distribution=provider,
                version=version,
                num_agents=env.num_agents,
                agents=env.agents if env.num_agents > 1 else (),
                source=source,
                recreatable=source is not None,
            )
            return env
    return None


def _adopted(
    suite: Suite, obj: Any, construct: Callable[[], Any] | None, options: dict[str, Any]
) -> tuple[str, Environment] | None:
    is_taken = takes_any_keyword(suite.adopt) or set(options) <= set(keywords(suite.adopt))
    try:
        with blaming(f"its look at {obj!r}"), quiet():
            adopted = suite.adopt(obj, construct, **(options if is_taken else {}))
    except MissingDependencyError as error:
        if error.__cause__ is None or suite.name in _own():
            raise InvalidOptionError(f"{suite.name} cannot take {obj!r}: {error}") from error
        registry.leave_out(suite.name, str(error))
        return None
    if adopted and options and (not is_taken or adopted[1].capabilities.jax_native):
        raise InvalidOptionError(
            f"{' and '.join(options)} must be left out for {obj!r} of {suite.name}, which is not a "
            "callback environment."
        )
    return adopted


def _source_of(obj: Any, maker: Callable[[], Any] | None, env: Environment) -> Any:
    """Return a function that gives the object, or one like it, also in another process."""
    if maker:
        return MadeBy(maker)
    # A JAX-native object holds no episode, so the object itself serves as its source.
    return obj if env.capabilities.jax_native else None
