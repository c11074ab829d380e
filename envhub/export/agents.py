"""The part of each agent, in the spaces and the values of an environment of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._agents import MASK
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.export.checks import check_whole


def check_agents_at_once(env: Any, target: str) -> None:
    """Refuse anything but one environment of several agents that act at once.

    Raises:
        InvalidOptionError: if it is something else; the message names what fits.
    """
    check_whole(env, target)
    if env.num_agents < 2:
        raise InvalidOptionError(
            f"{target} takes environments of several agents, and {env} has one: to_gymnasium "
            "takes it."
        )
    if env.turn_based:
        raise InvalidOptionError(
            f"{target} takes environments whose agents act at once, and {env} is a game of turns: "
            "to_pettingzoo_aec takes it."
        )


def space_of(space: Any, env: Environment, agent: str) -> Any:
    """Return the space of one agent, from the space of all agents."""
    if env.observation_agents == "by_name":
        return space[agent]
    return _without_agents(space, env.agents.index(agent))


def part_of(tree: Any, env: Environment, agent: str) -> Any:
    """Return the part of one agent, from the observation or the action of all agents."""
    if env.observation_agents == "by_name":
        return tree[agent]
    place = env.agents.index(agent)
    return jax.tree.map(lambda leaf: leaf[place], tree)


def together(actions: Mapping[str, Any], env: Environment, stack: Any = np.stack) -> Any:
    """Return the action of all agents, from those of each."""
    if env.observation_agents == "by_name":
        return {agent: actions[agent] for agent in env.agents}
    each = [actions[agent] for agent in env.agents]
    return jax.tree.map(lambda *leaves: stack(leaves), *each)


def mask_apart(seen: Any) -> tuple[Any, Any]:
    """Return one agent's observation, or its space, without the mask; and the mask, or `None`.

    Of a dict with a mask and an `observation`, as `envhub.wrappers.ActionMask` gives it, the rest
    is the observation itself.
    """
    if not isinstance(seen, Mapping) or MASK not in seen:
        return seen, None
    rest = {name: part for name, part in seen.items() if name != MASK}
    if set(rest) == {"observation"}:
        return rest["observation"], seen[MASK]
    return spaces.Dict(rest) if isinstance(seen, spaces.Dict) else rest, seen[MASK]


def inner_with_mask(env: Environment, agent: str) -> Environment | None:
    """Return the outermost environment inside whose observations have a mask, if there is one."""
    inside: Any = env
    while (inside := getattr(inside, "env", None)) is not None:
        seen = inside.observation_space(inside.default_params)
        if mask_apart(space_of(seen, inside, agent))[1] is not None:
            return inside  # type: ignore[no-any-return]
    return None


def _without_agents(space: Any, place: int) -> spaces.Space:
    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: _without_agents(child, place) for name, child in space.items()})
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple(_without_agents(child, place) for child in space)
    if isinstance(space, spaces.MultiDiscrete):
        nvec, start = space.nvec[place], space.start[place]
        if nvec.ndim:
            return spaces.MultiDiscrete(nvec, space.dtype, start)
        return spaces.Discrete(int(nvec), int(start), space.dtype)
    if isinstance(space, spaces.MultiBinary) and len(space.shape) > 1:
        return spaces.MultiBinary(space.shape[1:])
    low, high = space.low[place], space.high[place]
    return spaces.Box(low, high, space.shape[1:], space.dtype)
