"""One environment of crafter, with a state that the seed decides."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from envhub import spaces
from envhub.host import Instance, InstanceStep

PICTURE = 576  # pixels of a side; 64 of each of the nine tiles


class InOrder(dict[Any, None]):
    """A set that gives its members in the order in which they came."""

    def add(self, member: Any) -> None:
        self[member] = None

    remove = dict.__delitem__


class CrafterInstance(Instance):
    """One `crafter.Env`, whose four values become five, and whose seed decides every episode.

    crafter 1.8.3 keeps the creatures of a part of the world in a set, which orders them by their
    addresses. Here they are in the order in which they came, which the seed decides.

    Args:
        options: keywords of `crafter.Env`.
    """

    def __init__(self, **options: Any) -> None:
        import crafter

        self.env = crafter.Env(seed=0, **options)
        self._world = self.env._world
        self._world.reset = functools.partial(_reset_in_order, self._world, self._world.reset)
        self.episode_limit = self.env._length
        width, height = self.env._size  # crafter 1.8.3's own space has them the other way round
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.action_space = spaces.Discrete(len(self.env.action_names))

    @property
    def unwrapped(self) -> Any:
        return self.env

    def reset(self, seed: int) -> Any:
        self.env._seed, self.env._episode = seed, 0
        return self.env.reset()

    def step(self, action: Any) -> InstanceStep:
        obs, reward, is_over, info = self.env.step(action)
        is_dead = info["discount"] == 0
        shown = dict(_flat(info))
        # With `length=None`, crafter's `is_over` is None in every step but the last.
        return InstanceStep(obs, reward, is_dead, bool(is_over) and not is_dead, shown)

    def render(self) -> Any:
        drawn = self._world.random.get_state()  # at night, a picture draws noise
        try:
            return self.env.render((PICTURE, PICTURE))
        finally:
            self._world.random.set_state(drawn)


def _reset_in_order(world: Any, reset: Callable[..., None], seed: int | None = None) -> None:
    reset(seed)
    world._chunks = collections.defaultdict(InOrder)


def _flat(info: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of `info`; those of a dict in it as `inventory.wood`."""
    for name, value in info.items():
        inside = value if isinstance(value, dict) else {}
        yield from ((f"{name}.{key}", count) for key, count in inside.items())
        if not inside:
            yield name, value
