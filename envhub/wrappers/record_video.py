"""Videos of episodes."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from envhub import video
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError, MissingCapabilityError, RenderError
from envhub.wrappers._base import Wrapper
from envhub.wrappers._options import check_function, check_positive, or_none
from envhub.wrappers.autoreset import AutoReset

Trigger = Callable[[int], bool]


def _check_folder(name: str, value: Any) -> None:
    if not isinstance(value, str | os.PathLike):
        raise InvalidOptionError(f"{name} must be a path, got {value!r}.")


def _check_length(name: str, value: Any) -> None:
    if type(value) is not int or value < 0:
        raise InvalidOptionError(
            f"{name} must be a number of frames, or 0 for whole episodes, got {value!r}."
        )


def _check_prefix(name: str, value: Any) -> None:
    is_name = isinstance(value, str) and "\0" not in value
    if not is_name or value != Path(f"x{value}").name[1:]:
        raise InvalidOptionError(
            f"{name} must be the start of a file's name. Give the folder as "
            f"video_folder; got {value!r}."
        )


def _check_format(name: str, value: Any) -> None:
    if value not in ("mp4", "gif"):
        raise InvalidOptionError(f"{name} must be 'mp4' or 'gif', got {value!r}.")


class RecordVideo(Wrapper):
    """Draws the states that `reset` and `step` return, and writes videos of them.

    It must be the outermost wrapper, also around an `AutoReset`, and is called outside `jit` and
    `vmap`; the inner environment is still compiled. It records the calls in their order, so play
    one episode after another.

    A video has the frame after the reset and one frame after each step. It is written when the
    episode ends: at a step with `terminated | truncated` (for all agents), or at an earlier reset.
    With `video_length`, it continues across the ends of episodes until it has that many frames. A
    new video ends the previous one. A video in progress is written by `close()`, when the wrapper
    is garbage-collected, and when the interpreter exits, also after Ctrl-C.

    With an `AutoReset` in mode `"same_step"` inside, the last state of an episode is never seen, so
    a video ends with the state before it; the step that ends the episode returns the first state of
    the next.

    Frames stay in memory until they are written; `video_length` bounds their number. A file appears
    only when it is complete, and replaces a file of the same name.

    Args:
        env: the environment.
        video_folder: the folder of the videos; it is made if it does not exist.
        episode_trigger: a function from the number of an episode, from 0, to whether a video starts
            with it, `{name_prefix}-episode-{number}.{format}`. Without any trigger, videos are made
            of episodes 0, 1, 8, 27 and so on: cubes up to 1000, then every 1000th.
        step_trigger: a function from the number of a step, from 0 and over all episodes, to whether
            a video starts after it, `{name_prefix}-step-{number}.{format}`. (With mode
            `"next_step"`, a step that resets counts too.)
        video_length: the number of frames; 0 for all frames until the end of the episode.
            Gymnasium's videos have one frame more.
        name_prefix: the beginning of the file names.
        fps: frames per second; by default the value in the metadata of the suite's own object, or
            30.
        format: `"mp4"` or `"gif"`; see `envhub.video.write`.

    Attributes:
        episode_id: the number of the episode, -1 before the first.
        step_id: the number of the last step, -1 before the first.

    Raises:
        MissingCapabilityError: if the environment cannot be drawn.
        MissingDependencyError: if the package that writes the format is absent.
        InvalidOptionError: if an option has an invalid value.
        RenderError: from `reset` and `step`, if they are called inside `jit`, `vmap` or another
            wrapper.

    Examples:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     video = RecordVideo(video_folder=folder, video_length=2, format="gif")
        ...     env, params = envhub.make("gymnasium::CartPole-v1", wrappers=[video])
        ...     _, state = env.reset(jax.random.key(0), params)
        ...     _ = env.step(jax.random.key(1), state, 1, params)
        ...     os.listdir(folder)
        ['rl-video-episode-0.gif']
    """

    spans_episodes = True
    inside_batches = False

    checks = {  # noqa: RUF012
        "video_folder": _check_folder,
        "episode_trigger": or_none(check_function),
        "step_trigger": or_none(check_function),
        "video_length": _check_length,
        "name_prefix": _check_prefix,
        "fps": or_none(check_positive),
        "format": _check_format,
    }

    def __init__(
        self,
        env: Environment,
        video_folder: str | os.PathLike[str],
        *,
        episode_trigger: Trigger | None = None,
        step_trigger: Trigger | None = None,
        video_length: int = 0,
        name_prefix: str = "rl-video",
        fps: float | None = None,
        format: Literal["mp4", "gif"] = "mp4",
    ) -> None:
        if not env.capabilities.renderable:
            why = env.capabilities.why("renderable")
            raise MissingCapabilityError(
                f"{env} cannot be recorded, because it cannot be rendered: {why}"
            )
        if fps is None:
            fps = getattr(env.unwrapped, "metadata", {}).get("render_fps", 30)
            check_positive(f"the render_fps of {env}", fps)
        video.require(format)  # now, and not after an episode
        reason = "RecordVideo draws concrete states, so it works outside jit and vmap only."
        lost = ("jax_native", "vmap_safe", "has_env_params", "differentiable", "multi_device")
        super().__init__(env, env.capabilities.without(**dict.fromkeys(lost, reason)))
        if episode_trigger is None and step_trigger is None:
            episode_trigger = _cubes
        self.episode_trigger, self.step_trigger = episode_trigger, step_trigger
        self.video_length = video_length
        self.episode_id = self.step_id = -1
        inside = self.find(AutoReset)
        self._mode = inside.mode if inside else None
        self._has_ended = False
        self._folder = Path(video_folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._prefix, self._format = name_prefix, format
        self._tape = _Tape(fps)
        weakref.finalize(self, self._tape.stop)

    def reset(self, key: jax.Array, params: Any = None) -> tuple[Any, Any]:
        _refuse_tracers(key, params)
        obs, state = self.env.reset(key, params)
        _refuse_tracers(obs, state)  # all inputs may be constants of a program
        self._has_ended = False
        self._start_episode()
        self._draw(state, params)
        return obs, state

    def step(self, key: jax.Array, state: Any, action: Any, params: Any = None) -> StepResult:
        _refuse_tracers(key, state, action, params)
        result = self.env.step(key, state, action, params)
        _refuse_tracers(result)
        self.step_id += 1
        had_ended, self._has_ended = self._has_ended, bool(np.all(result.done))
        is_first = {"same_step": self._has_ended, "next_step": had_ended}.get(self._mode or "")
        if is_first:
            self._start_episode()
        if self.step_trigger and self.step_trigger(self.step_id):
            self._start("step", self.step_id)
        self._draw(result.state, params)
        if self._has_ended and not is_first and not self.video_length:
            self._tape.stop()
        return result

    def close(self) -> None:
        try:
            self._tape.stop()
        finally:
            super().close()

    def _start_episode(self) -> None:
        self.episode_id += 1
        if not self.video_length:
            self._tape.stop()
        if self.episode_trigger and self.episode_trigger(self.episode_id):
            self._start("episode", self.episode_id)

    def _start(self, what: str, number: int) -> None:
        self._tape.start(self._folder / f"{self._prefix}-{what}-{number}.{self._format}")

    def _draw(self, state: Any, params: Any) -> None:
        if self._tape.path:
            self._tape.frames.append(self.render(state, params))
            if len(self._tape.frames) == self.video_length:
                self._tape.stop()


class _Tape:
    """The video in progress, if there is one; it holds no reference to the wrapper."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.path: Path | None = None
        self.frames: list[np.ndarray] = []

    def start(self, path: Path) -> None:
        self.stop()
        self.path = path

    def stop(self) -> None:
        # The frames are forgotten only when they are written: if that is interrupted, there is
        # another attempt.
        if self.path and self.frames:
            video.write(self.path, self.frames, self.fps)
        self.path, self.frames = None, []


def _cubes(episode: int) -> bool:
    """Tell whether Gymnasium's default schedule records this episode."""
    return round(episode ** (1 / 3)) ** 3 == episode if episode < 1000 else episode % 1000 == 0


def _refuse_tracers(*values: Any) -> None:
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values)):
        raise RenderError(
            "RecordVideo draws concrete states, and was called inside jit, vmap, scan or another "
            "wrapper. Put it outermost, as the last of wrappers=, and call it from a loop in "
            "Python; the environment inside it is still compiled."
        )
