"""Draw with MuJoCo and pygame on a machine without a display, for all suites."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
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


ENDS = [0]  # how often somebody ended that display, as far as it was noticed


def _start_display_again() -> None:
    """Start MuJoCo's EGL again if somebody ended it; without need, nothing happens.

    Where there is no screen, pygame 2.6 (SDL 2.28, `offscreen`) opens its windows on the EGL
    display that MuJoCo draws on, and ends that display when it closes them.
    """
    for name in [name for name in sys.modules if "egl" in name]:  # MuJoCo's, and suites' own
        egl: Any = sys.modules[name]
        display = vars(egl).get("EGL_DISPLAY") if egl else None
        if display is None:
            continue
        try:
            is_on = bool(egl.EGL.eglQueryString(display, egl.EGL.EGL_VERSION))
        except Exception:
            is_on = False
        if not is_on:
            egl.EGL.eglInitialize(display, None, None)
            ENDS[0] += 1


@contextlib.contextmanager
def opengl_errors() -> Iterator[int]:
    """Convert every exception to one with the remedy for a missing OpenGL.

    Yields:
        How often the display was ended so far. What was made before the last end is lost, and
        draws something else or nothing.

    Raises:
        RenderError: if the code inside raises.
    """
    _start_display_again()
    try:
        yield ENDS[0]
    except Exception as error:
        raise RenderError(
            "MuJoCo found no OpenGL to draw with: install EGL (Debian: apt-get install libegl1), "
            f"or set MUJOCO_GL to egl, osmesa or glfw. [{type(error).__name__}: {error}]"
        ) from error


@contextlib.contextmanager
def own_opengl(renderer: Any) -> Iterator[None]:
    """Draw with the OpenGL contexts of a `MujocoRenderer`, and leave none to what draws next.

    Gymnasium 1.3 draws with the context that is current: another environment's once that has
    drawn, and none in another thread.

    Args:
        renderer: Gymnasium's; `None` if something else draws.
    """
    if renderer is None:
        yield
        return
    _start_display_again()
    viewers = getattr(renderer, "_viewers", {})
    try:
        for viewer in viewers.values():
            viewer.make_context_current()
    except Exception:  # they are gone with their display
        for viewer in viewers.values():
            viewer.opengl_context._context = None  # or it would be freed, with a traceback
        viewers.clear()
    try:
        yield
    finally:
        egl: Any = sys.modules.get("mujoco.egl")
        if getattr(egl, "EGL_DISPLAY", None) is not None:
            none, surface = egl.EGL.EGL_NO_CONTEXT, egl.EGL.EGL_NO_SURFACE
            egl.EGL.eglMakeCurrent(egl.EGL_DISPLAY, surface, surface, none)


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
