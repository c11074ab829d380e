"""A game of Pong, saved in the middle and finished in another process, with the same frames.

    python examples/checkpoint_atari.py --out checkpoint_atari.png

With `forkable=True`, a state of a callback environment holds everything that the episode needs to
continue: the arrays of the state are the whole checkpoint. The script starts itself a second time,
as a new process that has never seen the first half of the game.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import envhub

KEY = jax.random.key(0)
MIDDLE, LAST = 100, 148  # steps of a game in which the paddle goes up and down


def play(env: Any, state: Any, first: int, last: int) -> tuple[Any, dict[str, np.ndarray]]:
    """Take the steps of these numbers: the state after them, and what they showed."""

    def body(state: Any, step: Any) -> Any:
        result = env.step(KEY, state, step // 4 % env.action_space().n)
        return result.state, {"frame": result.obs[-1], "reward": result.reward}

    scan = jax.jit(lambda state: jax.lax.scan(body, state, jnp.arange(first, last)))
    state, shown = scan(state)
    return state, jax.tree.map(np.asarray, shown)


def save(state: Any, path: Path) -> None:
    """Write the arrays of a state."""
    np.savez(path, **envhub.pack_state(state))


def load(env: Any, path: Path) -> Any:
    """Read a state of this environment, from which nothing is executed."""
    with np.load(path, allow_pickle=False) as saved:
        return envhub.unpack_state(env, saved)


def resume(env_id: str, folder: Path) -> None:
    """In the second process: go on from the checkpoint, and write what that showed."""
    env, _ = envhub.make(env_id, forkable=True)
    _, shown = play(env, load(env, folder / "checkpoint.npz"), MIDDLE, LAST)
    np.savez(folder / "rest.npz", process=os.getpid(), **shown)


def draw(env_id: str, frames: Any, resumed: Any, path: str) -> None:
    """Draw some frames of the one process above the same ones of the other."""
    chosen = np.linspace(0, len(frames) - 1, 6).astype(int)
    figure, axes = plt.subplots(2, len(chosen), figsize=(9, 3.4), layout="constrained")
    for row, pictures, name in zip(
        axes, (frames, resumed), ("goes on", "another process"), strict=True
    ):
        for axis, index in zip(row, chosen, strict=True):
            axis.imshow(pictures[index], cmap="gray", vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[], title=f"step {MIDDLE + index}" if row is axes[0] else "")
        row[0].set_ylabel(name)
    figure.suptitle(f"{env_id}, saved before step {MIDDLE}")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Play on in this process and in another, and return the frames and rewards of both."""
    parser = argparse.ArgumentParser(description="a game saved here and finished elsewhere")
    parser.add_argument("env_id", nargs="?", default="ale::pong")
    parser.add_argument("--short", action="store_true", help="the same: it takes seconds")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="be the second process")
    options = parser.parse_args(argv)
    if options.resume:
        resume(options.env_id, options.resume)
        return {}
    env, _ = envhub.make(options.env_id, forkable=True)
    state, _ = play(env, env.reset(KEY)[1], 0, MIDDLE)
    with tempfile.TemporaryDirectory() as folder:
        save(state, Path(folder) / "checkpoint.npz")
        command = [sys.executable, __file__, options.env_id, "--resume", folder]
        subprocess.run(command, check=True)
        with np.load(Path(folder) / "rest.npz") as saved:
            resumed = dict(saved)
    _, shown = play(env, state, MIDDLE, LAST)
    if options.out:
        draw(options.env_id, shown["frame"], resumed["frame"], options.out)
    return {"here": {"process": os.getpid(), **shown}, "there": resumed}


if __name__ == "__main__":
    played = main()
    if played:
        here, there = played["here"], played["there"]
        print("processes:", here["process"], there["process"])
        print("frames:", len(here["frame"]))
        print(
            "the same:",
            all(np.array_equal(here[name], there[name]) for name in ("frame", "reward")),
        )
