"""`HostSuite`: the base class of suites of callback environments.

Workers import the modules of suites for a constructor of instances, so this one is without JAX.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from envhub.errors import InvalidOptionError, MissingCapabilityError
from envhub.flags import Capabilities, Claim
from envhub.host.fleet import Fleet
from envhub.host.instance import Instance
from envhub.host.options import (
    BRIDGE_OPTIONS,
    FIXED,
    OF_EPISODES,
    UNKNOWN,
    asks_for_replay,
    capabilities_of,
    check_snapshots,
    check_timeout,
    of_one_instance,
    own_options,
)
from envhub.suite import Suite, keywords

if TYPE_CHECKING:
    from envhub.environment import Environment
    from envhub.host.trials import Trial


class HostSuite(Suite):
    """A suite of callback environments: its facts, and a constructor of instances.

    Options, capabilities and environments follow from the instances. A suite overrides `claims` if
    it knows capabilities before there is an instance, and `options` if the constructor of the
    instances does not name them.

    Examples:
        >>> import functools
        >>> class Walk(envhub.host.Instance):
        ...     observation_space = envhub.spaces.Box(-99, 99, (), np.int32)
        ...     action_space = envhub.spaces.Discrete(2)
        ...     def __init__(self, stride=1):
        ...         self.stride = stride
        ...     def reset(self, seed):
        ...         self.place = np.int32(seed % 3)
        ...         return self.place
        ...     def step(self, action):
        ...         self.place += np.int32(self.stride if action else -self.stride)
        ...         return envhub.host.InstanceStep(self.place, 0.0, False, False, {})
        >>> class Walks(HostSuite):
        ...     name, title, example = "hostwalks", "walks on a line", "Walk-v0"
        ...     module = distribution = "numpy"
        ...     supported = ">=1"
        ...     def known_names(self):
        ...         return ["Walk-v0"]
        ...     def instances(self, name, options):
        ...         return functools.partial(Walk, **options)
        >>> envhub.register("hostwalks", Walks())
        >>> env, params = envhub.make("hostwalks::Walk-v0", stride=2)
        >>> obs, state = env.reset(jax.random.key(0), params)
        >>> int(env.step(jax.random.key(0), state, 1, params).obs - obs)
        2
        >>> envhub.unregister("hostwalks")
    """

    finds_out = True

    @abc.abstractmethod
    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        """Return a function that makes one instance per call; processes and actors unpickle it.

        Args:
            name: the name of the environment.
            options: the suite's own keywords of `make`, without `BRIDGE_OPTIONS`.
        """

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        """Return the capabilities that are known before an environment is made, by flag."""
        return {}

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        """Return whether an episode played again is the same: `True`, or the reason why not.

        By default this is not known before the environment is made.
        """
        return UNKNOWN

    def options(self, name: str) -> Iterable[str]:
        return {*keywords(self.instances(name, {})), *BRIDGE_OPTIONS}

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        gap = self.gap(name, options)
        if gap:
            return Capabilities.none(gap.reason)
        claims = dict(self.claims(name, options))
        if asks_for_replay(options, claims.get("forkable", UNKNOWN)):
            options = {**options, "snapshots": "replay"}
            is_exact = claims.get("reproducible", True)
            claims["forkable"] = self.replays(name, options) if is_exact is True else is_exact
        return capabilities_of(options, claims)

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        construct = self.instances(name, own_options(options))
        first = self.trial(name, options).first(construct)
        return self.environment(name, construct, first, options)

    def trial(self, name: str, options: Mapping[str, Any]) -> Trial:
        """Return the watcher of the trials of an environment with these options."""
        from envhub.host.trials import Trial

        check_timeout(options)
        return Trial(f"{self.name}::{name}", options.get("timeout"))

    def adopted(
        self,
        name: str,
        obj: Any,
        construct: Callable[[], Any] | None,
        instance: Callable[[Callable[[], Any]], Instance],
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> Environment:
        """Make the environment of an object that was made elsewhere; `adopt` calls this.

        Args:
            name: the name of the environment.
            obj: the object.
            construct: a function that makes objects like `obj`; `None` if there is none.
            instance: makes an instance from a function that returns an object.
            options: the options given to `wrap`.
        """
        create = functools.partial(instance, _FirstThenOthers(obj, construct))
        first = self.trial(name, options).first(create)
        is_alone = construct is None
        return self.environment(name, create, first, options, claims={}, is_alone=is_alone)

    def environment(
        self,
        name: str,
        construct: Callable[[], Instance],
        first: Instance,
        options: Mapping[str, Any],
        *,
        claims: Mapping[str, Claim] | None = None,
        fleet: Fleet | None = None,
        is_alone: bool = False,
    ) -> Environment:
        """Make the environment of an instance and others like it.

        Args:
            name: the name of the environment.
            construct: a function that makes an instance.
            first: the first instance that `construct` made.
            options: the keywords of `make`, including `BRIDGE_OPTIONS`.
            claims: the known capabilities; by default those of `claims`. An instance's own claims
                take precedence.
            fleet: the suite's own runner of the instances, if it has one.
            is_alone: whether this is the only instance, which every reset reuses.
        """
        known = self.claims(name, options) if claims is None else claims
        said = {**known, **first.claims}
        can_be_saved = {**_has(first), **said}["forkable"]
        made = functools.partial(self._made, name, is_alone=is_alone)
        by_replay = functools.partial(self._by_replay, made, name, construct, first, said, options)
        if asks_for_replay(options, can_be_saved) and not is_alone:
            return by_replay()
        try:
            return made(construct, first, said, options, fleet=fleet)
        except MissingCapabilityError as error:
            is_insisted = "forkable" in said or options.get("snapshots") == "saved"
            if can_be_saved is True and not is_insisted and not options.get("forkable"):
                # Nobody claimed it: what can be saved need not continue the same way.
                said = {**said, "forkable": str(error)}
                return made(construct, first, said, options, fleet=fleet)
            if can_be_saved is not True or is_insisted or is_alone:
                raise
            return by_replay()

    def _by_replay(
        self,
        made: Callable[..., Environment],
        name: str,
        construct: Callable[[], Instance],
        first: Instance,
        said: Mapping[str, Claim],
        options: Mapping[str, Any],
    ) -> Environment:
        """Make the environment of instances whose snapshots are logs.

        Raises:
            MissingCapabilityError: if replays are not exact.
        """
        from envhub.host.environment import identity_of
        from envhub.host.forking import by_replay

        check_snapshots(options)
        env_id = f"{self.name}::{name}"
        identity = identity_of(env_id, self.require_installed(), options, first)
        claims = (said.get("reproducible", True), self.replays(name, options))
        refused = next((claim for claim in claims if claim not in (True, UNKNOWN)), "")
        if refused:
            raise MissingCapabilityError(f"{env_id} is not forkable: {refused}")
        with self.trial(name, options) as trial:
            replaying, one = by_replay(env_id, identity, trial, construct, first, options)
        options = {**options, "snapshots": "replay"}
        return made(replaying, one, {**said, "forkable": True}, options)

    def _made(
        self,
        name: str,
        construct: Callable[[], Instance],
        first: Instance,
        said: Mapping[str, Claim],
        options: Mapping[str, Any],
        *,
        is_alone: bool,
        fleet: Fleet | None = None,
    ) -> Environment:
        from envhub.host.environment import HostEnvironment

        with self.trial(name, options) as trial:
            tried = _tried(trial, construct, first, said, is_alone=is_alone)
        found = {**_has(first), **said, **tried}
        capabilities = capabilities_of(options, found)
        if is_alone:
            capabilities, alone = of_one_instance(capabilities)
            options = {**options, **alone}
        return HostEnvironment(
            f"{self.name}::{name}",
            construct,
            first,
            unwrapped=first.unwrapped,
            observation_space=first.observation_space,
            action_space=first.action_space,
            default_params=first.default_params,
            options=options,
            version=self.require_installed(),
            num_agents=first.num_agents,
            fleet=fleet,
            capabilities=capabilities,
            is_claimed="forkable" in said,
            packages=(self.provider(), self.origin(name, first.unwrapped)[0], *self.relies_on),
        )


class _FirstThenOthers:
    """A function that gives an object first, and then others from `construct`.

    In another process, it gives others from the start: the object stays where it lives.
    """

    def __init__(self, obj: Any, construct: Callable[[], Any] | None) -> None:
        self._obj, self._construct = obj, construct
        self._unused = [obj]

    def __call__(self) -> Any:
        if self._unused:
            return self._unused.pop()
        made = self._construct() if self._construct else self._obj
        if made is self._obj:
            raise self._alone()
        return made

    def __reduce__(self) -> Any:
        if self._construct is None:
            raise self._alone()
        return functools.partial, (self._construct,)

    def _alone(self) -> InvalidOptionError:
        return InvalidOptionError(
            f"{self._obj!r} is one live environment, and this needs a second one. Give a function "
            "that makes one: envhub.wrap(lambda: MyEnv(…))."
        )


def _tried(
    trial: Trial,
    construct: Callable[[], Instance],
    first: Instance,
    said: Mapping[str, Claim],
    *,
    is_alone: bool,
) -> dict[str, Claim]:
    """Find out, with two instances, the flags for which there is no claim."""
    from envhub.host.repeats import why_not_repeatable

    unknown = [flag for flag in OF_EPISODES if flag not in said]
    if not unknown:
        return {}
    other = None if is_alone else trial.another(construct)
    try:
        why_not = why_not_repeatable(trial.instance(first), other)
        return dict.fromkeys(unknown, why_not or True)
    finally:
        if other is not None:
            other.close()


def _has(instance: Instance) -> dict[str, Claim]:
    """Return the capabilities that follow from the methods of an instance."""
    kind, has_params = type(instance), instance.default_params is not None
    return {
        "forkable": kind.save is not Instance.save or "it cannot be saved.",
        "renderable": kind.render is not Instance.render or "there is nothing to see.",
        "has_env_params": has_params or FIXED,
    }
