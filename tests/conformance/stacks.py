"""Random stacks of three wrappers over one environment of each suite."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import jax.numpy as jnp

import envhub
from envhub import wrappers
from envhub.errors import InvalidOptionError

from .cases import Case

BASES = {
    "ale": ("pong", {"noop_max": 0, "max_num_frames_per_episode": 120}),
    "brax": ("fast", {"episode_length": 20}),
    "bsuite": ("cartpole/0", {"max_episode_steps": 20}),
    "craftax": ("Craftax-Classic-Symbolic-v1", {"max_timesteps": 20}),
    "crafter": ("CrafterReward-v1", {"length": 20}),
    "dm_control": ("pendulum-swingup", {"max_episode_steps": 20}),
    "envpool": ("Pendulum-v1", {"max_episode_steps": 20, "seeding": "exact"}),
    "gymnasium": ("Pendulum-v1", {"max_episode_steps": 20}),
    "gymnax": ("CartPole-v1", {}),
    "highway": ("racetrack-v0", {"max_episode_steps": 20}),
    "jaxmarl": ("MPE_simple_v3", {"max_steps": 20}),
    "jumanji": ("Maze-v0", {"time_limit": 20}),
    "kinetix": ("s/h4_thrust_aim", {"max_timesteps": 20}),
    "minigrid": ("MiniGrid-Empty-5x5-v0", {"keep": ["image"], "max_episode_steps": 20}),
    "navix": ("Navix-Empty-5x5-v0", {"max_steps": 20}),
    "octax": ("brix", {"max_num_steps_per_episodes": 20}),
    "ogbench": ("pointmaze-medium-singletask-v0", {"max_episode_steps": 20}),
    "pgx": ("minatar-breakout", {}),
    "playground": ("CartpoleBalance", {"episode_length": 20}),
    "popgym": ("popgym-PositionOnlyPendulumEasy-v0", {"max_episode_steps": 20}),
    "pufferlib": ("CartPole-v1", {}),
    "xminigrid": ("MiniGrid-Empty-5x5", {"max_steps": 20}),
}

# Every wrapper that can be traced, with options that fit many environments.
CATALOG = {
    "ActionMask": wrappers.ActionMask(mask_fn=lambda obs, state, params: jnp.ones(2, bool)),
    "AddActionToObservation": wrappers.AddActionToObservation,
    "AddRewardToObservation": wrappers.AddRewardToObservation,
    "AutoReset next_step": wrappers.AutoReset(mode="next_step"),
    "AutoReset": wrappers.AutoReset,
    "ClipAction": wrappers.ClipAction,
    "ClipReward": wrappers.ClipReward(min_reward=-0.5, max_reward=0.5),
    "DelayObservation": wrappers.DelayObservation(delay=2),
    "DiscretizeAction": wrappers.DiscretizeAction(bins=3),
    "DiscretizeObservation": wrappers.DiscretizeObservation(bins=3, multidiscrete=True),
    "DtypeObservation int": wrappers.DtypeObservation(dtype="int16"),
    "DtypeObservation": wrappers.DtypeObservation(dtype="float16"),
    "EpisodeDiscount": wrappers.EpisodeDiscount,
    "EpisodicLife": wrappers.EpisodicLife,
    "FilterObservation": wrappers.FilterObservation(filter_keys=["obs"]),
    "FireReset": wrappers.FireReset(fire_action=0),
    "FlattenAction": wrappers.FlattenAction,
    "FlattenObservation": wrappers.FlattenObservation,
    "FlickeringObservation": wrappers.FlickeringObservation(probability=0.1),
    "FrameStackObservation": wrappers.FrameStackObservation(stack_size=3),
    "GrayscaleObservation": wrappers.GrayscaleObservation,
    "MaskObservation": wrappers.MaskObservation(keep=[0, 1]),
    "MaxAndSkipObservation": wrappers.MaxAndSkipObservation(skip=2),
    "NoisyObservation": wrappers.NoisyObservation(scale=0.1),
    "NormalizeObservation": wrappers.NormalizeObservation,
    "NormalizeReward": wrappers.NormalizeReward,
    "PeriodicObservation": wrappers.PeriodicObservation(angles=[0]),
    "RecordEpisodeStatistics": wrappers.RecordEpisodeStatistics,
    "RepeatAction": wrappers.RepeatAction(num_repeats=2),
    "RescaleAction": wrappers.RescaleAction,
    "RescaleObservation": wrappers.RescaleObservation(min_obs=-1.0, max_obs=1.0),
    "ReshapeObservation": wrappers.ReshapeObservation(shape=(2, 2)),
    "ResizeObservation": wrappers.ResizeObservation(shape=(21, 21)),
    "ScaleReward": wrappers.ScaleReward(scale=0.5),
    "StickyAction": wrappers.StickyAction(repeat_action_probability=0.25),
    "TimeAwareObservation": wrappers.TimeAwareObservation(flatten=False),
    "TimeLimit": wrappers.TimeLimit(max_episode_steps=9),
    "ToFloat": wrappers.ToFloat,
    "TransformAction": wrappers.TransformAction(func=lambda action: action),
    "TransformObservation": wrappers.TransformObservation(func=lambda obs: obs),
    "TransformReward": wrappers.TransformReward(func=lambda reward: 2 * reward),
}


@dataclasses.dataclass(frozen=True)
class Stack(Case):
    """Three wrappers, drawn of all those that the environment, wrapped so far, takes."""

    seed: int = 0

    @property
    def recipe(self) -> dict[str, Any]:
        return {
            "call": "tests.conformance.stacks:make",
            "kwargs": {"suite": self.suite, "seed": self.seed},
        }

    def make(self) -> tuple[envhub.Environment, Any]:
        env, _ = super().make()
        draw, height = random.Random(f"{self.suite} {self.seed}"), 0
        while height < 3:
            wrap: Any = CATALOG[draw.choice(sorted(CATALOG))]
            try:
                env = wrap(env)
            except InvalidOptionError:
                continue
            height += 1
        return env, env.default_params

    def __str__(self) -> str:
        return f"stack {self.seed} over {self.id}"


def stack(suite: str, seed: int) -> Stack:
    name, options = BASES[suite]
    return Stack(suite, name, tuple(options.items()), seed)


def make(suite: str, seed: int) -> tuple[envhub.Environment, Any]:
    """In another process."""
    return stack(suite, seed).make()
