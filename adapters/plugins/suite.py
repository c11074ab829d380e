"""`PluginSuite`: what the rows of the table share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from envhub import _versions
from envhub.environment import Environment
from envhub.flags import Claim
from envhub.host import HostSuite, Instance
from envhub.host.options import FIXED, OF_EPISODES
from envhub.suite import Gap

from ..gymnasium.facts import NOT_DRAWN
from ..gymnasium.suite import SUITE as GYMNASIUM
from .instances import instance_of

T = TypeVar("T")

REPLAYED = "its state cannot be saved; with forkable=True its episodes are replayed."


class PluginSuite(HostSuite):
    """A package that registers environments with Gymnasium when it is imported.

    A subclass states facts. The claims are about the names in its file: each was probed over whole
    episodes. What else the package registers is tried when it is made.

    Attributes:
        gaps: by the start of names, why these do not run.
        longest: by the start of names, the steps of an episode, if they are more than a log has
            room for by default.
    """

    gaps: ClassVar[Mapping[str, Gap]] = {}
    longest: ClassVar[Mapping[str, int]] = {}
    enabling = ({"forkable": True},)
    relies_on: ClassVar[tuple[str, ...]] = ("gymnasium",)

    @classmethod
    def family_of(cls, name: str, entry_point: str) -> str:
        """Return the family of a name, by its entry point; `scripts/plugin_names.py` asks."""
        return entry_point.rpartition(":")[2]

    def known_names(self) -> Iterable[str]:
        absent_in = names_of(self.name)["absent"]  # the oldest version first
        absent = absent_in[_versions.closest([*absent_in], self.installed())]
        return [name for name in family_by_name(self.name) if name not in absent]

    def live_names(self) -> Iterable[str]:
        self.load()
        live = GYMNASIUM.load("envs.registration").registry
        return [name for name in GYMNASIUM.live_names() if self.is_own(live[name].entry_point)]

    def is_own(self, entry_point: Any) -> bool:
        """Tell whether an entry point of Gymnasium's registry is in this package."""
        path = entry_point if isinstance(entry_point, str) else entry_point.__module__
        return _versions.is_inside(path.partition(":")[0], self.module)

    def options(self, name: str) -> Iterable[str]:
        self.load()
        return GYMNASIUM.options(f"{self.module}:{name}")

    def families(self) -> Mapping[str, str]:
        return {name: self.family(name) for name in self.known_names()}

    def family(self, name: str) -> str:
        return family_by_name(self.name).get(name, "")

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps"

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        if name not in family_by_name(self.name):
            return GYMNASIUM.claims(name, options)
        return {
            **dict.fromkeys(OF_EPISODES, True),
            "forkable": REPLAYED,
            "has_env_params": FIXED,
            "renderable": NOT_DRAWN if options.get("render_mode", 0) is None else self.draws(name),
        }

    def draws(self, name: str) -> Claim:
        """Return whether an environment can be drawn: `True`, or the reason why not."""
        return True

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        return True if name in family_by_name(self.name) else super().replays(name, options)

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        return of_start(self.gaps, name)

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        steps = of_start(self.longest, name)
        if steps and options.get("max_episode_steps", -1) == -1:
            options = {"replay_steps": steps, **options}
        return super().make(name, options)

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        self.load()
        create = GYMNASIUM.instances(f"{self.module}:{name}", options)
        is_probed = name in family_by_name(self.name)
        return functools.partial(instance_of, create, is_probed=is_probed)


def of_start(facts: Mapping[str, T], name: str) -> T | None:
    """Return the fact of the first start of a name that is in a table."""
    return next((fact for start, fact in facts.items() if name.startswith(start)), None)


@functools.cache
def family_by_name(suite: str) -> Mapping[str, str]:
    """Return the families of the names of every version of a suite."""
    families = names_of(suite)["families"]
    return {name: family for family, names in families.items() for name in names.split()}


@functools.cache
def names_of(suite: str) -> Any:
    """Return the names of a suite by family, and by version those that it lacks."""
    return json.loads(Path(__file__).with_name(f"{suite}.json").read_text(encoding="utf-8"))
