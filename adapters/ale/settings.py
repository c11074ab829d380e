"""What can be chosen of a game: settings, the engine that runs it, and params."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from envhub.errors import InvalidOptionError
from envhub.params import params_dataclass

from .instances import SCREENS, AleInstance


@params_dataclass
class AleParams:
    """What may be changed of a game.

    Attributes:
        mode: int32, the variant of the game; of those that it has, the nearest is played. In force
            from the next reset on.
        difficulty: int32, the position of the console's two switches, likewise.
        repeat_action_probability: float32, of an action being ignored for a frame and the last one
            repeated (sticky actions). In force at once.
    """

    mode: Any
    difficulty: Any
    repeat_action_probability: Any


@dataclasses.dataclass(eq=False, repr=False)  # cheap to import: `capabilities` is quick
class Preprocessed:
    """The settings of the plain names: those of `ale_py.vector_env.AtariVectorEnv`.

    Not taken are its `continuous` actions, and `life_loss_info`, which calls an episode terminated
    that goes on.
    """

    img_height: int = 84
    img_width: int = 84
    grayscale: bool = True
    stack_num: int = 4
    frameskip: int = 4
    maxpool: bool = True
    noop_max: int = 30
    use_fire_reset: bool = True
    episodic_life: bool = False
    reward_clipping: bool = True
    repeat_action_probability: float = 0.0
    full_action_space: bool = False
    max_num_frames_per_episode: int = 108_000


@dataclasses.dataclass(eq=False, repr=False)  # cheap to import: `capabilities` is quick
class Raw:
    """The settings of the names `ALE/…-v5`: those of Gymnasium's ids, made of `ale_py.AtariEnv`.

    Not taken are its `continuous` actions, `sound_obs` and a range of frame skips.
    """

    obs_type: str = "rgb"
    frameskip: int = 4
    repeat_action_probability: float = 0.25
    full_action_space: bool = False
    max_num_frames_per_episode: int = 108_000


Settings = Preprocessed | Raw

ENGINES = ("vector", "python")
ONLY_PYTHON = ("mode", "difficulty", "workers", "timeout")
LACKS, INSTEAD = "ALE's vector engine cannot", "make it with engine='python'"


def kind_of(name: str) -> type[Settings]:
    """What the settings of a name are."""
    return Raw if name.startswith("ALE/") else Preprocessed


def engine_of(name: str, options: Mapping[str, Any]) -> str:
    """Which engine runs the environment that the options make.

    Raises:
        InvalidOptionError: if there is no such engine, or it cannot do what is asked.
    """
    asked = options.get("engine")
    if asked not in (None, *ENGINES):
        raise InvalidOptionError(f"engine={asked!r}: there are {' and '.join(map(repr, ENGINES))}.")
    needs = [option for option in ONLY_PYTHON if options.get(option) is not None]
    if name.startswith("ALE/"):
        needs.append(f"the name {name}, which shows the screen as it is,")
    if asked == "vector" and needs:
        raise InvalidOptionError(f"{needs[0]} needs engine='python'; {LACKS} do that.")
    if asked:
        return str(asked)
    is_forked = options.get("forkable") is True or options.get("snapshots") is not None
    return "python" if needs or is_forked else "vector"


def settings_of(kind: type[Settings], options: Mapping[str, Any]) -> Any:
    """The settings that the options make.

    Raises:
        InvalidOptionError: if a value makes no sense.
    """
    settings = kind(
        **{f.name: options[f.name] for f in dataclasses.fields(kind) if f.name in options}
    )
    for field in dataclasses.fields(kind):
        value = getattr(settings, field.name)
        least = 0 if field.name == "noop_max" else 1
        is_good, wanted = {
            bool: (isinstance(value, bool), "True or False"),
            int: (type(value) is int and value >= least, f"an integer, at least {least}"),
            float: (isinstance(value, (int, float)) and 0 <= value <= 1, "between 0 and 1"),
            str: (value in SCREENS, f"one of {', '.join(SCREENS)}"),
        }[type(field.default)]
        if not is_good:
            raise InvalidOptionError(f"{field.name} is {wanted}, got {value!r}.")
    return settings


def params_of(first: AleInstance, options: Mapping[str, Any]) -> AleParams:
    """The default params, which the options may decide.

    Raises:
        InvalidOptionError: if the game has no such mode or difficulty.
    """
    difficulty = options.get("difficulty")
    return AleParams(
        mode=_among("mode", options.get("mode"), first.modes, first.mode),
        difficulty=_among("difficulty", difficulty, first.difficulties, first.difficulty),
        repeat_action_probability=np.float32(first.settings.repeat_action_probability),
    )


def _among(name: str, value: Any, offered: list[int], default: int) -> Any:
    if value is not None and value not in offered:
        raise InvalidOptionError(f"this game has no {name} {value!r}; it has {offered}.")
    return np.int32(default if value is None else value)
