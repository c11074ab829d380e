"""Crafter as a suite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.flags import Claim
from envhub.host import BRIDGE_OPTIONS, HostSuite
from envhub.host.options import FIXED, OF_EPISODES

from .instances import CrafterInstance

# What crafter registers with Gym, if an old Gym is installed, and whether it gives the reward.
REWARDS = {"CrafterReward-v1": True, "CrafterNoReward-v1": False}
OPTIONS = ("area", "view", "size", "length")
LONGEST = 10_000
REPLAYED = "its state cannot be saved; with forkable=True its episodes are replayed."


class CrafterSuite(HostSuite):
    """Crafter's two environments, which differ in whether they give the reward."""

    name = "crafter"
    title = "Crafter: survival in a world seen from above, on the CPU"
    module = distribution = "crafter"
    supported = ">=1.8.3,<2"
    example = "CrafterReward-v1"
    enabling = ({"forkable": True},)
    relies_on = ("opensimplex",)

    def known_names(self) -> Iterable[str]:
        return REWARDS

    def options(self, name: str) -> Iterable[str]:
        return [*OPTIONS, *BRIDGE_OPTIONS]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "length"

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        of_episodes: dict[str, Claim] = dict.fromkeys(OF_EPISODES, True)
        return {**of_episodes, "forkable": REPLAYED, "has_env_params": FIXED, "renderable": True}

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        return True

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        room = {"replay_steps": LONGEST} if options.get("length", LONGEST) is None else {}
        return super().make(name, {**room, **options})

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], CrafterInstance]:
        self.load()
        length = options.get("length", LONGEST)
        if length is not None and (type(length) is not int or length < 1):
            raise InvalidOptionError(
                f"length must be a positive integer, or None for no limit, got {length!r}."
            )
        return functools.partial(CrafterInstance, reward=REWARDS[name], **options)


SUITE = CrafterSuite()
