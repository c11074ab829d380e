"""EnvPool as a suite."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from envhub._foreign import blaming, quiet
from envhub.errors import InvalidOptionError, UnavailableEnvError
from envhub.flags import Claim
from envhub.host import BRIDGE_OPTIONS, HostSuite
from envhub.host.options import FIXED, OF_EPISODES, own_options
from envhub.suite import Gap

from .facts import (
    COUNTED,
    EXACT,
    FAMILIES,
    NEEDS_OPENGL,
    NEEDS_QT,
    NEW,
    NO_LIMIT,
    NO_PUZZLES,
    NOT_DRAWN,
    NOT_FREED,
    NOT_SAVED,
    OWN,
    STREAM,
    STREAMS,
    Family,
    gap_of,
)
from .fleet import PoolFleet
from .instances import PoolInstance
from .names import canonical, family_of
from .pools import Recipe
from .settings import INT_MAX, check, kinds_of

if TYPE_CHECKING:
    from envhub.environment import Environment

ALONE = ("workers", "timeout", "snapshots")
"""Options that give each instance a pool of its own; `forkable=True` does too."""


class EnvpoolSuite(HostSuite):
    """EnvPool's environments in C++, in pools that a batch steps at once."""

    name = "envpool"
    title = "EnvPool's environments in C++, many at once"
    module = "envpool"
    distribution = "envpool"
    data = "envpool-assets"
    supported = ">=1.2.5,<2"  # older ones have fewer families, and were not tried
    example = "CartPole-v1"
    references = (("*", "https://github.com/sail-sg/envpool/issues"),)
    enabling = ({"seeding": EXACT}, {"forkable": True})

    def known_names(self) -> Iterable[str]:
        return sorted(set(canonical(self.installed()).values()))

    def live_names(self) -> Iterable[str]:
        names = canonical(self.installed())
        return sorted({names.get(name, name) for name in self.load("registration").registry.specs})

    def resolve(self, name: str) -> str:
        return super().resolve(canonical(self.installed()).get(name, name))

    def options(self, name: str) -> Iterable[str]:
        keys = () if self.gap(name, {}) else self._classes(name)[0]._config_keys
        return [*kinds_of(family_of(name), keys), *BRIDGE_OPTIONS]

    def family(self, name: str) -> str:
        return _family(name).title

    def families(self) -> Mapping[str, str]:
        return {name: family_of(name) for name in self.known_names()}

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps"

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if family_of(name) == "procgen" and not self.at_least("1.2.6"):
            return Gap("upstream", NEEDS_QT)
        if name in NO_PUZZLES and not self.at_least("1.2.6"):
            return Gap("upstream", "its puzzles are not among the assets of EnvPool 1.2.5.")
        return gap_of(name, family_of(name))

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        return {
            **dict.fromkeys(OF_EPISODES, seeding_of(name, options) == EXACT or STREAMS),
            "forkable": NOT_SAVED,
            "has_env_params": FIXED,
            "renderable": self._drawn(name),
        }

    def _drawn(self, name: str) -> Claim:
        if family_of(name).startswith("mujoco."):
            return self.at_least("1.2.7") or NEEDS_OPENGL
        return _family(name).is_drawn or NOT_DRAWN

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        return _family(name).frees or NOT_FREED

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], PoolInstance]:
        return functools.partial(_instance, self, name, dict(options))

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        gap = self.gap(name, options)
        if gap:  # and do not try: some of them end the process
            raise UnavailableEnvError(f"envpool::{name} does not run here: {gap.reason}")
        construct = self.instances(name, own_options(options))
        first: Any = self.trial(name, options).first(construct)
        fleet = None
        if not needs_instances(options):
            is_exact = seeding_of(name, options) == EXACT
            fleet = PoolFleet(first.recipe, is_exact=is_exact, seed=options.get("seed"))
        env = self.environment(name, construct, first, options, fleet=fleet)
        if fleet:
            first.close()
        return env

    def recipe(self, name: str, options: Mapping[str, Any]) -> Recipe:
        """How to make pools of an environment.

        Raises:
            InvalidOptionError: if EnvPool would not take an option.
        """
        spec, pool, keywords = self._classes(name)
        check(f"envpool::{name}", options, kinds_of(family_of(name), spec._config_keys))
        given = dict(options)
        asked, threads = given.pop("max_episode_steps", None), given.pop("num_threads", 0)
        for option in ("seeding", "seed"):  # the fleet's
            given.pop(option, None)
        limits, own = _limits(name, asked, keywords.get("max_episode_steps", INT_MAX))
        with quiet():
            config = {**keywords, **given, **own}
            drawn = self._drawn(name)
            return Recipe(spec, pool, family_of(name), config, limits, threads, drawn)

    def _classes(self, name: str) -> tuple[Any, Any, dict[str, Any]]:
        """EnvPool's classes of an environment, and the keywords that make it."""
        registry = self.load("registration").registry
        path, spec, keywords = registry.specs[name]
        _, pool = registry.envpools[name]["gymnasium"]
        with blaming(f"importing {path!r}, which envpool::{name} needs,"), quiet():
            module = importlib.import_module(path)
            return getattr(module, spec), getattr(module, pool), dict(keywords)


def _instance(suite: EnvpoolSuite, name: str, options: dict[str, Any]) -> PoolInstance:
    return PoolInstance(suite.recipe(name, options))


def _family(name: str) -> Family:
    return FAMILIES.get(family_of(name), NEW)


def needs_instances(options: Mapping[str, Any]) -> bool:
    """Whether each instance is to have a pool of its own: in workers, or to be forked by replay."""
    asked = [option for option in ALONE if options.get(option) is not None]
    return bool(asked) or options.get("forkable") is True


def seeding_of(name: str, options: Mapping[str, Any]) -> str:
    """How episodes follow from keys: `exact` or `stream`.

    Raises:
        InvalidOptionError: if a stream is asked for where each instance has a pool of its own, or
            a seed where keys are the seeds.
    """
    asked = options.get("seeding")
    if asked == STREAM and needs_instances(options):
        raise InvalidOptionError(
            f"seeding='stream' does not go with forkable=True, {', '.join(ALONE)}, which give each "
            "instance a pool of its own, with exact seeding."
        )
    seeding = asked or (EXACT if needs_instances(options) else STREAM)
    if options.get("seed") is not None and seeding == EXACT:
        raise InvalidOptionError(
            f"envpool::{name}: seed= is for seeding='stream'; with exact seeding the key of each "
            "reset decides its episode. Leave seed= out, or pass seeding='stream'."
        )
    return seeding


def _limits(name: str, asked: int | None, own: int) -> tuple[int, dict[str, int]]:
    """The limit that the fleet counts, 0 for none, and the one that EnvPool is given.

    Raises:
        InvalidOptionError: if EnvPool has a limit that cannot be moved so far.
    """
    kind = _family(name).limit
    registered = own if 0 < own < INT_MAX else 0
    if kind == COUNTED:
        return asked or registered, {"max_episode_steps": NO_LIMIT}
    if kind == OWN:
        if asked and registered and asked > registered:
            raise InvalidOptionError(
                f"envpool::{name}: max_episode_steps must be at most {registered}, which EnvPool "
                f"itself has; got {asked}."
            )
        return asked or 0, {}
    return asked or registered, {"max_episode_steps": asked} if asked else {}


SUITE = EnvpoolSuite()
