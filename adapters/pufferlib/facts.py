"""What is known of Ocean's environments, and of PufferLib's emulation."""

from __future__ import annotations

from envhub.host.options import FIXED

# The names that `pufferlib.ocean.env_creator` knows, in pufferlib 3.0.0.
OCEAN = """
    blastar boids breakout cartpole checkers connect4 convert cpr drone enduro freeway go gpudrive
    grid impulse_wars moba multiagent nmmo3 pacman pong pysquared rware school snake spaces squared
    tactical target template terraform tetris tower_climb trash_pickup tripletriad
""".split()


# Ids of Gymnasium's that are listed here; the others can be emulated as well.
EMULATED = "Acrobot-v1 CartPole-v1 MountainCar-v0 MountainCarContinuous-v0 Pendulum-v1".split()


TOY_TEXT = ("Blackjack", "CliffWalking", "CliffWalkingSlippery", "FrozenLake", "FrozenLake8x8",
            "Taxi")  # fmt: skip


BROKEN = {
    "gpudrive": "it needs maps that PufferLib does not ship.",
    "impulse_wars": "it needs Box2D, without which scripts/build_ocean.py builds Ocean.",
    "moba": "it needs PufferLib's `resources` in the working directory, and never frees the 250 MB "
    "of an instance.",
    "school": "its reset does not return.",
    "tactical": "its C code lacks a function, so that it cannot be imported.",
}


UNEMULATED = "PufferLib's emulation gives an observation of whole numbers no room."


NO_OCEAN = (
    "Ocean is part of the full pufferlib, and pufferlib-core is installed: scripts/build_ocean.py "
    "in envhub's repository builds it beside JAX."
)


# A reset of some leaves parts of the last episode (blastar, convert, enduro, nmmo3, pysquared,
# rware, snake, target, template, tower_climb), and making one anew takes a tenth of a millisecond:
# an episode gets a new one, but of these, which take longer or leak.
KEPT = ("grid", "nmmo3", "tower_climb")


CLOCKS = "it seeds C's generator from the clock."


NUMPYS = "it draws from NumPy's generator of the process, which is not seeded."


NOT_REPRODUCIBLE = {
    "checkers": CLOCKS,
    "grid": CLOCKS,
    "nmmo3": "a reset leaves parts of the last episode, and making a new one leaks 7 MB.",
    "pysquared": NUMPYS,
    "rware": CLOCKS,
    "spaces": NUMPYS,
    "terraform": CLOCKS,
    "tower_climb": CLOCKS,
}


# All others in C draw from C's `rand` in their steps, of which the process has one for all.
DRAWS_NOTHING = ("boids", "freeway", "multiagent")


SHARED = "it draws from C's generator, and this C library has one for all of the process."


# What is known of every environment but those of Gymnasium's.
OF_ALL = {
    "forkable": "what it is made of cannot be saved; with forkable=True it is replayed.",
    "has_env_params": FIXED,
    "renderable": "what PufferLib draws appears in a window.",
}
