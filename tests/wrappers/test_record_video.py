"""Videos: their files, frames and colours, what starts and ends one, and what is refused."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import jax
import numpy as np
import pytest
from PIL import Image

import envhub
from envhub import errors, registry, video
from envhub.testing import probes
from envhub.wrappers import (
    AutoReset,
    RecordEpisodeStatistics,
    RecordVideo,
    TransformObservation,
)
from tests.devices import EXAMINED

from ..processes import fresh

KEY = jax.random.key(0)
CARTPOLE = "gymnasium::CartPole-v1"
EPISODE = 3  # steps, to the time limit that the tests set


DRAWS = pytest.mark.skipif(
    not registry.get("gymnax").at_least("1.0"),
    reason="gymnax 0.0.9 draws with a Gym older than Gymnasium",
)


def recorder(folder: Path, *, inside: Any = (), **options: Any) -> Any:
    """CartPole with episodes of three steps, recorded as GIF."""
    options = {"video_folder": folder, "format": "gif", **options}
    wrappers = [*inside, RecordVideo(**options)]
    return envhub.make(CARTPOLE, wrappers=wrappers, max_episode_steps=EPISODE)[0]


def play(env: Any, episodes: int = 1) -> list[Any]:
    """Episodes with resets between them; the pictures of each."""
    pictures: list[list[Any]] = []
    for episode in range(episodes):
        _, state = env.reset(jax.random.fold_in(KEY, episode))
        pictures.append([env.render(state)])
        for _ in range(EPISODE):
            state = env.step(KEY, state, 1).state
            pictures[-1].append(env.render(state))
    return pictures


def steps(env: Any, how_many: int) -> list[Any]:
    """One reset and steps; the pictures of their states."""
    _, state = env.reset(KEY)
    pictures = [env.render(state)]
    for _ in range(how_many):
        state = env.step(KEY, state, 1).state
        pictures.append(env.render(state))
    return pictures


def read_gif(path: Path) -> list[tuple[Any, int]]:
    """Frames and their milliseconds, equal frames in a row being one."""
    with Image.open(path) as image:
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            found.append((np.asarray(image.convert("RGB")), image.info["duration"]))
        return found


def frames_of(path: Path, fps: int = 50) -> list[Any]:
    """The frames that were written."""
    if path.suffix == ".gif":
        return [frame for frame, ms in read_gif(path) for _ in range(ms * fps // 1000)]
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame[..., ::-1])
    return frames


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lengths(folder: Path) -> dict[str, int]:
    """The frames of each video, by what started it: `{"episode-0": 4}`."""
    return {
        path.stem.removeprefix("rl-video-"): len(frames_of(path))
        for path in sorted(folder.iterdir())
    }


def same(frames: Sequence[Any], pictures: Sequence[Any]) -> None:
    assert len(frames) == len(pictures)
    for frame, picture in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame, picture)


# The files.


def noise(how_many: int, height: int, width: int) -> list[Any]:
    """Different pictures of the same 256 colours."""
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (256, 3), np.uint8)
    return [palette[rng.integers(0, 256, (height, width))] for _ in range(how_many)]


def stripes(how_many: int, height: int, width: int) -> list[Any]:
    """A white bar that moves down over areas of red and blue."""
    frames = np.zeros((how_many, height, width, 3), np.uint8)
    frames[:, :, : width // 2, 0] = frames[:, :, width // 2 :, 2] = 255
    for index, frame in enumerate(frames):
        frame[index : index + 8] = 255
    return list(frames)


def test_a_gif_has_each_frame_and_colour(tmp_path: Path) -> None:
    frames = [frame[::-1] for frame in noise(5, 31, 45)]  # not contiguous
    video.write(tmp_path / "a.gif", (frame for frame in frames), fps=30)
    shown, durations = zip(*read_gif(tmp_path / "a.gif"), strict=True)
    same(shown, frames)
    assert durations == (30, 40, 30, 30, 40)  # the nearest to 33.3 ms
    assert names(tmp_path) == ["a.gif"]


def test_a_gif_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    one, other = noise(2, 8, 8)
    video.write(tmp_path / "a.gif", [one, one, one, other], fps=10)
    assert [ms for _, ms in read_gif(tmp_path / "a.gif")] == [300, 100]
    video.write(tmp_path / "a.gif", [one, other], fps=0.5)
    assert [ms for _, ms in read_gif(tmp_path / "a.gif")] == [2000, 2000]
    video.write(tmp_path / "a.gif", [one, other], fps=1000)
    assert [ms for _, ms in read_gif(tmp_path / "a.gif")] == [20, 20]
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["loop"] == 0


@pytest.mark.parametrize(("height", "width"), [(64, 80), (63, 79)])
def test_an_mp4_has_each_frame_and_nearly_each_colour(
    tmp_path: Path, height: int, width: int
) -> None:
    frames = stripes(20, height, width)
    video.write(tmp_path / "a.mp4", frames, fps=12.5)
    shown = frames_of(tmp_path / "a.mp4")
    assert {frame.shape for frame in shown} == {(64, 80, 3)}
    assert len(shown) == len(frames)
    for frame, expected in zip(shown, frames, strict=True):
        error = np.abs(frame[:height, :width].astype(int) - expected)
        assert error.mean() < 8  # colours have half the resolution, so the edges blur
        assert np.median(error) <= 3
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FPS) == 12.5


def test_a_png_is_the_first_frame(tmp_path: Path) -> None:
    frames = noise(2, 9, 7)
    video.write(str(tmp_path / "a.png"), frames)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(image, frames[0])


@pytest.mark.parametrize(
    ("name", "frames", "fps", "message"),
    [
        ("a.avi", noise(1, 4, 4), 30, "mp4, gif, png"),
        ("a", noise(1, 4, 4), 30, "mp4, gif, png"),
        ("a.gif", [], 30, "no frame"),
        ("a.gif", noise(1, 4, 4), 0, "fps"),
        ("a.gif", [*noise(1, 4, 4), *noise(1, 4, 5)], 30, "have one size"),
        ("a.gif", [np.zeros((4, 4, 3))], 30, "float64"),
        ("a.gif", np.zeros((4, 4, 3), np.uint8), 30, r"uint8\[4, 3\]"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, name: str, frames: Any, fps: float, message: str
) -> None:
    with pytest.raises(errors.InvalidOptionError, match=message):
        video.write(tmp_path / name, frames, fps)
    assert names(tmp_path) == []


def test_an_interrupted_file_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(image: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"GIF89a")
        raise KeyboardInterrupt

    path = tmp_path / "a.gif"
    env = recorder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            video.write(path, noise(1, 4, 4))
        with pytest.raises(KeyboardInterrupt):
            play(env)
        assert names(tmp_path) == []
        path.write_bytes(b"before")
        with pytest.raises(KeyboardInterrupt):
            video.write(path, noise(1, 4, 4))
    assert path.read_bytes() == b"before"
    path.unlink()
    env.close()
    assert lengths(tmp_path) == {"episode-0": EPISODE + 1}


@pytest.mark.parametrize(("file_format", "package"), [("mp4", "av"), ("gif", "pillow")])
def test_an_absent_package_is_told_at_construction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str, package: str
) -> None:
    for module in ("av", "PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.MissingDependencyError, match=rf"{package}.*envhub-rl\[video\]"):
        recorder(tmp_path / "made", format=file_format)
    assert names(tmp_path) == []


# What is in a video.


@pytest.mark.parametrize("file_format", ["gif", "mp4"])
def test_episodes_are_recorded(tmp_path: Path, file_format: str) -> None:
    env = recorder(tmp_path / "a" / "b", format=file_format, episode_trigger=lambda _: True)
    pictures = play(env, 2)
    folder = tmp_path / "a" / "b"  # and nobody has closed it
    assert names(folder) == [f"rl-video-episode-{number}.{file_format}" for number in (0, 1)]
    for number in (0, 1):
        frames = frames_of(folder / f"rl-video-episode-{number}.{file_format}")
        if file_format == "gif":
            same(frames, pictures[number])
            continue
        assert len(frames) == EPISODE + 1
        for frame, picture in zip(frames, pictures[number], strict=True):
            assert np.abs(frame.astype(int) - picture).mean() < 1
        capture = cv2.VideoCapture(str(folder / f"rl-video-episode-{number}.mp4"))
        assert capture.get(cv2.CAP_PROP_FPS) == env.unwrapped.metadata["render_fps"] == 50


@DRAWS
def test_a_native_environment_is_recorded_and_compiled(tmp_path: Path) -> None:
    traced = []

    def shown(obs: Any) -> Any:
        traced.append(obs)
        return obs

    wrappers = [
        TransformObservation(func=shown),
        RecordVideo(video_folder=tmp_path, format="gif", name_prefix="cart", fps=5),
    ]
    env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
    _, state = env.reset(KEY, params)
    pictures = [env.render(state, params)]
    for _ in range(3):
        result = env.step(KEY, state, 0, params)
        state = result.state
        pictures.append(env.render(state, params))
    assert len(traced) == 2  # a reset and a step
    assert type(result) is envhub.StepResult
    assert names(tmp_path) == []
    env.close()
    env.close()
    same(frames_of(tmp_path / "cart-episode-0.gif", fps=5), pictures)
    assert names(tmp_path) == ["cart-episode-0.gif"]


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What Gymnasium's wrapper gives to the library that writes its videos, by their names."""
    written: dict[str, list[Any]] = {}

    class Clip:
        def __init__(self, frames: list[Any], fps: float) -> None:
            self.frames = list(frames)

        def write_videofile(self, path: str, **options: Any) -> None:
            written[Path(path).stem] = self.frames

    for name in ("moviepy", "moviepy.video", "moviepy.video.io"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    library: Any = types.ModuleType("moviepy.video.io.ImageSequenceClip")
    library.ImageSequenceClip = Clip
    monkeypatch.setitem(sys.modules, library.__name__, library)
    return written


def odd(number: int) -> bool:
    return number % 2 == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"episode_trigger": odd},
        {"step_trigger": odd, "episode_trigger": odd},
        {"step_trigger": lambda step: False},
        {"video_length": 6},
        {"video_length": 6, "step_trigger": lambda step: step in (1, 8)},
        {"video_length": 3, "step_trigger": odd, "name_prefix": "other"},
    ],
)
@pytest.mark.slow
def test_videos_are_gymnasiums(
    tmp_path: Path, clips: dict[str, list[Any]], options: dict[str, Any]
) -> None:
    env = recorder(tmp_path / "ours", **options)
    play(env, 3)
    env.close()
    assert (env.episode_id, env.step_id) == (2, 3 * EPISODE - 1)
    # A length of n gives n + 1 frames there.
    theirs = {**options, "video_length": max(options.get("video_length", 0) - 1, 0)}
    plain = gymnasium.make("CartPole-v1", render_mode="rgb_array", max_episode_steps=EPISODE)
    own: Any = gymnasium.wrappers.RecordVideo(plain, str(tmp_path / "theirs"), **theirs)
    for episode in range(3):
        own.reset(seed=envhub.host_seed(jax.random.fold_in(KEY, episode)))
        for _ in range(EPISODE):
            own.step(1)
    own.close()
    assert clips or "step_trigger" in options
    assert names(tmp_path / "ours") == sorted(f"{name}.gif" for name in clips)
    for name, frames in clips.items():
        same(frames_of(tmp_path / "ours" / f"{name}.gif"), frames)


def test_the_default_schedule_is_gymnasiums(tmp_path: Path, clips: dict[str, list[Any]]) -> None:
    from gymnasium.utils.save_video import capped_cubic_video_schedule

    schedule = recorder(tmp_path).episode_trigger
    started = [episode for episode in range(5001) if schedule(episode)]
    assert started == [episode for episode in range(5001) if capped_cubic_video_schedule(episode)]
    assert started[:4] == [0, 1, 8, 27]


def test_an_abandoned_episode_is_written(tmp_path: Path) -> None:
    env = recorder(tmp_path)
    steps(env, 1)
    assert names(tmp_path) == []
    env.reset(KEY)
    assert lengths(tmp_path) == {"episode-0": 2}


def test_after_its_end_nothing_is_recorded(tmp_path: Path) -> None:
    env = recorder(tmp_path)
    steps(env, EPISODE + 2)
    env.close()
    assert lengths(tmp_path) == {"episode-0": EPISODE + 1}


# Automatic resets.


def test_same_step_ends_a_video_before_the_last_state(tmp_path: Path) -> None:
    env = recorder(tmp_path, inside=[AutoReset], episode_trigger=lambda _: True)
    pictures = steps(env, 7)
    env.close()
    assert env.episode_id == 2
    for number, part in enumerate((slice(0, 3), slice(3, 6), slice(6, 8))):
        same(frames_of(tmp_path / f"rl-video-episode-{number}.gif"), pictures[part])


def test_next_step_has_the_last_state(tmp_path: Path) -> None:
    inside = [AutoReset(mode="next_step"), RecordEpisodeStatistics]
    env = recorder(tmp_path, inside=inside, episode_trigger=lambda _: True)
    pictures = steps(env, 9)
    env.close()
    assert env.episode_id == 2
    for number, part in enumerate((slice(0, 4), slice(4, 8), slice(8, 10))):
        same(frames_of(tmp_path / f"rl-video-episode-{number}.gif"), pictures[part])


@pytest.mark.parametrize("mode", ["same_step", "next_step"])
def test_a_length_goes_over_automatic_resets(tmp_path: Path, mode: Any) -> None:
    options = {"step_trigger": lambda step: step == 0, "video_length": 5}
    env = recorder(tmp_path, inside=[AutoReset(mode=mode)], **options)
    pictures = steps(env, 8)
    assert env.step_id == 7
    same(frames_of(tmp_path / "rl-video-step-0.gif"), pictures[1:6])


# Nothing is lost.


def test_garbage_writes_its_video(tmp_path: Path) -> None:
    env = recorder(tmp_path)
    steps(env, 1)
    del env
    gc.collect()
    assert lengths(tmp_path) == {"episode-0": 2}


@pytest.mark.parametrize("file_format", ["gif", "mp4"])
def test_ctrl_c_writes_the_video(tmp_path: Path, file_format: str) -> None:
    code = (
        "import os, signal, jax, envhub\n"
        "from envhub.wrappers import RecordVideo\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"options = dict(video_folder={str(tmp_path)!r}, format={file_format!r})\n"
        f"env, _ = envhub.make({CARTPOLE!r}, wrappers=[RecordVideo(**options)])\n"
        "key = jax.random.key(0)\n"
        "obs, state = env.reset(key)\n"
        "for step in range(9):\n"
        "    if step == 5:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    state = env.step(key, state, step % 2).state\n"
    )
    done = fresh(code, fails=True)
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert "gnored" not in done.stderr
    assert lengths(tmp_path) == {"episode-0": 6}


# What is refused.


def test_a_compiled_caller_is_told_to_put_it_outermost(tmp_path: Path) -> None:
    env = recorder(tmp_path)
    keys = jax.random.split(KEY, 2)
    _, state = env.reset(KEY)
    for call in (
        lambda: jax.vmap(env.reset)(keys),
        lambda: jax.jit(env.reset)(KEY),
        jax.jit(lambda: env.reset(KEY)),  # nothing that is given is traced
        lambda: jax.jit(env.step)(KEY, state, 1),
        lambda: jax.jit(lambda action: env.step(KEY, state, action))(1),
        lambda: jax.vmap(lambda key: env.step(key, state, 1))(keys),
        lambda: jax.lax.scan(lambda s, key: (env.step(key, s, 1).state, ()), state, keys),
        lambda: RecordEpisodeStatistics(env).reset(KEY),
    ):
        with pytest.raises(errors.RenderError, match="outermost"):
            call()
    assert (env.episode_id, env.step_id) == (0, -1)
    env.step(KEY, state, 1)
    env.close()
    assert lengths(tmp_path) == {"episode-0": 2}


def test_automatic_resets_go_inside(tmp_path: Path) -> None:
    gif = RecordVideo(video_folder=tmp_path, format="gif")
    with pytest.raises(errors.InvalidOptionError, match="put RecordVideo outside AutoReset"):
        envhub.make(CARTPOLE, wrappers=[gif], autoreset="same_step")


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.MissingCapabilityError, match="recorded") as caught:
        envhub.make("gymnax::DeepSea-bsuite", wrappers=[RecordVideo(video_folder=tmp_path / "a")])
    why = envhub.capabilities("gymnax::DeepSea-bsuite").why("renderable")
    assert why
    assert why in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "option", [{"format": "png"}, {"video_length": -1}, {"video_length": 2.0}, {"fps": 0}]
)
def test_a_bad_option_is_refused(tmp_path: Path, option: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match=next(iter(option))):
        recorder(tmp_path / "made", **option)
    assert names(tmp_path) == []


@pytest.mark.parametrize("env_id", [pytest.param("gymnax::CartPole-v1", marks=DRAWS), CARTPOLE])
def test_its_capabilities_are_there_and_no_others(tmp_path: Path, env_id: str) -> None:
    options = {"video_folder": tmp_path, "format": "gif", "video_length": 1}
    env, params = envhub.make(env_id, wrappers=[RecordVideo(**options)])
    elsewhere = {"reproducible", "checkpointable"}  # they take another process
    if jax.__version_info__ < (0, 5) and env_id.startswith("gymnasium::"):
        elsewhere.add("multi_device")  # its probe hangs there now and then, and is not run
    flags = [flag for flag in EXAMINED if flag not in elsewhere]
    findings = probes.examine(probes.Subject(env, params), flags)
    for flag, finding in findings.items():
        assert finding.holds == getattr(env.capabilities, flag), (flag, finding)
    assert "RecordVideo" in env.capabilities.why("vmap_safe")


@pytest.mark.parametrize("prefix", ["../there", "a/b", "/tmp/x", "a/", "a\0b", 3, None])
def test_a_prefix_that_leads_elsewhere_is_refused(tmp_path: Path, prefix: Any) -> None:
    env, _ = envhub.make(CARTPOLE)
    with pytest.raises(errors.InvalidOptionError, match="name_prefix must be the start"):
        RecordVideo(env, tmp_path, name_prefix=prefix)
    assert not list(tmp_path.iterdir())
