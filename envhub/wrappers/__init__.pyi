"""The wrappers as type checkers see them, written by `python -m tests.wrapper_types`."""

import os
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, overload

import jax

from envhub import spaces
from envhub.environment import Environment
from envhub.wrappers._statistics import Statistics
from envhub.wrappers.action_mask import ActionMask as _ActionMask
from envhub.wrappers.action_mask import Mask
from envhub.wrappers.add_action_to_observation import (
    AddActionToObservation as _AddActionToObservation,
)
from envhub.wrappers.add_reward_to_observation import (
    AddRewardToObservation as _AddRewardToObservation,
)
from envhub.wrappers.autoreset import AutoReset as _AutoReset
from envhub.wrappers.autoreset import Mode
from envhub.wrappers.clip_action import ClipAction as _ClipAction
from envhub.wrappers.clip_reward import ClipReward as _ClipReward
from envhub.wrappers.delay_observation import DelayObservation as _DelayObservation
from envhub.wrappers.discretize_action import DiscretizeAction as _DiscretizeAction
from envhub.wrappers.discretize_observation import DiscretizeObservation as _DiscretizeObservation
from envhub.wrappers.dtype_observation import DtypeObservation as _DtypeObservation
from envhub.wrappers.episode_discount import EpisodeDiscount as _EpisodeDiscount
from envhub.wrappers.episodic_life import EpisodicLife as _EpisodicLife
from envhub.wrappers.filter_observation import FilterObservation as _FilterObservation
from envhub.wrappers.fire_reset import FireReset as _FireReset
from envhub.wrappers.flatten_action import FlattenAction as _FlattenAction
from envhub.wrappers.flatten_observation import FlattenObservation as _FlattenObservation
from envhub.wrappers.flickering_observation import FlickeringObservation as _FlickeringObservation
from envhub.wrappers.frame_stack_observation import FrameStackObservation as _FrameStackObservation
from envhub.wrappers.grayscale_observation import GrayscaleObservation as _GrayscaleObservation
from envhub.wrappers.mask_observation import MaskObservation as _MaskObservation
from envhub.wrappers.max_and_skip_observation import MaxAndSkipObservation as _MaxAndSkipObservation
from envhub.wrappers.noisy_observation import NoisyObservation as _NoisyObservation
from envhub.wrappers.normalize_observation import NormalizeObservation as _NormalizeObservation
from envhub.wrappers.normalize_reward import NormalizeReward as _NormalizeReward
from envhub.wrappers.periodic_observation import PeriodicObservation as _PeriodicObservation
from envhub.wrappers.record_episode_statistics import (
    RecordEpisodeStatistics as _RecordEpisodeStatistics,
)
from envhub.wrappers.record_video import RecordVideo as _RecordVideo
from envhub.wrappers.record_video import Trigger
from envhub.wrappers.repeat_action import RepeatAction as _RepeatAction
from envhub.wrappers.rescale_action import RescaleAction as _RescaleAction
from envhub.wrappers.rescale_observation import RescaleObservation as _RescaleObservation
from envhub.wrappers.reshape_observation import ReshapeObservation as _ReshapeObservation
from envhub.wrappers.resize_observation import ResizeObservation as _ResizeObservation
from envhub.wrappers.scale_reward import ScaleReward as _ScaleReward
from envhub.wrappers.sticky_action import StickyAction as _StickyAction
from envhub.wrappers.time_aware_observation import TimeAwareObservation as _TimeAwareObservation
from envhub.wrappers.time_limit import TimeLimit as _TimeLimit
from envhub.wrappers.to_float import ToFloat as _ToFloat
from envhub.wrappers.transform_action import TransformAction as _TransformAction
from envhub.wrappers.transform_observation import TransformObservation as _TransformObservation
from envhub.wrappers.transform_reward import TransformReward as _TransformReward

__all__ = [
    "ActionMask",
    "AddActionToObservation",
    "AddRewardToObservation",
    "AutoReset",
    "ClipAction",
    "ClipReward",
    "DelayObservation",
    "DiscretizeAction",
    "DiscretizeObservation",
    "DtypeObservation",
    "EpisodeDiscount",
    "EpisodicLife",
    "FilterObservation",
    "FireReset",
    "FlattenAction",
    "FlattenObservation",
    "FlickeringObservation",
    "FrameStackObservation",
    "GrayscaleObservation",
    "MaskObservation",
    "MaxAndSkipObservation",
    "NoisyObservation",
    "NormalizeObservation",
    "NormalizeReward",
    "PeriodicObservation",
    "RecordEpisodeStatistics",
    "RecordVideo",
    "RepeatAction",
    "RescaleAction",
    "RescaleObservation",
    "ReshapeObservation",
    "ResizeObservation",
    "ScaleReward",
    "StickyAction",
    "TimeAwareObservation",
    "TimeLimit",
    "ToFloat",
    "TransformAction",
    "TransformObservation",
    "TransformReward",
]

class _Function:
    """A wrapper made without an environment: a function that wraps an environment."""

    def __call__(self, env: Environment) -> Environment: ...

class ActionMask(_ActionMask, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        mask_fn: Mask | None = ...,
        info_key: str | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        mask_fn: Mask | None = ...,
        info_key: str | None = ...,
    ) -> None: ...

class AddActionToObservation(_AddActionToObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class AddRewardToObservation(_AddRewardToObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class AutoReset(_AutoReset, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        mode: Mode = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        mode: Mode = ...,
    ) -> None: ...

class ClipAction(_ClipAction, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class ClipReward(_ClipReward, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        min_reward: float | None = ...,
        max_reward: float | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        min_reward: float | None = ...,
        max_reward: float | None = ...,
    ) -> None: ...

class DelayObservation(_DelayObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        delay: int,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        delay: int,
    ) -> None: ...

class DiscretizeAction(_DiscretizeAction, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        bins: int | Sequence[int],
        multidiscrete: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        bins: int | Sequence[int],
        multidiscrete: bool = ...,
    ) -> None: ...

class DiscretizeObservation(_DiscretizeObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        bins: int | Sequence[int],
        multidiscrete: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        bins: int | Sequence[int],
        multidiscrete: bool = ...,
    ) -> None: ...

class DtypeObservation(_DtypeObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        dtype: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        dtype: Any,
    ) -> None: ...

class EpisodeDiscount(_EpisodeDiscount, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        gamma: float = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        gamma: float = ...,
    ) -> None: ...

class EpisodicLife(_EpisodicLife, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class FilterObservation(_FilterObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        filter_keys: Sequence[str | int],
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        filter_keys: Sequence[str | int],
    ) -> None: ...

class FireReset(_FireReset, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        fire_action: int | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        fire_action: int | None = ...,
    ) -> None: ...

class FlattenAction(_FlattenAction, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class FlattenObservation(_FlattenObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class FlickeringObservation(_FlickeringObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        probability: float,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        probability: float,
    ) -> None: ...

class FrameStackObservation(_FrameStackObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        stack_size: int,
        padding_type: Any = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        stack_size: int,
        padding_type: Any = ...,
    ) -> None: ...

class GrayscaleObservation(_GrayscaleObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        keep_dim: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        keep_dim: bool = ...,
    ) -> None: ...

class MaskObservation(_MaskObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        keep: Sequence[int] | Sequence[bool],
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        keep: Sequence[int] | Sequence[bool],
    ) -> None: ...

class MaxAndSkipObservation(_MaxAndSkipObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        skip: int = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        skip: int = ...,
    ) -> None: ...

class NoisyObservation(_NoisyObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        scale: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        scale: Any,
    ) -> None: ...

class NormalizeObservation(_NormalizeObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        epsilon: float = ...,
        axis_name: Hashable = ...,
        statistics: Statistics | None = ...,
        update: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        epsilon: float = ...,
        axis_name: Hashable = ...,
        statistics: Statistics | None = ...,
        update: bool = ...,
    ) -> None: ...

class NormalizeReward(_NormalizeReward, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        gamma: float = ...,
        epsilon: float = ...,
        axis_name: Hashable = ...,
        statistics: Statistics | None = ...,
        update: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        gamma: float = ...,
        epsilon: float = ...,
        axis_name: Hashable = ...,
        statistics: Statistics | None = ...,
        update: bool = ...,
    ) -> None: ...

class PeriodicObservation(_PeriodicObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        angles: Sequence[int] | Sequence[bool],
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        angles: Sequence[int] | Sequence[bool],
    ) -> None: ...

class RecordEpisodeStatistics(_RecordEpisodeStatistics, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class RecordVideo(_RecordVideo, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        video_folder: str | os.PathLike[str],
        *,
        episode_trigger: Trigger | None = ...,
        step_trigger: Trigger | None = ...,
        video_length: int = ...,
        name_prefix: str = ...,
        fps: float | None = ...,
        format: Literal["mp4", "gif"] = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        video_folder: str | os.PathLike[str],
        episode_trigger: Trigger | None = ...,
        step_trigger: Trigger | None = ...,
        video_length: int = ...,
        name_prefix: str = ...,
        fps: float | None = ...,
        format: Literal["mp4", "gif"] = ...,
    ) -> None: ...

class RepeatAction(_RepeatAction, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        num_repeats: int,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        num_repeats: int,
    ) -> None: ...

class RescaleAction(_RescaleAction, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        min_action: float = ...,
        max_action: float = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        min_action: float = ...,
        max_action: float = ...,
    ) -> None: ...

class RescaleObservation(_RescaleObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        min_obs: float,
        max_obs: float,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        min_obs: float,
        max_obs: float,
    ) -> None: ...

class ReshapeObservation(_ReshapeObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        shape: Sequence[int],
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        shape: Sequence[int],
    ) -> None: ...

class ResizeObservation(_ResizeObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        shape: Sequence[int],
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        shape: Sequence[int],
    ) -> None: ...

class ScaleReward(_ScaleReward, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        scale: float,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        scale: float,
    ) -> None: ...

class StickyAction(_StickyAction, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        repeat_action_probability: float,
        repeat_action_duration: int | tuple[int, int] = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        repeat_action_probability: float,
        repeat_action_duration: int | tuple[int, int] = ...,
    ) -> None: ...

class TimeAwareObservation(_TimeAwareObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        flatten: bool = ...,
        normalize_time: bool = ...,
        dict_time_key: str = ...,
        max_episode_steps: int | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        flatten: bool = ...,
        normalize_time: bool = ...,
        dict_time_key: str = ...,
        max_episode_steps: int | None = ...,
    ) -> None: ...

class TimeLimit(_TimeLimit, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        max_episode_steps: int,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        max_episode_steps: int,
    ) -> None: ...

class ToFloat(_ToFloat, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
    ) -> None: ...
    @overload
    def __init__(
        self,
    ) -> None: ...

class TransformAction(_TransformAction, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        func: Callable[..., Any],
        action_space: spaces.Space | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        func: Callable[..., Any],
        action_space: spaces.Space | None = ...,
    ) -> None: ...

class TransformObservation(_TransformObservation, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        func: Callable[[Any], Any],
        observation_space: spaces.Space | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        func: Callable[[Any], Any],
        observation_space: spaces.Space | None = ...,
    ) -> None: ...

class TransformReward(_TransformReward, _Function):
    @overload
    def __init__(
        self,
        env: Environment,
        func: Callable[[jax.Array], Any],
    ) -> None: ...
    @overload
    def __init__(
        self,
        *,
        func: Callable[[jax.Array], Any],
    ) -> None: ...
