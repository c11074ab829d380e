"""The agents of an environment: their names, and what belongs to each of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from envhub.errors import InvalidOptionError

MASK = "action_mask"
"""The entry of an observation that has the legal actions, as `Space.sample` takes them."""

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
            values: rewards, flags, or any pytree of arrays with an axis of the agents, which an
                environment of one agent does not have. Observations and actions that are held by
                name stay as they are, in the order of the agents.
            axis: that axis.

        Raises:
            InvalidOptionError: if an array has another number of agents on that axis.

        Examples:
            >>> env, params = envhub.make("jumanji::LevelBasedForaging-v0")
            >>> env.by_agent(jnp.array([1.0, 2.0]))
            {'agent_0': Array(1., dtype=float32), 'agent_1': Array(2., dtype=float32)}
        """
        if self.num_agents == 1:
            return {self.agents[0]: values}
        if isinstance(values, Mapping) and set(values) == set(self.agents):
            return {name: values[name] for name in self.agents}
        for leaf in jax.tree.leaves(values):
            if jnp.shape(leaf)[axis : axis + 1 or None] != (self.num_agents,):
                raise InvalidOptionError(
                    f"{self} has {self.num_agents} agents; got an array of {jnp.shape(leaf)}, "
                    f"whose axis {axis} is not theirs. Of a batch, the agents are axis 1."
                )

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
