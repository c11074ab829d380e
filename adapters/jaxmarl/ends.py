"""Whether the agents have terminated, where JaxMARL merges a limit into its own flags.

Each function takes JaxMARL's environment, its states before and after a step, and the actions in
the order of the agents. It returns bool[num_agents], or bool[] for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp


def _never(env: Any, before: Any, after: Any, actions: Sequence[Any]) -> Any:
    return jnp.bool_(False)


def _smax(env: Any, before: Any, after: Any, actions: Sequence[Any]) -> Any:
    alive = getattr(after, "state", after).unit_alive
    allies, enemies = alive[: env.num_allies], alive[env.num_allies :]
    return ~alive[: env.num_agents] | ~allies.any() | ~enemies.any()


def _jaxnav(env: Any, before: Any, after: Any, actions: Sequence[Any]) -> Any:
    arrived_or_crashed = after.goal_reached | after.move_term
    return arrived_or_crashed | before.done if env.evaporating else arrived_or_crashed.all()


def _riddle(env: Any, before: Any, after: Any, actions: Sequence[Any]) -> Any:
    return jnp.stack(actions)[before.agent_in_room] == env.game_actions["TELL"]


def _mabrax(env: Any, before: Any, after: Any, actions: Sequence[Any]) -> Any:
    return (after.done > 0) & ~(after.info["truncation"] > 0)


ENDED: Mapping[str, Callable[..., Any]] = {
    "JaxNav": _jaxnav,
    "MABrax": _mabrax,
    "MPE": _never,
    "Overcooked": _never,
    "SMAX": _smax,
    "switch riddle": _riddle,
}
