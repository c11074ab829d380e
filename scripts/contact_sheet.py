"""Draw every renderable environment of a suite, as one picture with names, for docs/gallery.md.

    python scripts/contact_sheet.py                 of every suite that is installed
    python scripts/contact_sheet.py navix brax      of these
    python scripts/contact_sheet.py --out FOLDER    and not into docs/figures
    python scripts/contact_sheet.py --overview      only the picture of README.md, from the sheets

Each environment is reset, and plays some random steps where they are cheap to compile. One that
claims to be renderable and fails is an error: it is named, its suite gets no sheet, and the exit
code is 1. A sheet holds its suite's version and names as text, with which a test compares.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

import envhub
from envhub import hub, registry
from envhub._progress import progress_bar
from envhub._random_action import RandomAction

FIGURES = Path(__file__).parent.parent / "docs" / "figures"

# What `make` needs to be able to render.
OPTIONS: Mapping[str, Mapping[str, Any]] = {"ale": {"engine": "python"}}
# Random steps before the picture, at most. Those of brax, craftax, jaxmarl, jumanji, kinetix,
# navix, playground and xminigrid compile for long, and their first states are as good to look at;
# Atari's games begin with a title or an empty field.
AT_RESET = (
    *("brax", "craftax", "jaxmarl", "jumanji", "kinetix", "navix", "playground", "xminigrid"),
)
STEPS = {"ale": 90, **dict.fromkeys(AT_RESET, 0)}
MOST_STEPS = 20
# Of a suite with a thousand environments, some of each family.
SOME: Mapping[str, Sequence[str]] = {
    "envpool": [
        *("Acrobot-v1", "BinPack-v2", "BipedalWalker-v3", "Breakout-v5", "CarRacing-v3"),
        *("CartPole-v1", "D1Basic-v1", "DeadlyCorridor-v1", "Game2048-v1", "Highway-v0"),
        *("LunarLander-v3", "MiniGrid-DoorKey-8x8-v0", "MiniGrid-FourRooms-v0", "MsPacman-v5"),
        *("PacMan-v1", "Parking-v0", "Play2048-v1", "Pong-v5", "Racetrack-v0", "Roundabout-v0"),
        *("RubiksCube-v0", "Snake-v1", "SpaceInvaders-v5", "TakeCover-v1"),
    ],
    "minigrid": [
        *("BabyAI-BossLevel-v0", "BabyAI-GoToLocal-v0", "BabyAI-KeyInBox-v0"),
        *("BabyAI-PutNextS7N4-v0", "MiniGrid-BlockedUnlockPickup-v0", "MiniGrid-DistShift1-v0"),
        *("MiniGrid-DoorKey-8x8-v0", "MiniGrid-Dynamic-Obstacles-8x8-v0", "MiniGrid-Empty-8x8-v0"),
        *("MiniGrid-Fetch-8x8-N3-v0", "MiniGrid-FourRooms-v0", "MiniGrid-GoToDoor-8x8-v0"),
        *("MiniGrid-GoToObject-8x8-N2-v0", "MiniGrid-KeyCorridorS6R3-v0", "MiniGrid-LavaGapS7-v0"),
        *("MiniGrid-LavaCrossingS11N5-v0", "MiniGrid-LockedRoom-v0", "MiniGrid-MemoryS13-v0"),
        *("MiniGrid-MultiRoom-N6-v0", "MiniGrid-ObstructedMaze-Full-v1", "MiniGrid-Playground-v0"),
        *("MiniGrid-PutNear-8x8-N3-v0", "MiniGrid-RedBlueDoors-8x8-v0", "MiniGrid-UnlockPickup-v0"),
    ],
    "ogbench": [
        *("antmaze-large-v0", "antmaze-teleport-v0", "antsoccer-arena-v0", "cube-octuple-v0"),
        *("cube-single-v0", "humanoidmaze-medium-v0", "pointmaze-giant-v0", "powderworld-easy-v0"),
        *("powderworld-hard-v0", "puzzle-3x3-v0", "puzzle-4x6-v0", "scene-v0"),
    ],
}

# What README.md shows of each suite.
OVERVIEW: Mapping[str, Sequence[str]] = {
    "gymnax": ["Acrobot-v1", "Breakout-MinAtar", "CartPole-v1", "SpaceInvaders-MinAtar"],
    "navix": [
        *("Navix-DoorKey-8x8-v0", "Navix-FourRooms-v0"),
        *("Navix-LavaCrossingS11N5-v0", "Navix-Playground-v0"),
    ],
    "craftax": ["Craftax-Classic-Pixels-v1", "Craftax-Pixels-v1"],
    "brax": ["ant", "halfcheetah", "hopper", "humanoid"],
    "jumanji": ["BinPack-v2", "Connector-v3", "PacMan-v1", "RubiksCube-v0", "Snake-v1", "TSP-v1"],
    "gymnasium": ["BipedalWalker-v3", "CarRacing-v3", "LunarLander-v3", "Taxi-v4"],
    "ale": ["breakout", "ms_pacman", "pong", "qbert", "seaquest", "space_invaders"],
    "envpool": [
        *("D1Basic-v1", "DeadlyCorridor-v1", "Highway-v0", "MiniGrid-FourRooms-v0"),
        *("Parking-v0", "Racetrack-v0", "RubiksCube-v0", "TakeCover-v1"),
    ],
    "pufferlib": ["MountainCar-v0", "Pendulum-v1"],
}

COLUMNS, SIDE, MARGIN, LINE = 8, 96, 20, 11  # pixels, but for the columns
WIDTH = SIDE + 2 * MARGIN


def main(argv: Sequence[str] | None = None) -> int:
    """Write the sheets, and say what could not be drawn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: all installed")
    parser.add_argument("--out", type=Path, default=FIGURES, help="the folder")
    parser.add_argument("--overview", action="store_true", help="only README.md's picture")
    arguments = parser.parse_args(argv)
    if arguments.overview:
        compose(overview()).quantize(256).save(arguments.out / "gallery.png", optimize=True)
        return 0
    jax.config.update("jax_platforms", "cpu")
    # Each program runs once, or a few times: compiling is all that takes time.
    flags = os.environ.get("XLA_FLAGS", ""), "--xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = " ".join(filter(None, flags))
    failures = {}
    for suite in arguments.suites or [each.name for each in hub.usable_suites()]:
        failures |= write_sheet(suite, arguments.out)
    for name, problem in failures.items():
        print(f"{name} is renderable, and failed with {problem}", file=sys.stderr)
    return 1 if failures else 0


def write_sheet(suite: str, folder: Path) -> dict[str, str]:
    """Draw a suite's environments and write the sheet, or give why some failed."""
    frames, failures = {}, {}
    env_ids = renderable(suite)
    with progress_bar(len(env_ids), suite) as report:
        for done, env_id in enumerate(env_ids, 1):
            try:
                frames[label(env_id)] = frame_of(env_id, STEPS.get(suite, MOST_STEPS))
            except Exception as error:  # whatever a suite raises, the others are drawn
                failures[env_id] = f"{type(error).__name__}: {error}"
            report(done)
    if frames and not failures:
        folder.mkdir(parents=True, exist_ok=True)
        save(compose(frames), sheet_path(suite, folder), suite, list(frames))
    return failures


def overview() -> dict[str, np.ndarray]:
    """The pictures of `OVERVIEW`, cut out of the sheets in docs/figures."""
    return {
        f"{suite}::{name}": np.asarray(parts(suite)[name])
        for suite, names in OVERVIEW.items()
        for name in names
    }


def parts(suite: str) -> dict[str, Image.Image]:
    """The pictures of a suite's sheet in docs/figures, by what stands below them."""
    with Image.open(sheet_path(suite)) as sheet:
        names = sheet.text["Description"].split("\n")
        height = (sheet.height - MARGIN) // -(-len(names) // COLUMNS)
        cut = {}
        for place, name in enumerate(names):
            row, column = divmod(place, COLUMNS)
            left, top = WIDTH * column + MARGIN, height * row + MARGIN
            cut[name] = sheet.convert("RGB").crop((left, top, left + SIDE, top + SIDE))
        return cut


def renderable(suite: str) -> list[str]:
    """The ids of a suite that can be made and rendered; of a very large one, some of them."""
    options, described = OPTIONS.get(suite, {}), registry.get(suite)
    some = [f"{suite}::{name}" for name in SOME.get(suite, ())]
    return [
        env_id
        for env_id in some or envhub.list_envs(suite)
        if envhub.capabilities(env_id, **options).renderable
        and not described.gap(label(env_id), options)
    ]


def label(env_id: str) -> str:
    """What stands below a picture: the name without the suite."""
    return hub.parse_id(env_id)[1]


def sheet_path(suite: str, folder: Path = FIGURES) -> Path:
    """Where a suite's sheet is."""
    return folder / f"contact_sheet_{suite}.png"


def frame_of(env_id: str, steps: int) -> np.ndarray:
    """Play some random steps, fewer if the episode ends, and render: uint8[H, W, 3]."""
    env, params = envhub.make(env_id, **OPTIONS.get(hub.parse_id(env_id)[0], {}))
    try:
        choose = RandomAction.of(env, params)
        key, reset_key = jax.random.split(jax.random.key(0))
        obs, state = env.reset(reset_key, params)
        for _ in range(steps):
            key, action_key, step_key = jax.random.split(key, 3)
            result = env.step(step_key, state, choose(action_key, obs), params)
            obs, state = result.obs, result.state
            if np.any(result.done):
                break
        return env.render(state, params)
    finally:
        env.close()


def compose(frames: Mapping[str, np.ndarray]) -> Image.Image:
    """One picture of all frames in rows, each with its name below it."""
    labels = {name: textwrap.wrap(name, 24) for name in frames}
    height = SIDE + LINE * max(map(len, labels.values())) + MARGIN
    rows = -(-len(frames) // COLUMNS)
    sheet = Image.new("RGB", (WIDTH * min(COLUMNS, len(frames)), height * rows + MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for place, (name, frame) in enumerate(frames.items()):
        row, column = divmod(place, COLUMNS)
        left, top = WIDTH * column, height * row + MARGIN
        picture = thumbnail(frame)
        corner = left + (WIDTH - picture.width) // 2, top + SIDE - picture.height
        sheet.paste(picture, corner)
        draw.rectangle((*corner, corner[0] + picture.width, top + SIDE), outline="lightgray")
        for number, text in enumerate(labels[name]):
            middle = left + WIDTH // 2, top + SIDE + 1 + LINE * number
            draw.text(middle, text, "black", font, anchor="ma")
    return sheet


def thumbnail(frame: np.ndarray) -> Image.Image:
    """The frame as large as fits; the squares of a tiny one stay squares."""
    is_tiny = max(frame.shape[:2]) < SIDE
    method = Image.Resampling.NEAREST if is_tiny else Image.Resampling.LANCZOS
    return ImageOps.contain(Image.fromarray(frame), (SIDE, SIDE), method)


def save(sheet: Image.Image, path: Path, suite: str, names: Sequence[str]) -> None:
    """Write the sheet in 256 colours, with what it shows as text."""
    facts = PngInfo()
    facts.add_text("Title", f"{suite} {registry.get(suite).installed()}")
    facts.add_text("Description", "\n".join(names))
    sheet.quantize(256).save(path, optimize=True, pnginfo=facts)


if __name__ == "__main__":
    sys.exit(main())
