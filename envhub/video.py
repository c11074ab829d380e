"""Write frames to files: MP4, GIF and PNG."""

from __future__ import annotations

import importlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from envhub import _distribution
from envhub.errors import InvalidOptionError, MissingDependencyError

__all__ = ["write"]

# PyAV starts no process. A library that runs the program ffmpeg forks, and a fork may hang in JAX.
_PACKAGES = {"mp4": ("av", "av"), "gif": ("PIL.Image", "pillow"), "png": ("PIL.Image", "pillow")}
# The quality is constant, and the loss is hardly visible. The file names the colours to which
# FFmpeg converts, because otherwise players guess them by the size of the picture.
_X264 = {"crf": "18", "colorspace": "smpte170m", "color_range": "tv"}


def __dir__() -> list[str]:
    return sorted(__all__)


def write(path: str | os.PathLike[str], frames: Iterable[Any], fps: float = 30.0) -> None:
    """Write frames to a file whose name ends in `.mp4`, `.gif` or `.png`.

    The file appears only when it is complete: after an error or Ctrl-C, an older file is unchanged.

    - `.mp4` is H.264, which browsers play. It needs even sizes, so the last row or column of an odd
      size is repeated.
    - `.gif` repeats forever. Each frame keeps up to 256 colours. Consecutive equal frames become
      one frame that is shown longer. Times are hundredths of a second, and viewers show a frame for
      at least two of them, so more than 50 frames per second play more slowly.
    - `.png` holds the first frame.

        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "dark.png")
        ...     envhub.video.write(path, [np.zeros((2, 2, 3), np.uint8)])
        ...     print(path.exists())
        True

    Args:
        path: the path of the file, in an existing folder. An existing file is replaced.
        frames: at least one frame uint8[H, W, 3]; all have the same size.
        fps: frames per second.

    Raises:
        InvalidOptionError: if the format is unknown, `fps` is not positive, or the frames are not
            as described.
        MissingDependencyError: if the package that writes the format is absent.
    """
    path = Path(path)
    file_format = path.suffix.lower().removeprefix(".")
    library = require(file_format)
    if not 0 < fps < np.inf:
        raise InvalidOptionError(f"fps must be a positive number, got {fps!r}.")
    checked = _checked(frames)
    encode: Callable[..., None] = {"mp4": _mp4, "gif": _gif, "png": _png}[file_format]
    # In the same folder, so that the file can be moved to its place in one go.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        part = Path(folder, path.name)
        encode(library, part, checked, float(fps))
        os.replace(part, path)


def require(file_format: str) -> Any:
    """Import the library that writes a format.

    Args:
        file_format: `"mp4"`, `"gif"` or `"png"`.

    Raises:
        InvalidOptionError: if the format is unknown.
        MissingDependencyError: if its package is absent; the message has the install command.
    """
    if file_format not in _PACKAGES:
        known = ", ".join(_PACKAGES)
        raise InvalidOptionError(f"the file format must be one of {known}, got {file_format!r}.")
    module, distribution = _PACKAGES[file_format]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"writing {file_format} needs the package {distribution!r}, which cannot be imported "
            f"({error}). Run: {_distribution.install_command('video')}"
        ) from error


def _checked(frames: Iterable[Any]) -> list[np.ndarray]:
    arrays = [np.ascontiguousarray(frame) for frame in frames]
    if not arrays:
        raise InvalidOptionError("there are no frames to write.")
    for array in arrays:
        is_picture = array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3
        if not is_picture or array.shape != arrays[0].shape:
            raise InvalidOptionError(
                "frames must be uint8[height, width, 3] and have one size, got "
                f"{array.dtype}{list(array.shape)} beside {list(arrays[0].shape)}."
            )
    return arrays


def _mp4(av: Any, path: Path, frames: list[np.ndarray], fps: float) -> None:
    height, width, _ = frames[0].shape
    margins = ((0, height % 2), (0, width % 2), (0, 0))
    with av.open(str(path), "w") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            even = np.pad(frame, margins, mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())


def _gif(pillow: Any, path: Path, frames: list[np.ndarray], fps: float) -> None:
    # Each frame ends at the nearest hundredth of a second, so that rounding does not add up.
    ends = [round(100 * index / min(fps, 50.0)) for index in range(len(frames) + 1)]
    durations = [10 * (end - start) for start, end in itertools.pairwise(ends)]
    first, *others = map(pillow.fromarray, frames)
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)


def _png(pillow: Any, path: Path, frames: list[np.ndarray], fps: float) -> None:
    pillow.fromarray(frames[0]).save(path)
