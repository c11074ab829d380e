"""Packages that register environments with Gymnasium, each as a suite: a table of facts.

`minigrid::Name` is short for `gymnasium::minigrid:Name`.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from envhub import _versions
from envhub.flags import Claim
from envhub.host import HostSuite, Instance
from envhub.host.options import FIXED, OF_EPISODES
from envhub.suite import Gap

from .gymnasium import SUITE as GYMNASIUM
from .gymnasium.facts import NOT_DRAWN

REPLAYED = "its state cannot be saved; with forkable=True its episodes are replayed."


class PluginSuite(HostSuite):
    """A package whose environments are made through Gymnasium's registry.

    What is claimed was probed for every name over whole episodes.

    Attributes:
        registers: the module that registers the environments when it is imported.
        gaps: by the start of names, why these do not run.
    """

    registers: ClassVar[str]
    gaps: ClassVar[Mapping[str, Gap]] = {}
    enabling = ({"forkable": True},)
    relies_on = ("gymnasium",)

    def known_names(self) -> Iterable[str]:
        found, since = self.installed(), _facts(self.name)["since"]
        return [
            name
            for names in _facts(self.name)["classes"].values()
            for name in names.split()
            if found is None or _versions.admits(f">={since.get(name, '0')}", found)
        ]

    def live_names(self) -> Iterable[str]:
        self.load(self.registers.partition(".")[2])
        live = GYMNASIUM.load("envs.registration").registry
        return [name for name in GYMNASIUM.live_names() if self._is_own(live[name].entry_point)]

    def options(self, name: str) -> Iterable[str]:
        self.load()
        return GYMNASIUM.options(f"{self.registers}:{name}")

    def families(self) -> Mapping[str, str]:
        classes = _facts(self.name)["classes"]
        return {name: kind for kind, names in classes.items() for name in names.split()}

    def family(self, name: str) -> str:
        return self.families().get(name, "")

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps"

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        return {
            **dict.fromkeys(OF_EPISODES, True),
            "forkable": REPLAYED,
            "has_env_params": FIXED,
            "renderable": NOT_DRAWN if options.get("render_mode", 0) is None else True,
        }

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        return True

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        return next((gap for start, gap in self.gaps.items() if name.startswith(start)), None)

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        self.load()
        return GYMNASIUM.instances(f"{self.registers}:{name}", options)

    def _is_own(self, entry_point: Any) -> bool:
        path = entry_point if isinstance(entry_point, str) else entry_point.__module__
        return _versions.is_inside(path.partition(":")[0], self.module)


class MinigridSuite(PluginSuite):
    """MiniGrid and BabyAI."""

    name = "minigrid"
    title = "MiniGrid's and BabyAI's gridworlds with missions, on the CPU"
    module = distribution = registers = "minigrid"
    supported = ">=3,<4"
    example = "MiniGrid-Empty-5x5-v0"
    gaps: ClassVar[Mapping[str, Gap]] = {
        "MiniGrid-WFC": Gap("upstream", "its pattern files are not in minigrid's wheel.")
    }
    references = (("*", "https://github.com/Farama-Foundation/Minigrid"),)


@functools.cache
def _facts(suite: str) -> Any:
    text = importlib.resources.files(__package__).joinpath("plugins.json").read_text("utf-8")
    return json.loads(text)[suite]


MINIGRID = MinigridSuite()
