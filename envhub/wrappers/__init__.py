"""Wrappers, one per file. A wrapper that Gymnasium has too has Gymnasium's name.

A wrapper made with options but without an environment is a function that wraps an environment:
`envhub.make(id, wrappers=[ResizeObservation(shape=(84, 84)), RecordEpisodeStatistics])`.
"""

from envhub.wrappers.action_mask import ActionMask
from envhub.wrappers.add_action_to_observation import AddActionToObservation
from envhub.wrappers.add_reward_to_observation import AddRewardToObservation
from envhub.wrappers.autoreset import AutoReset
from envhub.wrappers.clip_action import ClipAction
from envhub.wrappers.clip_reward import ClipReward
from envhub.wrappers.delay_observation import DelayObservation
from envhub.wrappers.discretize_action import DiscretizeAction
from envhub.wrappers.discretize_observation import DiscretizeObservation
from envhub.wrappers.dtype_observation import DtypeObservation
from envhub.wrappers.episode_discount import EpisodeDiscount
from envhub.wrappers.episodic_life import EpisodicLife
from envhub.wrappers.filter_observation import FilterObservation
from envhub.wrappers.fire_reset import FireReset
from envhub.wrappers.flatten_action import FlattenAction
from envhub.wrappers.flatten_observation import FlattenObservation
from envhub.wrappers.flickering_observation import FlickeringObservation
from envhub.wrappers.frame_stack_observation import FrameStackObservation
from envhub.wrappers.grayscale_observation import GrayscaleObservation
from envhub.wrappers.mask_observation import MaskObservation
from envhub.wrappers.max_and_skip_observation import MaxAndSkipObservation
from envhub.wrappers.noisy_observation import NoisyObservation
from envhub.wrappers.normalize_observation import NormalizeObservation
from envhub.wrappers.normalize_reward import NormalizeReward
from envhub.wrappers.periodic_observation import PeriodicObservation
from envhub.wrappers.record_episode_statistics import RecordEpisodeStatistics
from envhub.wrappers.record_video import RecordVideo
from envhub.wrappers.repeat_action import RepeatAction
from envhub.wrappers.rescale_action import RescaleAction
from envhub.wrappers.rescale_observation import RescaleObservation
from envhub.wrappers.reshape_observation import ReshapeObservation
from envhub.wrappers.resize_observation import ResizeObservation
from envhub.wrappers.scale_reward import ScaleReward
from envhub.wrappers.sticky_action import StickyAction
from envhub.wrappers.time_aware_observation import TimeAwareObservation
from envhub.wrappers.time_limit import TimeLimit
from envhub.wrappers.to_float import ToFloat
from envhub.wrappers.transform_action import TransformAction
from envhub.wrappers.transform_observation import TransformObservation
from envhub.wrappers.transform_reward import TransformReward

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


def __dir__() -> list[str]:
    return sorted(__all__)
