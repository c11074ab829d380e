"""What a wrapper does to one observation, done to that of each agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envhub import spaces
from envhub.environment import Environment


def each_agent(env: Environment, function: Callable[..., Any], *of_agents: Any) -> Any:
    """Return what the function makes of the parts of each agent, as a dict by name.

    If observations do not hold agents by name, it is what the function makes of the whole.
    """
    if env.observation_agents != "by_name":
        return function(*of_agents)
    return {name: function(*(each[name] for each in of_agents)) for name in env.agents}


def each_space(
    env: Environment, function: Callable[..., spaces.Space], *of_agents: spaces.Space
) -> spaces.Space:
    """Return what the function makes of the spaces of each agent, as a `Dict` by name.

    If observations do not hold agents by name, it is what the function makes of the whole.
    """
    made = each_agent(env, function, *of_agents)
    return made if isinstance(made, spaces.Space) else spaces.Dict(made)
