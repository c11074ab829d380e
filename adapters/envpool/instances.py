"""One environment of EnvPool's, in a pool of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub.host import Instance, InstanceStep
from envhub.host.outcomes import Outcomes, Stacked

from .fleet import PoolFleet
from .pools import Recipe
from .turns import TurnReader


class PoolInstance(Instance):
    """A fleet of one.

    Args:
        recipe: makes the pool, again for each reset.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.observation_space = recipe.reader.observation_space
        self.action_space = recipe.reader.action_space
        self.num_agents = recipe.reader.agents if recipe.reader.agents > 1 else None
        self.turn_based = isinstance(recipe.reader, TurnReader)
        self.episode_limit = recipe.limit or None
        self._fleet = PoolFleet(recipe, is_exact=True)

    @property
    def unwrapped(self) -> Any:
        return self.recipe.spec

    def reset(self, seed: int) -> Any:
        return _first(self._fleet.reset([0], [seed]).obs)

    def step(self, action: Any) -> InstanceStep:
        out: Outcomes = self._fleet.step([0], np.asarray([action]))
        info = {name: column[0] for name, column in out.infos.items()}  # type: ignore[union-attr]
        ended = out.terminated[0], out.truncated[0]
        return InstanceStep(_first(out.obs), out.rewards[0], *ended, info)

    def render(self) -> Any:
        return self._fleet.render(0)

    def close(self) -> None:
        self._fleet.close()


def _first(obs: Any) -> Any:
    """The observation of the first lane."""
    if isinstance(obs, Stacked):
        return _first(obs.tree)
    if isinstance(obs, dict):
        return {name: _first(part) for name, part in obs.items()}
    return obs[0]
