"""What renderers of suites draw, as pictures."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from envhub.errors import EnvHubError, RenderError

_drawing = threading.RLock()
"""Held while something is drawn: pyplot, pygame and OpenGL contexts belong to the whole process."""


def picture_of(env: Any, draw: Callable[[], Any]) -> np.ndarray[Any, Any]:
    """Return what a function draws, uint8[H, W, 3], as an array that may be written to.

    Args:
        env: the environment, for errors.
        draw: the function.

    Raises:
        RenderError: if the function raises, or does not return a picture.
    """
    try:
        with _drawing:
            return _checked(np.asarray(draw()))
    except EnvHubError:
        raise
    except Exception as error:
        raise RenderError(
            f"{env} cannot draw this state: {type(error).__name__}: {error}"
        ) from error


def _checked(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Refuse what is no picture; a cast would make a wrong one, or black of what lies in [0, 1]."""
    if picture.dtype.kind not in "iu":
        raise TypeError(f"the picture has dtype {picture.dtype} instead of uint8")
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise TypeError(f"the picture has the shape {picture.shape} instead of (H, W, 3)")
    if picture.dtype == np.uint8:
        return picture if picture.flags.writeable else picture.copy()
    if picture.size and (picture.min() < 0 or picture.max() > 255):
        raise TypeError(f"the picture has values from {picture.min()} to {picture.max()}")
    return picture.astype(np.uint8)


def _renew() -> None:
    global _drawing  # noqa: PLW0603 (another thread of the parent may hold it for ever)
    _drawing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
