"""The table: a class for each package, with its facts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import ClassVar

from envhub.errors import MissingDependencyError
from envhub.flags import Claim
from envhub.suite import ANY_KEYWORD, Gap

from .suite import PluginSuite


class MinigridSuite(PluginSuite):
    """MiniGrid and BabyAI."""

    name = "minigrid"
    title = "MiniGrid's and BabyAI's gridworlds with missions, on the CPU"
    module = distribution = "minigrid"
    supported = ">=3,<4"
    example = "MiniGrid-Empty-5x5-v0"
    gaps: ClassVar[Mapping[str, Gap]] = {
        "MiniGrid-WFC": Gap("upstream", "minigrid's wheel lacks the pictures that it starts from.")
    }
    # A level of BabyAI has up to eight goals, with room for 576 steps each.
    longest: ClassVar[Mapping[str, int]] = {
        "BabyAI-": 4608,
        "MiniGrid-DoorKey-16x16": 2560,
        "MiniGrid-Dynamic-Obstacles-16x16": 1024,
        "MiniGrid-Empty-16x16": 1024,
        "MiniGrid-KeyCorridorS6R3": 1080,
        "MiniGrid-MemoryS17": 1445,
        "MiniGrid-ObstructedMaze-2Q": 1584,
        "MiniGrid-ObstructedMaze-Full": 3600,
        "MiniGrid-RedBlueDoors-8x8": 1280,
    }
    references = (
        ("*", "https://github.com/Farama-Foundation/Minigrid/tree/master/minigrid/envs/wfc"),
    )

    @classmethod
    def family_of(cls, name: str, entry_point: str) -> str:
        own = super().family_of(name, entry_point)
        return "BabyAI" if ".babyai" in entry_point else "WFC" if own.startswith("WFC") else own


class PopgymSuite(PluginSuite):
    """POPGym: tasks that need a memory."""

    name = "popgym"
    title = "POPGym's tasks that need a memory, on the CPU"
    module = distribution = "popgym"
    supported = ">=1.0.7,<2"
    example = "popgym-RepeatFirstEasy-v0"

    @classmethod
    def family_of(cls, name: str, entry_point: str) -> str:
        own = super().family_of(name, entry_point)
        return own.removesuffix("Easy").removesuffix("Medium").removesuffix("Hard")

    def options(self, name: str) -> Iterable[str]:
        # popgym 1.0.7: the constructors of others take any keyword too, and drop it.
        return {*super().options(name), *OF_POPGYM.get(name, ())} - {ANY_KEYWORD}

    def draws(self, name: str) -> Claim:
        # popgym 1.0.7: the constructors of the others drop `render_mode`, or print text.
        return name in OF_POPGYM or "popgym does not draw it."

    def resolve(self, name: str) -> str:
        if name.startswith("popgym-Labyrinth") and not importlib.util.find_spec("mazelib"):
            raise MissingDependencyError(
                f"popgym has {name!r} only where mazelib is installed. Run: pip install mazelib"
            )
        return super().resolve(name)


# Those that give keywords to Gymnasium's environments, which refuse what they do not know.
OF_POPGYM = {
    "popgym-PositionOnlyCartPoleEasy-v0": ("max_episode_length", "sutton_barto_reward"),
    "popgym-PositionOnlyPendulumEasy-v0": ("max_episode_length", "g"),
    "popgym-VelocityOnlyCartpoleEasy-v0": ("max_episode_length", "sutton_barto_reward"),
}

MINIGRID, POPGYM = MinigridSuite(), PopgymSuite()
