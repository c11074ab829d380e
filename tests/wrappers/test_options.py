"""Every option of every wrapper is checked at once, where there is no environment yet."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import envhub
from envhub import errors, wrappers

NOT_A_FLAG = [1, "yes", None]
NOT_A_FUNCTION = [3, "halve"]
NOT_A_NUMBER = ["a", math.nan, math.inf, None, True, [1.0]]
NOT_A_COUNT = [-1, 2.5, "3", None, True, 2**31]
NOT_A_PROBABILITY = [-0.1, 1, "a", None, math.nan]
NOT_A_DISCOUNT = [-0.1, 1.1, "a", None, math.nan]
NOT_INDICES = [[], [0, 0], [[0]], [0.5], "ab", None, [False, False], [[0], [1, 2]]]
OF_STATISTICS = {
    "epsilon": [0, -1, "a", None, math.nan, math.inf],
    "axis_name": [0, ("envs", 1), [], np.zeros(2)],
    "statistics": [3, (0, 1, 2), {}],
    "update": NOT_A_FLAG,
}

# Values that fit no environment; beside the other options, which are those of `GOOD`.
BAD: dict[str, dict[str, list[Any]]] = {
    "ActionMask": {"mask_fn": NOT_A_FUNCTION, "info_key": [3, b"mask"]},
    "AutoReset": {"mode": ["soon", None, 1]},
    "ClipReward": {
        "min_reward": ["a", math.nan, 2, [0], True, None],  # 2 is above, and with None is no bound
        "max_reward": ["a", math.nan, [0], 10**400],
    },
    "DelayObservation": {"delay": NOT_A_COUNT},
    "DiscretizeAction": {
        "bins": [0, -1, 2.5, "3", None, [3, 0], [], [[3], [3, 3]]],
        "multidiscrete": NOT_A_FLAG,
    },
    "DiscretizeObservation": {
        "bins": [0, -1, 2.5, "3", None, [3, 0], [], [[3], [3, 3]]],
        "multidiscrete": NOT_A_FLAG,
    },
    "DtypeObservation": {"dtype": ["nothing", None, object, np.complex64, ">f4"]},
    "EpisodeDiscount": {"gamma": NOT_A_DISCOUNT},
    "FilterObservation": {"filter_keys": [[], "obs", ["obs", "obs"], None, 3, [None], [[]]]},
    "FireReset": {"fire_action": [0.5, "FIRE", True, [1]]},
    "FlickeringObservation": {"probability": NOT_A_PROBABILITY},
    "FrameStackObservation": {
        "stack_size": [*NOT_A_COUNT, 0],
        "padding_type": ["ones", None],
    },
    "GrayscaleObservation": {"keep_dim": NOT_A_FLAG},
    "MaskObservation": {"keep": NOT_INDICES},
    "MaxAndSkipObservation": {"skip": [*NOT_A_COUNT, 1]},
    "NoisyObservation": {
        "scale": [-0.1, math.nan, math.inf, "a", None, [0.1, -0.1], [[1], [1, 2]]]
    },
    "NormalizeObservation": OF_STATISTICS,
    "NormalizeReward": {**OF_STATISTICS, "gamma": NOT_A_DISCOUNT},
    "PeriodicObservation": {"angles": NOT_INDICES},
    "RecordVideo": {
        "video_folder": [3, None],
        "episode_trigger": NOT_A_FUNCTION,
        "step_trigger": NOT_A_FUNCTION,
        "video_length": [-1, 2.5, "3", None, True],
        "name_prefix": ["a/b", "../a", "a\0b", 3, None],
        "fps": [0, -1, "a", math.nan, math.inf],
        "format": ["avi", None, 3],
    },
    "RepeatAction": {"num_repeats": [*NOT_A_COUNT, 0]},
    "RescaleAction": {"min_action": [*NOT_A_NUMBER, 1.0, 2], "max_action": [*NOT_A_NUMBER, -1.0]},
    "RescaleObservation": {"min_obs": [*NOT_A_NUMBER, 1.0, 2], "max_obs": [*NOT_A_NUMBER, -1.0]},
    "ReshapeObservation": {"shape": [4, "22", None, [2, -1], (2.0, 2), (True, 4)]},
    "ResizeObservation": {"shape": [4, "22", None, [2, 0], (2.0, 2), (2,), (2, 2, 2)]},
    "ScaleReward": {"scale": NOT_A_NUMBER},
    "StickyAction": {
        "repeat_action_probability": NOT_A_PROBABILITY,
        "repeat_action_duration": [0, -1, 2.5, "3", None, (2, 1), (1, 2, 3), True],
    },
    "TimeAwareObservation": {
        "flatten": NOT_A_FLAG,
        "normalize_time": NOT_A_FLAG,
        "dict_time_key": [3, None],
        "max_episode_steps": [-1, 0, 2.5, "3", True, 2**31],
    },
    "TimeLimit": {"max_episode_steps": [*NOT_A_COUNT, 0]},
    "TransformAction": {"func": [*NOT_A_FUNCTION, None], "action_space": [3, "Box"]},
    "TransformObservation": {"func": [*NOT_A_FUNCTION, None], "observation_space": [3, "Box"]},
    "TransformReward": {"func": [*NOT_A_FUNCTION, None]},
}
GOOD: dict[str, dict[str, Any]] = {
    "ClipReward": {"min_reward": -1.0, "max_reward": 1.0},
    "DelayObservation": {"delay": 1},
    "DiscretizeAction": {"bins": 3},
    "DiscretizeObservation": {"bins": 3},
    "DtypeObservation": {"dtype": np.float16},
    "FilterObservation": {"filter_keys": ["obs"]},
    "FlickeringObservation": {"probability": 0.5},
    "FrameStackObservation": {"stack_size": 2},
    "MaskObservation": {"keep": [0]},
    "NoisyObservation": {"scale": 0.1},
    "PeriodicObservation": {"angles": [0]},
    "RecordVideo": {"video_folder": "videos"},
    "RepeatAction": {"num_repeats": 2},
    "RescaleObservation": {"min_obs": -1.0, "max_obs": 1.0},
    "ReshapeObservation": {"shape": (2, 2)},
    "ResizeObservation": {"shape": (8, 8)},
    "ScaleReward": {"scale": 0.5},
    "StickyAction": {"repeat_action_probability": 0.5},
    "TimeLimit": {"max_episode_steps": 5},
    "TransformAction": {"func": abs},
    "TransformObservation": {"func": abs},
    "TransformReward": {"func": abs},
}


def options_of(name: str) -> set[str]:
    return set(inspect.signature(getattr(wrappers, name).__init__).parameters) - {"self", "env"}


def test_no_option_is_left_out() -> None:
    known = {name: options_of(name) for name in wrappers.__all__ if options_of(name)}
    assert {name: set(options) for name, options in BAD.items()} == known


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in BAD.items() for option in options]
)
def test_an_option_is_checked_at_once(name: str, option: str) -> None:
    kind, good = getattr(wrappers, name), GOOD.get(name, {})
    assert str(kind(**good)).startswith(name)
    for value in BAD[name][option]:
        given = {**good, option: value}
        if (name, option, value) == ("ClipReward", "min_reward", None):
            given["max_reward"] = None
        with pytest.raises(errors.InvalidOptionError, match=option):
            kind(**given)


def test_bounds_are_checked_together_with_their_defaults() -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"min_action=2 must be below max_action=1"):
        wrappers.RescaleAction(min_action=2)
    with pytest.raises(errors.InvalidOptionError, match="needs min_reward or max_reward"):
        wrappers.ClipReward()


def test_with_an_environment_the_same_is_refused() -> None:
    env, _ = envhub.make("gymnax::CartPole-v1")
    with pytest.raises(errors.InvalidOptionError, match="max_episode_steps"):
        wrappers.TimeLimit(env, 0)
    with pytest.raises(errors.InvalidOptionError, match="epsilon"):
        wrappers.NormalizeReward(env, epsilon=0)


def test_a_subclass_may_have_options_of_its_own() -> None:
    class Halved(wrappers.ScaleReward):
        """An option less."""

        def __init__(self, env: envhub.Environment) -> None:
            super().__init__(env, 0.5)

    env, _ = envhub.make("gymnax::CartPole-v1", wrappers=[Halved])
    assert env.find(Halved)
