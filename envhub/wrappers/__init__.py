"""Wrappers, under Gymnasium's names where it has one; a file each.

Without an environment, a wrapper with its options is a function of one:
`envhub.make(id, wrappers=[ResizeObservation(shape=(84, 84)), RecordEpisodeStatistics])`.
"""

from envhub.wrappers.autoreset import AutoReset
from envhub.wrappers.clip_action import ClipAction
from envhub.wrappers.clip_reward import ClipReward
from envhub.wrappers.dtype_observation import DtypeObservation
from envhub.wrappers.flatten_observation import FlattenObservation
from envhub.wrappers.grayscale_observation import GrayscaleObservation
from envhub.wrappers.record_episode_statistics import RecordEpisodeStatistics
from envhub.wrappers.rescale_action import RescaleAction
from envhub.wrappers.rescale_observation import RescaleObservation
from envhub.wrappers.reshape_observation import ReshapeObservation
from envhub.wrappers.resize_observation import ResizeObservation
from envhub.wrappers.time_limit import TimeLimit
from envhub.wrappers.transform_action import TransformAction
from envhub.wrappers.transform_observation import TransformObservation
from envhub.wrappers.transform_reward import TransformReward

__all__ = [
    "AutoReset",
    "ClipAction",
    "ClipReward",
    "DtypeObservation",
    "FlattenObservation",
    "GrayscaleObservation",
    "RecordEpisodeStatistics",
    "RescaleAction",
    "RescaleObservation",
    "ReshapeObservation",
    "ResizeObservation",
    "TimeLimit",
    "TransformAction",
    "TransformObservation",
    "TransformReward",
]
