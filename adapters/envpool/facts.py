"""What is known of EnvPool's families (envpool 1.2.5 and 1.2.7)."""

from __future__ import annotations

import re
from typing import NamedTuple

from envhub.suite import Gap

EXACT, STREAM = "exact", "stream"

COUNTED, PASSED, OWN = "counted", "passed", "own"
"""Who ends an episode after `max_episode_steps`.

`COUNTED`: EnvPool is given no limit, because a limit that falls on a terminating step loses the
termination (`done & ~trunc`). The fleet counts. `PASSED`: rewards, or what is seen, depend on the
limit, so EnvPool has it too. `OWN`: EnvPool ignores the keyword, and has a limit of its own.
"""

NO_LIMIT = 100_000_000
"""Steps: ViZDoom multiplies by `frame_skip`, and Atari adds one, in 32 bits."""


class Family(NamedTuple):
    """What environments of one family have in common.

    Attributes:
        title: how users call it.
        limit: one of those above.
        is_drawn: whether it can be drawn without a display.
        frees: whether a pool that goes gives its memory back.
    """

    title: str
    limit: str
    is_drawn: bool = True
    frees: bool = True


FAMILIES = {
    "atari": Family("Atari", COUNTED),
    "box2d": Family("Box2D", COUNTED),
    "classic_control": Family("classic control", COUNTED),
    "craftax": Family("Craftax", PASSED),
    "gfootball": Family("Google Research Football", PASSED, is_drawn=False, frees=False),
    "highway": Family("highway", OWN),
    "jumanji": Family("jumanji", OWN),
    "marlgrid": Family("MarlGrid", PASSED),
    "minigrid": Family("MiniGrid and BabyAI", PASSED),
    "mujoco.dmc": Family("DeepMind Control", COUNTED, is_drawn=False),
    "mujoco.gym": Family("MuJoCo", COUNTED, is_drawn=False),
    "mujoco.locomotion": Family("dm_control locomotion", OWN, is_drawn=False),
    "mujoco.metaworld": Family("MetaWorld", COUNTED, is_drawn=False),
    "mujoco.mjlab": Family("mjlab", OWN, is_drawn=False),
    "mujoco.myosuite": Family("MyoSuite", COUNTED, is_drawn=False),
    "mujoco.playground": Family("MuJoCo Playground", PASSED, is_drawn=False),
    "mujoco.robotics": Family("Gymnasium-Robotics", COUNTED, is_drawn=False),
    "pgx": Family("pgx", OWN),
    "procgen": Family("Procgen", OWN),
    "toy_text": Family("toy text", COUNTED, is_drawn=False),
    "vizdoom": Family("ViZDoom", COUNTED),
}

NEW = Family("", PASSED, is_drawn=False)
"""Of a family that a newer version adds."""

NOT_SAVED = (
    "EnvPool cannot save the state of an environment; with forkable=True its episodes are replayed."
)
NOT_FREED = "EnvPool keeps 46 MB of each environment of football that is made, for a replay too."
NOT_DRAWN = "EnvPool does not draw it."
NEEDS_OPENGL = (
    "up to 1.2.6, EnvPool's renderer of MuJoCo ends the whole process where it finds no OpenGL."
)
STREAMS = (
    "with seeding='stream' each instance goes on with a generator of its own; seeding='exact' "
    "makes every episode a function of its key."
)

NO_PUZZLES = ("Sudoku-v0", "Sudoku-very-easy-v0")
NEEDS_QT = (
    "up to 1.2.5, the newest on Python 3.11, EnvPool's Procgen needs the system's Qt 5, which few "
    "machines have; from 1.2.6 on it does not."
)

GAPS = (
    (
        "Cig-v1|MultiDuel-v1",
        Gap(
            "upstream",
            "it waits for other players, and its first reset ends the process (envpool 1.2.5).",
        ),
    ),
    (
        "VizdoomCustom-v1",
        Gap(
            "upstream", "it needs the files of a scenario of your own, which are not options here."
        ),
    ),
    (
        "Mjlab-Tracking.*",
        Gap("upstream", "it needs a file of motions, which is not an option here."),
    ),
    (
        r"MyoHand\w+Fixed-v0",
        Gap(
            "upstream",
            "each of its episodes ends in the first step: the motion that it compares with is "
            "zeros (envpool 1.2.5 to 1.2.7, see EnvPool's pull request 400).",
        ),
    ),
)
"""What does not run, by a pattern of its name."""


def gap_of(name: str, family: str) -> Gap | None:
    """Why an environment does not run, if it does not."""
    if "AutoReset" in name:
        plain = name.replace("-AutoReset", "")
        return Gap("never", f"it starts the next episode by itself; make envpool::{plain}.")
    return next((gap for pattern, gap in GAPS if re.fullmatch(pattern, name)), None)
