"""DeepMind's Control Suite as a suite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from envhub import _versions
from envhub._inputs import check_positive
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, UnsupportedVersionError
from envhub.flags import Claim
from envhub.host import BRIDGE_OPTIONS, HostSuite
from envhub.host.options import OF_EPISODES

from .instances import ControlInstance, create, where_it_can_draw

# By domain, as `dm_control.suite.ALL_TASKS` orders them.
TASKS = {
    "acrobot": "swingup swingup_sparse",
    "ball_in_cup": "catch",
    "cartpole": "balance balance_sparse swingup swingup_sparse two_poles three_poles",
    "cheetah": "run",
    "dog": "stand walk trot run fetch",
    "finger": "spin turn_easy turn_hard",
    "fish": "upright swim",
    "hopper": "stand hop",
    "humanoid": "stand walk run run_pure_state",
    "humanoid_CMU": "stand walk run",
    "lqr": "lqr_2_1 lqr_6_2",
    "manipulator": "bring_ball bring_peg insert_ball insert_peg",
    "pendulum": "swingup",
    "point_mass": "easy hard",
    "quadruped": "walk run escape fetch",
    "reacher": "easy hard",
    "stacker": "stack_2 stack_4",
    "swimmer": "swimmer6 swimmer15",
    "walker": "stand walk run",
}
# The arrays of MuJoCo's model that each reset of a task draws anew: where a target is, which
# actuator pulls in which direction, the ground.
DRAWN = {
    "finger-turn_easy": ("site_pos",),
    "finger-turn_hard": ("site_pos",),
    "fish-swim": ("geom_pos",),
    "manipulator-bring_ball": ("body_pos", "body_quat"),
    "manipulator-bring_peg": ("body_pos", "body_quat"),
    "manipulator-insert_ball": ("body_pos", "body_quat"),
    "manipulator-insert_peg": ("body_pos", "body_quat"),
    "point_mass-hard": ("wrap_prm",),
    "quadruped-escape": ("hfield_data",),
    "reacher-easy": ("geom_pos",),
    "reacher-hard": ("geom_pos",),
    "stacker-stack_2": ("body_pos",),
    "stacker-stack_4": ("body_pos",),
    "swimmer-swimmer6": ("geom_pos", "light_pos"),
    "swimmer-swimmer15": ("geom_pos", "light_pos"),
}
OF_LOAD = ("task_kwargs", "environment_kwargs", "visualize_reward")  # of `dm_control.suite.load`
OF_RENDER = ("height", "width", "camera_id")  # of `Physics.render`
NO_PARAMS = "its physics cannot be changed: tasks compute some of their own numbers from them."


class DmControlSuite(HostSuite):
    """The tasks of `dm_control.suite`, as `domain-task`; an instance is one environment of it."""

    name = "dm_control"
    title = "DeepMind's Control Suite, in MuJoCo"
    module = "dm_control"
    distribution = "dm-control"
    relies_on = ("mujoco",)
    supported = ">=1.0.25,<2"
    example = "cartpole-swingup"
    instead: ClassVar = {
        "time_limit": "max_episode_steps=100, or task_kwargs={'time_limit': 1.0} in seconds",
        "random": "the seed to jax.random.key, for reset",
        "control_timestep": "environment_kwargs={'control_timestep': 0.05}",
        "n_sub_steps": "environment_kwargs={'n_sub_steps': 5}",
        "flat_observation": "environment_kwargs={'flat_observation': True}",
    }
    misfits = (
        ("mujoco>=4", "dm-control<=1.0.50", "its tasks cannot be loaded"),
        ("mujoco<3.17", "dm-control>=1.0.50", "its tasks cannot be loaded"),
    )

    def known_names(self) -> Iterable[str]:
        return [f"{domain}-{task}" for domain, tasks in TASKS.items() for task in tasks.split()]

    def live_names(self) -> Iterable[str]:
        return ["-".join(each) for each in self.load("suite").ALL_TASKS]

    def options(self, name: str) -> Iterable[str]:
        return ["max_episode_steps", *OF_LOAD, *OF_RENDER, *BRIDGE_OPTIONS]

    def family(self, name: str) -> str:
        return name.partition("-")[0]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps"

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        return {
            **dict.fromkeys(OF_EPISODES, True),
            "forkable": True,
            "renderable": True,
            "has_env_params": NO_PARAMS,
        }

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        return True

    def load(self, submodule: str = "") -> ModuleType:
        return where_it_can_draw(functools.partial(super().load, submodule))

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        for mujoco, own, reason in self.misfits:
            other, found = _versions.met(mujoco), _versions.met(own)
            if other and found:
                raise UnsupportedVersionError(
                    f"{found} does not fit {other}: {reason}. Run: {self.install_command}"
                )
        return super().make(name, options)

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], ControlInstance]:
        given = {key: options[key] for key in OF_LOAD if key in options}
        given["task_kwargs"] = {"random": 0, **(given.get("task_kwargs") or {})}
        seed = given["task_kwargs"]["random"]
        if type(seed) is not int and not isinstance(seed, np.integer):  # as of a generator
            raise InvalidOptionError(f"task_kwargs['random'] must be an integer, got {seed!r}.")
        if "environment_kwargs" in given["task_kwargs"]:  # which `load` would overwrite (1.0.25)
            raise InvalidOptionError("give environment_kwargs by itself, and not in task_kwargs.")
        self.load("suite")
        domain, _, task = name.partition("-")
        make = functools.partial(create, domain, task, given)
        view = {key: options[key] for key in OF_RENDER if key in options}
        for side in {"height", "width"} & view.keys():  # MuJoCo looks at them when it draws
            check_positive(side, view[side])
        limit = options.get("max_episode_steps")
        if limit not in (None, -1):
            check_positive("max_episode_steps, if it is not -1 for none,", limit)
        return functools.partial(ControlInstance, make, DRAWN.get(name, ()), limit, view)


SUITE = DmControlSuite()
