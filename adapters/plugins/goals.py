"""One environment of OGBench, whose seed decides its episodes; a worker imports no JAX for it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from envhub import spaces
from envhub._headless import egl_without_display, opengl_errors
from envhub.host import Instance

from ..dm_control.instances import where_it_can_draw

IMPORTS_MUJOCO = "manipspace.envs.env"  # which decides then what it draws with
# Those that draw from NumPy's own generator (ogbench 1.2.2).
MODULES = (
    "locomaze.maze",
    "manipspace.envs.manipspace_env",
    "powderworld.powderworld_env",
    "powderworld.sim",
)


class OgbenchInstance(Instance):
    """One environment of OGBench, which shows its goal, and whose seed decides its episodes.

    Args:
        create: makes an instance of what Gymnasium makes.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        # A worker has not imported it.
        where_it_can_draw(lambda: importlib.import_module(f"ogbench.{IMPORTS_MUJOCO}"))
        take_the_place_of_numpy()
        self._generator = np.random.RandomState(0)
        with drawing_from(self._generator):
            self._inner = create()
            self._inner.reset(0)
        self._own = self._inner.unwrapped
        if hasattr(self._own, "fullpath"):  # of a maze: ogbench 1.2.2 leaves the file behind
            Path(self._own.fullpath).unlink(missing_ok=True)
        self.observation_space, self.action_space = self._spaces()
        self.episode_limit, self.identity = self._inner.episode_limit, self._inner.identity
        self.claims = self._inner.claims

    def _spaces(self) -> tuple[spaces.Space, spaces.Space]:
        inner, goal = self._inner, self._inner._first_info.get("goal")
        # That of a single task is the same in every episode, and no part of its observations.
        has_one_task = getattr(self._own, "_reward_task_id", None) is not None
        self._goal = None if has_one_task else goal
        if self._goal is None:
            return inner.observation_space, inner.action_space
        edge = 255 if self._goal.dtype == np.uint8 else np.inf
        low = 0 if edge == 255 else -edge
        of_goal = spaces.Box(low, edge, self._goal.shape, self._goal.dtype)
        shown = {"goal": of_goal, "observation": inner.observation_space}
        return spaces.Dict(shown), inner.action_space

    @property
    def unwrapped(self) -> Any:
        return self._own

    def reset(self, seed: int) -> Any:
        self._generator.seed(seed)
        self._own.action_space.seed(seed)
        with drawing_from(self._generator):
            obs = self._inner.reset(seed)
        if self._goal is not None:
            self._goal = self._inner._first_info["goal"]
        return self._shown(obs)

    def step(self, action: Any) -> Any:
        with drawing_from(self._generator):
            obs, *others = self._inner.step(action)
        return (self._shown(obs), *others)

    def _shown(self, obs: Any) -> Any:
        return obs if self._goal is None else {"goal": self._goal, "observation": obs}

    def render(self) -> Any:
        try:
            with opengl_errors(), egl_without_display():
                return self._own.render()
        finally:  # MuJoCo's renderer draws in one thread, and the next picture may be another's
            for name in {"custom_renderer", "_renderer"} & vars(self._own).keys():
                if getattr(self._own, name) is not None:
                    getattr(self._own, name).close()
                setattr(self._own, name, None)

    def close(self) -> None:
        self._inner.close()
        # 170 MB of MuJoCo, of which Python does not know, in a cycle that it would collect late.
        for name in {"_model", "_data", "_ik", "_mjcf_model"} & vars(self._own).keys():
            setattr(self._own, name, None)


class NumPy(types.ModuleType):
    """NumPy, but for `random`: where an instance plays, that is its generator."""

    def __init__(self) -> None:
        super().__init__("numpy")
        vars(self).update(vars(np))

    @property
    def random(self) -> Any:
        return getattr(_playing, "generator", None) or np.random


_playing = threading.local()


@contextlib.contextmanager
def drawing_from(generator: np.random.RandomState) -> Iterator[None]:
    """Let ogbench draw from a generator, in this thread."""
    _playing.generator = generator
    try:
        yield
    finally:
        _playing.generator = None


@functools.cache
def take_the_place_of_numpy() -> None:
    """Give an instance's generators to ogbench 1.2.2, which draws from others that have no seed."""
    stand_in = NumPy()
    for name in MODULES:
        importlib.import_module(f"ogbench.{name}").np = stand_in  # type: ignore[attr-defined]
    import gymnasium
    from ogbench.manipspace.envs.manipspace_env import ManipSpaceEnv

    # It makes another space each time that it is asked for one, to draw an action in a reset.
    of_arm = functools.cached_property(lambda own: gymnasium.spaces.Box(-1, 1, (5,), np.float32))
    of_arm.__set_name__(ManipSpaceEnv, "action_space")
    ManipSpaceEnv.action_space = of_arm
