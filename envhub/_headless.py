"""Draw with MuJoCo and pygame on a machine without a display, for all suites."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from envhub.errors import RenderError


def is_opengl_chosen() -> bool:
    """Tell whether the user or a display determines with what MuJoCo draws."""
    return bool(os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY"))


@contextlib.contextmanager
def egl_without_display(otherwise: str = "egl") -> Iterator[None]:
    """Make MuJoCo draw with EGL unless something else was chosen.

    Without a choice, Gymnasium 1.3 tries GLFW, which warns.

    Args:
        otherwise: a value of `MUJOCO_GL` in place of EGL, where that is absent.
    """
    if is_opengl_chosen():
        yield
        return
    os.environ["MUJOCO_GL"] = otherwise
    try:
        yield
    finally:
        del os.environ["MUJOCO_GL"]


@contextlib.contextmanager
def opengl_errors() -> Iterator[None]:
    """Convert every exception to one with the remedy for a missing OpenGL.

    Raises:
        RenderError: if the code inside raises.
    """
    try:
        yield
    except Exception as error:
        raise RenderError(
            "MuJoCo found no OpenGL to draw with: install EGL (Debian: apt-get install libegl1), "
            f"or set MUJOCO_GL to egl, osmesa or glfw. [{type(error).__name__}: {error}]"
        ) from error


@contextlib.contextmanager
def no_sound() -> Iterator[None]:
    """Keep pygame, with which Gymnasium draws, from complaining about a missing sound card."""
    is_chosen = "SDL_AUDIODRIVER" in os.environ
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    try:
        yield
    finally:
        if not is_chosen:
            del os.environ["SDL_AUDIODRIVER"]
