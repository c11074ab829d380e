"""The agents of an environment: their names, and what belongs to each of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from envhub.errors import InvalidOptionError

ObservationAgents = Literal["none", "leading", "by_name"]


class Agents:
    """A base class of environments, which has the attributes that concern agents."""

    num_agents: int = 1
    turn_based: bool = False

    @functools.cached_property
    def agents(self) -> tuple[str, ...]:  # set it where the suite has names
        """The names of the agents, in the order of rewards and flags."""
        return tuple(f"agent_{place}" for place in range(self.num_agents))

    @functools.cached_property
    def observation_agents(self) -> ObservationAgents:  # set it where the suite has them by name
        """How observations and actions hold the agents.

        It is `"leading"` if the agents are the first axis of every array, `"by_name"` if
        observations and actions are a `Dict` by name, and `"none"` for one agent and in games of
        turns.
        """
        return "none" if self.num_agents == 1 or self.turn_based else "leading"

    def by_agent(self, values: Any, axis: int = 0) -> dict[str, Any]:
        """Return the part of each agent, by name.

        Args:
            values: rewards, flags, or any pytree of arrays with an axis of the agents. An
                environment of one agent has no such axis.
            axis: that axis.

        Examples:
            >>> env, params = envhub.make("jumanji::LevelBasedForaging-v0")
            >>> env.by_agent(jnp.array([1.0, 2.0]))
            {'agent_0': Array(1., dtype=float32), 'agent_1': Array(2., dtype=float32)}
        """
        if self.num_agents == 1:
            return {self.agents[0]: values}

        def part(place: int) -> Any:
            take = functools.partial(jax.lax.index_in_dim, index=place, axis=axis, keepdims=False)
            return jax.tree.map(lambda leaf: take(jnp.asarray(leaf)), values)

        return {name: part(place) for place, name in enumerate(self.agents)}

    def stack_agents(self, by_name: Mapping[str, Any], axis: int = 0) -> Any:
        """Return what `by_agent` took apart: arrays with an axis of the agents, in their order.

        Raises:
            InvalidOptionError: if the names are not those of the agents.
        """
        if set(by_name) != set(self.agents):
            raise InvalidOptionError(
                f"{self} has the agents {', '.join(self.agents)}; got values of "
                f"{', '.join(map(str, by_name)) or 'none'}."
            )
        parts = [by_name[name] for name in self.agents]
        if self.num_agents == 1:
            return parts[0]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis), *parts)
