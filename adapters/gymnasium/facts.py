"""What is known of Gymnasium's own environments: names, what changes in a step, and physics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from envhub.flags import Claim
from envhub.host.options import FIXED, OF_EPISODES

CLASSIC = "Acrobot-v1 CartPole-v0 CartPole-v1 MountainCar-v0 MountainCarContinuous-v0 Pendulum-v1"

TOY_TEXT = "Blackjack-v1 FrozenLake-v1 FrozenLake8x8-v1"

OTHER_TOY_TEXT = "CliffWalking-v0 CliffWalking-v1 CliffWalkingSlippery-v1 Taxi-v3 Taxi-v4"
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

# Under every name that any supported version has.
FAMILY_OF = {
    **dict.fromkeys(CLASSIC.split(), "classic"),
    **dict.fromkeys([*TOY_TEXT.split(), *OTHER_TOY_TEXT.split()], "toy_text"),
    **{f"{each}-v{version}": "mujoco" for each in MUJOCO.split() for version in (2, 3, 4, 5)},
    **dict.fromkeys(BOX2D.split(), "box2d"),
    **dict.fromkeys(FUNCTIONAL.split(), "functional"),
}
# As Gymnasium's documentation calls them, but for what it has written in JAX.
TITLE_OF = {
    "classic": "classic control",
    "toy_text": "toy text",
    "mujoco": "MuJoCo",
    "box2d": "Box2D",
    "functional": "functional",
}
# By the package of `gymnasium.envs` that has their classes.
FAMILY_OF_PACKAGE = {
    "classic_control": "classic",
    "toy_text": "toy_text",
    "mujoco": "mujoco",
    "box2d": "box2d",
    "phys2d": "functional",
    "tabular": "functional",
}

# What changes between the steps of an episode, by the class of the environment. A `reset` sets
# everything anew, the generator too, so it is part of a snapshot only where a step draws from it.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "MountainCarEnv": ("state",),
    "Continuous_MountainCarEnv": ("state",),
    "PendulumEnv": ("state", "last_u"),
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
NOT_DETERMINISTIC = "its spec says that it is not deterministic."
A_MAP_EACH = "with desc=None and map_name=None each instance draws a map of its own."
REPLAYED = "Box2D's worlds cannot be saved; with forkable=True their episodes are replayed."
UNKNOWN_STATE = (
    "how to save the state of this environment is not known; with forkable=True, make finds out "
    "whether its episodes can be replayed."
)


def claims_of(family: str, options: Mapping[str, Any]) -> dict[str, Claim]:
    """What is known of an environment of one of Gymnasium's families, made with these options."""
    if not family:
        return {"forkable": UNKNOWN_STATE, "has_env_params": FIXED}
    claims: dict[str, Claim] = {
        **dict.fromkeys(OF_EPISODES, True),
        "forkable": family != "box2d" or REPLAYED,
        "has_env_params": family in ("classic", "mujoco") or FIXED,
        "renderable": NOT_DRAWN if options.get("render_mode", 0) is None else True,
    }
    if options.get("map_name", "4x4") is None and options.get("desc") is None:
        claims |= dict.fromkeys(["forkable", *OF_EPISODES], A_MAP_EACH)
    return claims
