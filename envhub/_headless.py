"""Drawing with MuJoCo and pygame where there is no display, for every suite that does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from envhub.errors import RenderError


def is_opengl_chosen() -> bool:
    """Whether the user, or a display, decides what MuJoCo draws with."""
    return bool(os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY"))


@contextlib.contextmanager
def egl_without_display() -> Iterator[None]:
    """Have MuJoCo's drawing take EGL where nobody chose: Gymnasium 1.3 tries GLFW, which warns."""
    if is_opengl_chosen():
        yield
        return
    os.environ["MUJOCO_GL"] = "egl"
    try:
        yield
    finally:
        del os.environ["MUJOCO_GL"]


@contextlib.contextmanager
def opengl_errors() -> Iterator[None]:
    """Name the remedy where there is no OpenGL.

    Raises:
        RenderError: for whatever is raised within.
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
    """Keep pygame, which Gymnasium starts to draw, from looking for a sound card on stderr."""
    is_chosen = "SDL_AUDIODRIVER" in os.environ
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    try:
        yield
    finally:
        if not is_chosen:
            del os.environ["SDL_AUDIODRIVER"]
