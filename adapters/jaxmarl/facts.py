"""The names, limits and claims of JaxMARL's environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envhub.errors import InvalidOptionError
from envhub.flags import Claim

# The class of each name, by family.
FAMILIES: Mapping[str, Mapping[str, str]] = {
    "MPE": {
        "MPE_simple_v3": "SimpleMPE",
        "MPE_simple_adversary_v3": "SimpleAdversaryMPE",
        "MPE_simple_crypto_v3": "SimpleCryptoMPE",
        "MPE_simple_facmac_v1": "SimpleFacmacMPE",
        "MPE_simple_facmac_3a_v1": "SimpleFacmacMPE3a",
        "MPE_simple_facmac_6a_v1": "SimpleFacmacMPE6a",
        "MPE_simple_facmac_9a_v1": "SimpleFacmacMPE9a",
        "MPE_simple_push_v3": "SimplePushMPE",
        "MPE_simple_reference_v3": "SimpleReferenceMPE",
        "MPE_simple_speaker_listener_v4": "SimpleSpeakerListenerMPE",
        "MPE_simple_spread_v3": "SimpleSpreadMPE",
        "MPE_simple_tag_v3": "SimpleTagMPE",
        "MPE_simple_world_comm_v3": "SimpleWorldCommMPE",
    },
    "SMAX": {
        "SMAX": "SMAX",
        "HeuristicEnemySMAX": "HeuristicEnemySMAX",
        "LearnedPolicyEnemySMAX": "LearnedPolicyEnemySMAX",
    },
    "MABrax": {
        "ant_4x2": "Ant",
        "halfcheetah_6x1": "HalfCheetah",
        "hopper_3x1": "Hopper",
        "humanoid_9|8": "Humanoid",
        "walker2d_2x3": "Walker2d",
    },
    "STORM": {"storm": "InTheGrid", "storm_2p": "InTheGrid_2p", "storm_np": "InTheMatrix"},
    "Overcooked": {"overcooked": "Overcooked", "overcooked_v2": "OvercookedV2"},
    "Hanabi": {"hanabi": "Hanabi"},
    "coin game": {"coin_game": "CoinGame"},
    "JaxNav": {"jaxnav": "JaxNav"},
    "switch riddle": {"switch_riddle": "SwitchRiddle"},
}
CLASSES = {name: kind for names in FAMILIES.values() for name, kind in names.items()}
FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}
ROBOTARIUM = [
    f"JaxRobotarium_{task}"
    for task in "arctic_transport discovery foraging material_transport navigation predator_prey "
    "rware warehouse".split()
]
NO_ROBOTARIUM = "JaxMARL imports it from jaxrobotarium, which is on no package index."
LEARNED = (
    "it plays against a policy. Give policy, a flax module whose apply returns a distribution and "
    "a value, and params, its weights: make(…, options={'policy': …, 'params': …})."
)
# The field of the params that limits an episode. Others have none.
LIMITS = {
    **dict.fromkeys(("MPE", "SMAX", "Overcooked", "JaxNav", "switch riddle"), "max_steps"),
    "MABrax": "episode_length",
}
# These compare the limit with the number of steps before the step (0.2.0).
ONE_STEP_LATE = {"MPE", "SMAX"}
# Keywords that MPE's classes hand down to SimpleMPE.
OF_MPE = {"contact_force", "contact_margin", "damping", "dt", "mass", "u_noise", "c_noise"}
# Given by the name, or by the params; MABrax would reset inside its step.
NOT_OPTIONS = {
    "action_spaces", "agents", "auto_reset", "colour", "dim_c", "dim_p", "env_name",
    "episode_length", "landmarks", "max_steps", "observation_spaces", "sys",
}  # fmt: skip
# Actions are continuous by default; those of the others are discrete.
CONTINUOUS = ("MPE_simple_facmac", "MPE_simple_world_comm", "jaxnav")
# An entry of its colours is a number (0.2.0), with which matplotlib cannot draw.
WITHOUT_COLOURS = "MPE_simple_push_v3"
BROKEN_IN_X64 = {"SMAX", "HeuristicEnemySMAX", "LearnedPolicyEnemySMAX", "jaxnav"}


def differentiable(name: str, options: Mapping[str, Any]) -> Claim:
    """Return the claim of the flag `differentiable`.

    Raises:
        InvalidOptionError: if the kind of actions is unknown.
    """
    family = FAMILY_OF[name]
    if family == "MABrax":
        is_smooth = options.get("backend", "positional") != "mjx"
        return is_smooth or "mjx's solver is a while loop, without reverse mode."
    if family == "SMAX":
        return "JaxMARL stops the gradient of what it observes."
    given = options.get("action_type", options.get("act_type"))
    if given not in (None, "Continuous", "Discrete"):  # jaxnav 0.2.0 takes it as "Continuous"
        raise InvalidOptionError(f"actions are 'Continuous' or 'Discrete', and not {given!r}.")
    if not (given == "Continuous" or (given is None and name.startswith(CONTINUOUS))):
        return "actions are discrete."
    is_seen_late = name == "MPE_simple_adversary_v3"
    return not is_seen_late or "it shows positions only, which an action changes a step later."
