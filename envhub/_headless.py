"""Draw with MuJoCo and pygame on a machine without a display, for all suites."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

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
def renderer_without_display(mujoco: Any) -> Iterator[None]:
    """Make `mujoco.Renderer` draw with EGL unless something else was chosen.

    mujoco 4.0 chose GLFW when it was imported. GLFW fails for want of a display, and aborts the
    process the next time.

    Args:
        mujoco: the module.
    """
    with opengl_errors():
        if not is_opengl_chosen():
            from mujoco.egl import GLContext

            importlib.import_module(mujoco.Renderer.__module__).gl_context.GLContext = GLContext
        yield


@contextlib.contextmanager
def no_mujoco_log(mujoco: Any) -> Iterator[None]:
    """Keep MuJoCo's warnings out of the working directory.

    mujoco 4.0 appends them to MUJOCO_LOG.TXT there, for example about a deprecated element of a
    model.

    Args:
        mujoco: the module.
    """
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


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
