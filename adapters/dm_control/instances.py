"""One environment of dm_control, and with what it is imported and made."""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from envhub import spaces
from envhub._headless import egl_without_display, is_opengl_chosen, opengl_errors
from envhub.errors import RenderError
from envhub.host import Instance, InstanceStep

UNBOUNDED = 1e10  # MuJoCo's `mjMAXVAL`, as which dm_control shows a bound that there is not


class ControlInstance(Instance):
    """One `dm_control.rl.control.Environment`: the state is MuJoCo's, and what a reset draws.

    Args:
        create: makes it.
        drawn: the arrays of its model that a reset draws. That of a height field needs OpenGL.
        limit: after how many steps an episode is truncated; `None` for the task's own time limit,
            and -1 for none.
        view: keywords of `Physics.render`.
    """

    # How often OpenGL had been ended when this process first drew.
    _drew_first: ClassVar[dict[str, int]] = {}

    def __init__(
        self,
        create: Callable[[], Any],
        drawn: Iterable[str],
        limit: int | None,
        view: Mapping[str, Any],
    ) -> None:
        import mujoco

        self.env, self._view, self._mujoco = create(), view, mujoco
        self._task, self._physics = self.env.task, self.env.physics
        self._model, self._data = self._physics.model.ptr, self._physics.data.ptr
        self._drawn = [getattr(self._model, name) for name in drawn]
        self._draws_at_reset = "hfield_data" in drawn
        self._signature = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._size = mujoco.mj_stateSize(self._model, self._signature)
        self._is_new = True
        own, self.env._step_limit = self.env._step_limit, math.inf  # which hides a termination
        steps = (None if own == math.inf else math.ceil(own)) if limit is None else limit
        self.episode_limit = None if steps == -1 else steps
        shown = self.env.observation_spec().items()
        self.observation_space = spaces.Dict(
            {name: spaces.Box(-np.inf, np.inf, each.shape, each.dtype) for name, each in shown}
        )
        spec = self.env.action_spec()
        low, high = np.array(spec.minimum), np.array(spec.maximum)
        low[low == -UNBOUNDED], high[high == UNBOUNDED] = -np.inf, np.inf
        self.action_space = spaces.Box(low, high, spec.shape, spec.dtype)

        self._check_view(**view)

    def _check_view(self, height: int = 0, width: int = 0, camera_id: int | str = -1) -> None:
        """Refuse a camera that there is not, and make room for large pictures."""
        if isinstance(camera_id, str):
            camera_id = int(self._physics.model.name2id(camera_id, "camera"))
        if not -1 <= camera_id < self._model.ncam:
            raise ValueError(f"it has {self._model.ncam} cameras, and -1 is a free one")
        room = self._model.vis.global_
        room.offheight, room.offwidth = max(room.offheight, height), max(room.offwidth, width)

    @property
    def unwrapped(self) -> Any:
        return self.env

    def reset(self, seed: int) -> Any:
        self._is_new = False
        self._task.random.seed(seed)
        if self._draws_at_reset:
            self._open()
        return self.env.reset().observation

    def step(self, action: Any) -> InstanceStep:
        step = self.env.step(action)
        is_over = step.discount == 0
        return InstanceStep(
            step.observation,
            step.reward,
            terminated=is_over,
            truncated=self.env._step_count == self.episode_limit or (step.last() and not is_over),
            info={"discount": step.discount},
        )

    def save(self) -> bytes:
        state = np.empty(1 + self._size)
        state[0] = self.env._step_count
        self._mujoco.mj_getState(self._model, self._data, state[1:], self._signature)
        return b"".join(each.tobytes() for each in (state, *self._drawn))

    def restore(self, saved: bytes, obs: Any) -> None:
        if self._is_new:  # what every reset sets to the same
            self.reset(0)
        start = 0
        state = np.empty(1 + self._size)
        for array in (state, *self._drawn):
            new = np.frombuffer(saved, array.dtype, array.size, start)
            array[:] = new.reshape(array.shape)
            start += array.nbytes
        self.env._step_count, self.env._reset_next_step = int(state[0]), False
        self._mujoco.mj_setState(self._model, self._data, state[1:], self._signature)
        # A step of dm_control ends with the first half of MuJoCo's next one.
        self._mujoco.mj_step1(self._model, self._data)

    def render(self) -> Any:
        self._mujoco.mj_step1(self._model, self._data)  # with `legacy_step=False` nobody did
        self._task.after_step(self._physics)  # colours, with `visualize_reward=True`
        self._open()
        return self._physics.render(**self._view)

    def _open(self) -> None:
        """Open what draws, once.

        Raises:
            RenderError: if there is no OpenGL, or if it was ended since something was drawn. What
                dm_control 1.0 frees of that later, it takes from what was opened after the end.
        """
        with opengl_errors() as ends:
            _ = self._physics.contexts  # which are made when they are asked for
        if ends != self._drew_first.setdefault("ends", ends):
            raise RenderError(
                "a window that pygame closed ended MuJoCo's OpenGL, and dm_control cannot draw in "
                "this process any more: start it again with SDL_VIDEODRIVER=dummy."
            )

    def close(self) -> None:
        self.env.close()


def create(domain: str, task: str, given: Mapping[str, Any]) -> Any:
    """Make an environment of dm_control; a worker has not imported it before."""
    suite = where_it_can_draw(lambda: importlib.import_module("dm_control.suite"))
    with _no_warnings():
        return suite.load(domain, task, **given)


def where_it_can_draw(load: Callable[[], ModuleType]) -> ModuleType:
    """Import dm_control, which decides then what it draws with.

    Without a display that would be GLFW, which cannot draw then. Without EGL, nothing is drawn.
    """
    try:
        with egl_without_display():
            return load()
    except ImportError:
        if is_opengl_chosen():
            raise
    with egl_without_display(otherwise="off"):
        return load()


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep MuJoCo from saying on the error output that the dog's model is written in an old way."""
    from absl import logging as absl_logging

    logger = absl_logging.get_absl_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
