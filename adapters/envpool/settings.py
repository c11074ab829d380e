"""What may be chosen, checked before it reaches EnvPool, which aborts the process on much of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import InvalidOptionError

from .facts import EXACT, NO_LIMIT, STREAM


class Whole(NamedTuple):
    """The integers from `low` to `high`."""

    low: int
    high: int

    def admits(self, value: Any) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"an integer from {self.low} to {self.high}"


class Real(NamedTuple):
    """The numbers from `low` to `high`."""

    low: float
    high: float

    def admits(self, value: Any) -> bool:
        return type(value) in (int, float) and self.low <= value <= self.high

    def __str__(self) -> str:
        if math.isinf(self.high):
            return "a finite number" if math.isinf(self.low) else f"a number of at least {self.low}"
        return f"a number from {self.low} to {self.high}"


class Flag(NamedTuple):
    """True or false."""

    def admits(self, value: Any) -> bool:
        return type(value) is bool

    def __str__(self) -> str:
        return "True or False"


class Among(NamedTuple):
    """Some values."""

    values: tuple[Any, ...]

    def admits(self, value: Any) -> bool:
        return any(type(value) is type(each) and value == each for each in self.values)

    def __str__(self) -> str:
        return " or ".join(map(repr, self.values))


Kind = Whole | Real | Flag | Among

FLAG = Flag()
SIDE = Whole(8, 1024)  # pixels
INT_MAX = int(np.iinfo(np.int32).max)
WEIGHT = Real(-1e6, 1e6)

COMMON: Mapping[str, Kind] = {
    "seeding": Among((EXACT, STREAM)),
    "seed": Whole(0, INT_MAX),
    "num_threads": Whole(0, 256),
    "max_episode_steps": Whole(1, NO_LIMIT),
}

SEEN = {"stack_num": Whole(1, 16), "img_height": SIDE, "img_width": SIDE}
STACK = {"frame_stack": Whole(1, 16)}

OF_FAMILY: Mapping[str, Mapping[str, Kind]] = {
    "atari": {
        **SEEN,
        "frame_skip": Whole(1, 64),
        "noop_max": Whole(1, 10_000),
        "episodic_life": FLAG,
        "reward_clip": FLAG,
        "use_fire_reset": FLAG,
        "full_action_space": FLAG,
        "repeat_action_probability": Real(0, 1),
        "use_inter_area_resize": FLAG,
        "gray_scale": FLAG,
    },
    "mujoco.dmc": {"frame_skip": Whole(1, 64), **STACK},
    "mujoco.gym": {
        "frame_skip": Whole(1, 64),
        **STACK,
        "terminate_when_unhealthy": FLAG,
        "exclude_current_positions_from_observation": FLAG,
        "forward_reward_weight": WEIGHT,
        "ctrl_cost_weight": WEIGHT,
        "contact_cost_weight": WEIGHT,
        "healthy_reward": WEIGHT,
        "reset_noise_scale": Real(0, 10),
    },
    "mujoco.metaworld": {"frame_skip": Whole(1, 64), **STACK, "partially_observable": FLAG},
    "mujoco.myosuite": STACK,
    "mujoco.playground": STACK,
    "mujoco.robotics": STACK,
    "procgen": {
        "num_levels": Whole(0, INT_MAX // 2),
        "start_level": Whole(0, INT_MAX // 2),
        "use_sequential_levels": FLAG,
        "center_agent": FLAG,
        "use_backgrounds": FLAG,
        "use_monochrome_assets": FLAG,
        "restrict_themes": FLAG,
        "use_generated_assets": FLAG,
        "paint_vel_info": FLAG,
        "channel_first": FLAG,
    },
    "vizdoom": {
        **SEEN,
        "frame_skip": Whole(1, 20),
        "episodic_life": FLAG,
        "use_combined_action": FLAG,
        "use_inter_area_resize": FLAG,
    },
}


def kinds_of(family: str, keys: Iterable[str]) -> dict[str, Kind]:
    """The options of an environment, of those that EnvPool has for it."""
    there = set(keys)
    own = {name: kind for name, kind in OF_FAMILY.get(family, {}).items() if name in there}
    return {**COMMON, **own}


def check(env_id: str, options: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Refuse a value that EnvPool would not survive, or would not notice.

    Raises:
        InvalidOptionError: if an option has such a value.
    """
    for name, value in options.items():
        if not kinds[name].admits(value):
            raise InvalidOptionError(f"{env_id}: {name} must be {kinds[name]}, got {value!r}.")
