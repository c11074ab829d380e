"""Pictures of states, by JaxMARL's own drawing and without a window."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np


def _pixels(figure: Any) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _mpe(env: Any, state: Any) -> Any:
    from jaxmarl.environments.mpe import MPEVisualizer
    from matplotlib import pyplot

    figure = MPEVisualizer(env, [state]).fig
    try:
        return _pixels(figure)
    finally:
        pyplot.close(figure)


def _smax(env: Any, state: Any) -> Any:
    from matplotlib.figure import Figure

    figure, units = Figure((5, 5)), getattr(state, "state", state)
    env = getattr(env, "_env", env)
    shots = dict(zip(env.agents, units.prev_attack_actions, strict=True))
    env.init_render(figure.add_subplot(), (None, units, shots), 0, int(units.step))
    return _pixels(figure)


def _jaxnav(env: Any, state: Any) -> Any:
    from matplotlib.figure import Figure

    figure = Figure((5, 5))
    env.init_render(figure.add_subplot(), state, env.get_obs(state))
    return _pixels(figure)


def _overcooked(env: Any, state: Any) -> Any:
    if hasattr(state, "grid"):
        from jaxmarl.viz.overcooked_v2_visualizer import OvercookedV2Visualizer

        return OvercookedV2Visualizer()._render_state(state, env.agent_view_size)
    from jaxmarl.viz.overcooked_visualizer import TILE_PIXELS, OvercookedVisualizer

    border = env.agent_view_size - 2
    grid = np.asarray(state.maze_map)[border:-border, border:-border]
    looks = {"agent_dir_idx": state.agent_dir_idx, "agent_inv": state.agent_inv}
    return OvercookedVisualizer._render_grid(grid, TILE_PIXELS, None, **looks)


def _storm(env: Any, state: Any) -> Any:
    # JaxMARL 0.2 draws the time with `int8(255)`, which NumPy 2 refuses.
    module = sys.modules[env.render.__module__]
    lenient = SimpleNamespace(**vars(np) | {"int8": np.uint8})
    with mock.patch.object(module, "onp", lenient):
        return env.render(state)


PICTURES: Mapping[str, Callable[[Any, Any], Any]] = {
    "JaxNav": _jaxnav,
    "MPE": _mpe,
    "Overcooked": _overcooked,
    "SMAX": _smax,
    "STORM": _storm,
}
