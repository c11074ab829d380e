"""OGBench: a row of the table, whose environments draw from generators that no seed reaches."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from envhub.environment import Environment
from envhub.errors import UnavailableEnvError
from envhub.host import Instance
from envhub.suite import Gap

from ..dm_control.instances import where_it_can_draw
from .goals import IMPORTS_MUJOCO, OgbenchInstance
from .suite import PluginSuite

OF_THE_ARM = ("cube-", "puzzle-", "scene-")
MOST = 16  # instances of 40 to 170 MB each; a larger batch is refused, with the remedy
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

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        return PICTURES if options.get("ob_type") == "pixels" else super().gap(name, options)

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        few = {"max_instances": MOST} if name.startswith(OF_THE_ARM) else {}
        return super().make(name, {**few, **options})

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        if gap := self.gap(name, options):  # pictures would fail in another thread, and later
            raise UnavailableEnvError(
                f"ogbench::{name} does not run here ({gap.kind}: {gap.reason})"
            )
        return functools.partial(OgbenchInstance, super().instances(name, options))


OGBENCH = OgbenchSuite()
