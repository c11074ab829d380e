"""Make environments by id, and answer questions about them before they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import jax

from envhub import _flax, _missing, registry
from envhub._foreign import blaming, quiet
from envhub._forks import refuse_after_fork
from envhub._keywords import explicit, override_params, sort_keywords
from envhub._secret import hide_secrets
from envhub._sharding import over_all_axes
from envhub._suggestions import nearest_ids
from envhub._value import Value, own_copy
from envhub.environment import Environment
from envhub.errors import (
    EnvHubError,
    InvalidEnvIdError,
    InvalidOptionError,
    MissingCapabilityError,
    MissingDependencyError,
    UnavailableEnvError,
    UnknownEnvError,
    brief,
    nearest,
)
from envhub.flags import Capabilities, check_flags
from envhub.spec import EnvSpec, WrapperSpec
from envhub.suite import Gap, Suite
from envhub.vector import VectorEnv
from envhub.wrappers._apply import Wrapping, apply_wrappers, check_wrappers
from envhub.wrappers.autoreset import AutoReset, Mode

EnvOrId = TypeVar("EnvOrId", bound=Value | str)


def parse_id(env_id: str) -> tuple[str, str]:
    """Split `"suite::Name"` at the first `::`.

    Raises:
        InvalidEnvIdError: if `env_id` is not a string of that form.
    """
    suite, separator, name = env_id.partition("::") if isinstance(env_id, str) else ("", "", "")
    if not (suite.strip() and separator and name.strip()):
        meant = nearest_ids(env_id) if isinstance(env_id, str) else []
        raise InvalidEnvIdError(
            f"an environment id has the form 'suite::Name', such as 'gymnax::CartPole-v1'; "
            f"got {brief(env_id)}.{_or(' Did you mean ', meant, '?')}"
        )
    return suite, name


def find(env_id: str, options: Mapping[str, Any]) -> tuple[Suite, str, Capabilities]:
    """Return an id's suite, the suite's name for the environment, and its capabilities.

    Raises:
        InvalidEnvIdError, UnknownSuiteError, UnknownEnvError: if the id names nothing.
        InvalidOptionError: if an option that decides a capability has an unknown value.
    """
    suite_name, name = parse_id(env_id)
    suite = registry.get(suite_name)
    try:
        own_name = suite.resolve(name)
        with blaming(f"the description of {env_id}"):
            return suite, own_name, suite.capabilities(own_name, options)
    except UnknownEnvError as error:
        told = [f"{suite_name}::{each}" for each in nearest(name, suite.known_names())]
        meant = [each for each in nearest_ids(name) if each not in told]
        raise UnknownEnvError(f"{error}{_or(' Similar names: ', meant, '.')}") from error


def _or(before: str, ids: Sequence[str], after: str) -> str:
    return f"{before}{' or '.join(map(repr, ids))}{after}" if ids else ""


def make(
    env_id: str,
    /,
    *,
    wrappers: Iterable[Wrapping] | None = (),
    autoreset: Mode | None = None,
    params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> tuple[Environment, Any]:
    """Make an environment of any suite.

    Args:
        env_id: `"suite::Name"`, where the name is the suite's own id.
        wrappers: wrapper classes, or functions that wrap an environment, the innermost first.
        autoreset: the mode of an `envhub.wrappers.AutoReset` around all wrappers; by default there
            is no automatic reset.
        params: new values for fields of the environment's params, by name.
        options: keywords for the suite's constructor. They may have the same names as keywords of
            `make`.
        **kwargs: options and params by name: a keyword that the suite's constructor takes goes to
            the constructor, and a keyword that names a field of the params overrides that field.

    Returns:
        The environment and its default params: the suite's parameter pytree, or `None` if the suite
        has no params. Environments made with equal arguments are equal and share compiled code.

    Raises:
        InvalidEnvIdError, UnknownSuiteError, UnknownEnvError: if the id names nothing.
        MissingDependencyError, UnsupportedVersionError: if the suite's package is not usable, or
            a package that the environment imports is absent.
        InvalidOptionError: if a keyword is unknown, or the suite refuses a value.
        UnavailableEnvError: if the environment is known not to run on what is installed.

    Examples:
        >>> env, params = make("gymnax::CartPole-v1", max_steps_in_episode=100)
        >>> env.action_space(params), params.max_steps_in_episode
        (Discrete(2), 100)
    """
    refuse_after_fork()
    around = check_wrappers(wrappers)
    if autoreset is not None:
        around.append(WrapperSpec(AutoReset, {"mode": autoreset}))
    registry.get(parse_id(env_id)[0]).require_installed()
    env = apply_wrappers(around, _construct(env_id, kwargs, options, params))
    return env, env.default_params


def _construct(
    env_id: str,
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any] | None,
    params: Mapping[str, Any] | None,
) -> Environment:
    """Construct the suite's environment, with its params, capabilities and spec."""
    options, params = explicit(env_id, "options", options), explicit(env_id, "params", params)
    kwargs, options, params = own_copy(dict(kwargs)), own_copy(options), own_copy(params)
    kwargs, options = hide_secrets(kwargs), hide_secrets(options)
    both = {**kwargs, **params, **options}
    suite, name, capabilities = find(env_id, both)
    gap = suite.gap(name, both)
    try:
        with quiet(), jax.transfer_guard("allow"):
            if gap and gap.kind == "needs_network":  # its options might make the suite fetch it
                suite.load()  # that it cannot be imported is no gap
                raise UnavailableEnvError(f"{env_id} does not run here ({gap.kind}: {gap.reason})")
            accepted = set(suite.options(name))
            own, overrides = sort_keywords(env_id, accepted, kwargs, options, params)
            env = suite.make(name, own)
            env.limited_by = suite.limit(name, both)
            env.default_params = override_params(env_id, env, overrides, accepted)
            _flax.accept(env.default_params)
            if not suite.finds_out:
                env.capabilities = capabilities
            provider, version = suite.origin(name, env.unwrapped)
            env.spec = EnvSpec(
                env_id,
                suite.name,
                name,
                own,
                {field: getattr(env.default_params, field) for field in overrides},
                distribution=provider,
                version=version,
                num_agents=env.num_agents,
                agents=env.agents if env.num_agents > 1 else (),
            )
            if gap or own:
                _trace(env)
    except (EnvHubError, KeyboardInterrupt):
        raise
    except BaseException as error:  # `SystemExit` too: an environment ends no process
        raise _construction_error(env_id, both, gap, error) from error
    return env


def make_vec(
    env_id: str,
    num_envs: int,
    *,
    autoreset: Mode | None = "same_step",
    batched_params: bool = False,
    mesh: jax.sharding.Mesh | None = None,
    sharding: jax.sharding.NamedSharding | None = None,
    **kwargs: Any,
) -> tuple[VectorEnv, Any]:
    """Make a batch: several environments of one kind that are stepped together.

    Args:
        env_id: as for `make`.
        num_envs: the number of environments.
        autoreset: the mode of the automatic reset, see `envhub.wrappers.AutoReset`; `None` for no
            automatic reset.
        batched_params: whether calls take params with a leading axis, one set per environment.
        mesh: the devices over which the batch is split, along all axes of the mesh; by default the
            batch is on one device.
        sharding: a sharding, instead of `mesh`. Its first entry names the mesh axes that split the
            batch; along the other axes the batch is copied.
        **kwargs: as for `make`.

    Returns:
        The batch and its default params.

    Raises:
        InvalidOptionError: if `num_envs` is not a positive integer divisible by the number of
            shards, or if both `mesh` and `sharding` are given; and every error that `make` and
            `VectorEnv` raise.

    Examples:
        >>> venv, params = make_vec("gymnax::CartPole-v1", 16)
        >>> venv.action_space(params).shape
        (16,)
    """
    if mesh is not None:
        if sharding is not None:
            raise InvalidOptionError(
                "give either mesh= or sharding=, not both: a sharding has a mesh."
            )
        sharding = over_all_axes(mesh)
    env, _ = make(env_id, autoreset=autoreset, **kwargs)
    venv = VectorEnv(env, num_envs, batched_params=batched_params, sharding=sharding)
    return venv, venv.default_params


def capabilities(
    env_id: str,
    /,
    *,
    params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Capabilities:
    """Return the capabilities of an environment, without making it or importing its suite.

    Args:
        env_id: `"suite::Name"`.
        params: as for `make`.
        options: as for `make`.
        **kwargs: other keywords of `make`; the answer holds for these options.

    Raises:
        InvalidEnvIdError, UnknownSuiteError, UnknownEnvError: if the id names nothing.
        InvalidOptionError: if an option that decides a capability has an unknown value.

    Examples:
        >>> caps = envhub.capabilities("brax::hopper", backend="mjx")
        >>> caps.forkable, caps.differentiable
        (True, False)
    """
    both = {**kwargs, **explicit(env_id, "params", params), **explicit(env_id, "options", options)}
    return find(env_id, both)[2]


def require(env_or_id: EnvOrId, *flags: str, **kwargs: Any) -> EnvOrId:
    """Check that an environment has the capabilities that an algorithm relies on.

    Args:
        env_or_id: an environment, a batch or a fleet, or the id of an environment.
        *flags: names of `Capabilities` fields.
        **kwargs: for an id, keywords of `make`; the answer holds for these options.

    Returns:
        `env_or_id`, unchanged.

    Raises:
        MissingCapabilityError: if a flag is missing. The message names each missing flag, the
            reason, and environments that have it.
        InvalidOptionError: if a flag does not exist, or keywords are given with an environment that
            is already made.

    Examples:
        >>> require("gymnax::CartPole-v1", "forkable", "vmap_safe")
        'gymnax::CartPole-v1'
    """
    check_flags(flags)
    if not isinstance(env_or_id, Value):
        found = capabilities(env_or_id, **kwargs)
    elif kwargs:
        raise InvalidOptionError(
            f"{env_or_id} has already been made. Pass {', '.join(kwargs)} to make."
        )
    else:
        found = env_or_id.capabilities  # type: ignore[attr-defined]
    missing = [flag for flag in flags if not getattr(found, flag)]
    if not missing:
        return env_or_id
    lines = [f"{env_or_id} lacks required capabilities:"]
    lines += [f"  {flag}: {found.why(flag)}" for flag in missing]
    lines += _alternatives(env_or_id, flags)
    raise MissingCapabilityError("\n".join(lines))


def _alternatives(env_or_id: Value | str, flags: Sequence[str]) -> list[str]:
    """Return lines that name environments of the suite with these flags, and how to find more."""
    asked = ", ".join(f"{flag}=True" for flag in flags)
    others = f"Others: envhub.list_envs({asked})"
    spec = getattr(env_or_id, "spec", None)
    env_id = spec.id if isinstance(spec, EnvSpec) else env_or_id
    if not isinstance(env_id, str):
        return [others]
    suite = registry.get(parse_id(env_id)[0])
    have = _with_flags(suite, suite.known_names(), dict.fromkeys(flags, True))
    shown = ", ".join(have[:4]) + (", …" if len(have) > 4 else "")
    return [f"Environments of {suite.name} that have it: {shown or 'none'}", others]


def list_envs(suite: str | None = None, /, **flags: bool) -> list[str]:
    """List the ids of all environments, or of those with the given capabilities.

    The call asks the suites themselves, and therefore imports them.

    Args:
        suite: the name of a suite; by default every suite whose package is installed and supported.
        **flags: capabilities and the values that they must have, such as `forkable=True`. Some of
            the environments listed for this flag need `make(…, forkable=True)`.

    Returns:
        Full ids, sorted.

    Raises:
        UnknownSuiteError: if there is no such suite.
        MissingDependencyError, UnsupportedVersionError: if the requested suite is not usable.
        InvalidOptionError: if a flag does not exist.

    Examples:
        >>> "jumanji::Snake-v1" in list_envs("jumanji", renderable=True)
        True
    """
    refuse_after_fork()  # jumanji, for one, computes when it is imported
    check_flags(flags)
    if suite is None:
        found: list[str] = []
        for each in usable_suites():
            with registry.sparing_others(each.name):
                found += list_envs(each.name, **flags)
        return sorted(found)
    described = registry.get(suite)
    described.require_installed()
    with blaming(f"the list of the names of {suite}"):
        return _with_flags(described, described.live_names(), flags)


def usable_suites() -> list[Suite]:
    """Return the suites whose packages are installed in a supported version.

    A warning names each suite that is installed but not usable, once.
    """
    found = []
    for name in registry.suites():
        with registry.sparing_others(name):
            suite = registry.get(name)
            if suite.installed() is not None:
                suite.require_installed()
                found.append(suite)
    return found


def _with_flags(suite: Suite, names: Iterable[str], flags: Mapping[str, bool]) -> list[str]:
    # What can be forked is listed as that, if it takes the option to have it so.
    options = {"forkable": True} if flags.get("forkable") else {}

    def fits(found: Capabilities) -> bool:
        return all(getattr(found, flag) == wanted for flag, wanted in flags.items())

    return sorted(
        f"{suite.name}::{name}" for name in names if fits(suite.capabilities(name, options))
    )


def _trace(env: Environment) -> None:
    """Trace one reset and one step, so that an environment that cannot run fails in `make`."""
    key = jax.random.key(0)
    _, state = jax.eval_shape(env.reset, key)
    action = jax.eval_shape(env.action_space().sample, key)
    jax.eval_shape(env.step, key, state, action)


def _construction_error(
    env_id: str, options: Mapping[str, Any], gap: Gap | None, error: BaseException
) -> EnvHubError:
    what = f"{type(error).__name__}: {error}"
    if gap:
        reason = f"{gap.kind}: {gap.reason}"
        return UnavailableEnvError(f"{env_id} does not run here ({reason}) [{what}]")
    if remedy := _missing.remedy(error, options):
        return MissingDependencyError(f"{env_id} could not be constructed: {what}. {remedy}")
    if options:
        given = ", ".join(f"{name}={brief(value)}" for name, value in options.items())
        return InvalidOptionError(f"{env_id} refuses {given}: {what}")
    return UnavailableEnvError(f"{env_id} could not be constructed: {what}")
