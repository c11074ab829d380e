"""What is known of Gymnasium's own environments: names, what changes in a step, and physics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CLASSIC = "Acrobot-v1 CartPole-v0 CartPole-v1 MountainCar-v0 MountainCarContinuous-v0 Pendulum-v1"


TOY_TEXT = "Blackjack-v1 FrozenLake-v1 FrozenLake8x8-v1"


MUJOCO = """
    Ant HalfCheetah Hopper Humanoid HumanoidStandup InvertedDoublePendulum InvertedPendulum Pusher
    Reacher Swimmer Walker2d
"""


MUJOCO_V3 = "Ant HalfCheetah Hopper Humanoid Swimmer Walker2d"


FUNCTIONAL = """
    phys2d/CartPole-v0 phys2d/CartPole-v1 phys2d/Pendulum-v0 tabular/Blackjack-v0
    tabular/CliffWalking-v0
"""


BOX2D = """
    BipedalWalker-v3 BipedalWalkerHardcore-v3 CarRacing-v3 LunarLander-v3 LunarLanderContinuous-v3
"""


# Other packages' environments, which are made through Gymnasium's registry.
MISFITS = (
    ("mujoco>=3.10", "gymnasium-robotics<=1.4.2", "its Fetch environments cannot be made"),
    ("mujoco>=3.14", "metaworld<=3.0.0", "its environments cannot be made"),
    ("mujoco>=4", "dm-control<=1.0.50", "its tasks cannot be loaded"),
)


def family(name: str) -> str:
    """Which of Gymnasium's families an id belongs to; empty for those of third parties."""
    base = name.rpartition("-v")[0]
    if base in MUJOCO.split():
        return "mujoco"
    others = "CliffWalking-v1 CliffWalkingSlippery-v1 Taxi-v3"
    families = {
        "classic": CLASSIC,
        "toy_text": f"{TOY_TEXT} {others}",
        "box2d": BOX2D,
        "functional": FUNCTIONAL,
    }
    for family, names in families.items():
        if base in [each.rpartition("-v")[0] for each in names.split()]:
            return family
    return ""


# What changes between the steps of an episode, by the class of the environment. A `reset` sets
# everything anew, the generator too, so it is part of a snapshot only where a step draws from it.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "MountainCarEnv": ("state",),
    "Continuous_MountainCarEnv": ("state",),
    "PendulumEnv": ("state", "last_u"),
    "AcrobotEnv": ("state",),
    "FrozenLakeEnv": ("s", "lastaction"),
    "CliffWalkingEnv": ("s", "lastaction"),
    "TaxiEnv": ("s", "lastaction", "fickle_step", "taxi_orientation"),
    "BlackjackEnv": (
        "player", "dealer", "dealer_top_card_suit", "dealer_top_card_value_str",
    ),
}  # fmt: skip


DRAWS_IN_STEP = {"FrozenLakeEnv", "CliffWalkingEnv", "TaxiEnv", "BlackjackEnv"}


# Physics that may be set on a live instance, and what is computed from it at construction.
PHYSICS: dict[str, tuple[str, ...]] = {
    "CartPoleEnv": ("gravity", "masscart", "masspole", "length", "force_mag", "tau"),
    "MountainCarEnv": ("force", "gravity"),
    "Continuous_MountainCarEnv": ("power",),
    "PendulumEnv": ("g", "m", "l", "dt"),
    "AcrobotEnv": (
        "LINK_LENGTH_1", "LINK_LENGTH_2", "LINK_MASS_1", "LINK_MASS_2", "LINK_COM_POS_1",
        "LINK_COM_POS_2", "LINK_MOI", "torque_noise_max",
    ),
}  # fmt: skip


DERIVED: dict[str, dict[str, Callable[[Any], float]]] = {
    "CartPoleEnv": {
        "total_mass": lambda env: env.masspole + env.masscart,
        "polemass_length": lambda env: env.masspole * env.length,
    }
}


# Where Gymnasium keeps the functional core of what it has written in JAX.
CORES = {
    "phys2d/CartPole": ("envs.phys2d.cartpole", "CartPoleFunctional"),
    "phys2d/Pendulum": ("envs.phys2d.pendulum", "PendulumFunctional"),
    "tabular/Blackjack": ("envs.tabular.blackjack", "BlackjackFunctional"),
    "tabular/CliffWalking": ("envs.tabular.cliffwalking", "CliffWalkingFunctional"),
}


# Params that a reward asks with Python's `if` (gymnasium 1.0 to 1.3), which cannot be traced.
ASKED_BY_PYTHON = {"BlackjackFunctional": ("natural", "sutton_and_barto")}


# What the constructors of MuJoCo's environments pass on to the class of all of them.
MUJOCO_VIEW = ("width", "height", "camera_id", "camera_name", "max_geom", "visual_options")
NOT_DRAWN = "it was made with render_mode=None."
UNKNOWN_STATE = "how to save the state of this environment is not known."
