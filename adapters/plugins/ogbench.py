"""OGBench: a row of the table, whose environments draw from generators that no seed reaches."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from envhub.environment import Environment
from envhub.errors import InvalidOptionError, UnavailableEnvError, did_you_mean
from envhub.host import Instance
from envhub.suite import Gap

from ..dm_control.instances import where_it_can_draw
from .goals import IMPORTS_MUJOCO, OgbenchInstance
from .suite import PluginSuite

OF_THE_ARM = ("cube-", "puzzle-", "scene-")
MOST = 16  # instances of 40 to 170 MB each; a larger batch is refused, with the remedy
LONG, ROOM = "humanoidmaze-giant", 336_008  # bytes of the log of 4,000 steps
OF_A_RESET = ("task_id", "task_info", "render_goal")
PICTURES = Gap(
    "notimpl",
    "each step draws a picture with OpenGL, in the thread in which it was made, and JAX calls from "
    "others. The id without 'visual-' has the same task.",
)


class OgbenchSuite(PluginSuite):
    """OGBench: mazes, a robot's arm and powders, with goals to reach or one task."""

    name = "ogbench"
    title = "OGBench's tasks with goals: mazes, a robot's arm, powders, on the CPU"
    module = distribution = "ogbench"
    supported = ">=1.2.2,<2"
    example = "pointmaze-medium-v0"
    relies_on = ("gymnasium", "mujoco", "dm-control")
    gaps: ClassVar[Mapping[str, Gap]] = {
        "visual-": PICTURES,
        "humanoidmaze-teleport": Gap(
            "upstream", "ogbench 1.2.2 has no material 'teleport_in' in its humanoid.xml."
        ),
    }
    references = (
        ("*", "https://github.com/seohongpark/ogbench/blob/master/ogbench/locomaze/assets"),
    )

    @classmethod
    def family_of(cls, name: str, entry_point: str) -> str:
        return name.partition("-")[0]  # "visual" of all that is seen as pictures

    def load(self, submodule: str = "") -> types.ModuleType:
        where_it_can_draw(functools.partial(super().load, IMPORTS_MUJOCO))
        return super().load(submodule)

    def options(self, name: str) -> Iterable[str]:
        # What is seen beside the goal is one array, of which no entry can be left out.
        return [option for option in super().options(name) if option != "keep"]

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        draws = (options.get("reset_options") or {}).get("render_goal")
        is_seen = options.get("ob_type") == "pixels" or draws
        return PICTURES if is_seen else super().gap(name, options)

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        own: dict[str, Any] = {"max_instances": MOST} if name.startswith(OF_THE_ARM) else {}
        if name.startswith(LONG) and options.get("forkable"):
            own["snapshot_size"] = ROOM
        return super().make(name, {**own, **options})

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        given = options.get("reset_options") or {}
        # ogbench 1.2.2 ignores an entry that it does not know, and the task where the id has one.
        if unknown := sorted(set(given) - set(OF_A_RESET)):
            raise InvalidOptionError(
                f"reset_options of ogbench::{name} has no entry {unknown[0]!r}."
                f"{did_you_mean(unknown[0], OF_A_RESET)} Its entries: {', '.join(OF_A_RESET)}."
            )
        if given and "singletask" in name:
            raise InvalidOptionError(
                f"ogbench::{name} has one task, and ignores reset_options={given!r}. Make "
                f"'ogbench::{of_all_tasks(name)}', whose tasks can be chosen."
            )
        if gap := self.gap(name, options):  # pictures would fail in another thread, and later
            raise UnavailableEnvError(
                f"ogbench::{name} does not run here ({gap.kind}: {gap.reason})"
            )
        return functools.partial(OgbenchInstance, super().instances(name, options))


def of_all_tasks(name: str) -> str:
    """Return the name that has all tasks of a place, from one that has one of them."""
    return re.sub(r"-singletask(-task\d)?", "", name)


OGBENCH = OgbenchSuite()
