"""What an adapter tells the bridge: how to construct, seed, step, save and restore one instance."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from envhub import spaces
from envhub.flags import Claim


class InstanceStep(NamedTuple):
    """What one step of an instance gave, in NumPy.

    Attributes:
        obs: of the structure of the observation space.
        reward: a number.
        terminated: whether the MDP ended.
        truncated: whether the episode was cut from outside.
        info: the entries of the environment's `info`; others than the declared ones are dropped.

    Examples:
        >>> step = InstanceStep(np.zeros(3), 1.0, terminated=False, truncated=True, info={})
        >>> step.reward, step.truncated
        (1.0, True)
    """

    obs: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Instance(abc.ABC):
    """One live environment of a CPU library.

    The bridge calls it from one thread at a time, and never after `close`. Nothing here may touch
    JAX: it runs inside a callback of a compiled program, where that deadlocks.

    Attributes:
        observation_space: of what `reset` and `step` give.
        action_space: of what `step` takes.
        default_params: a pytree of float32 arrays, or `None`; see `set_params`.
        num_agents: how many agents act in it, the leading axis of observations, actions, rewards
            and flags; `None` for one without that axis.
        episode_limit: after how many steps it truncates an episode at the latest; `None` if nothing
            does.
        claims: what is known of it, by flag: what it can do, or why not. Other flags are found out:
            what it lacks a method or params for it cannot do, and the rest is tried.

    Examples:
        >>> class Walk(Instance):
        ...     def reset(self, seed):
        ...         self.place = np.int32(seed % 3)
        ...         return self.place
        ...     def step(self, action):
        ...         self.place += np.int32(1 if action else -1)
        ...         return envhub.host.InstanceStep(self.place, 0.0, False, False, {})
        >>> walk = Walk()
        >>> int(walk.reset(5)), int(walk.step(1).obs)
        (2, 3)
    """

    observation_space: spaces.Space
    action_space: spaces.Space
    default_params: Any = None
    num_agents: int | None = None
    episode_limit: int | None = None
    claims: Mapping[str, Claim] = MappingProxyType({})

    @property
    def unwrapped(self) -> Any:
        """The library's own object."""
        return self

    @abc.abstractmethod
    def reset(self, seed: int) -> Any:
        """Start an episode that this seed (below 2**31) decides, whatever was played before.

        Returns:
            The observation.
        """

    @abc.abstractmethod
    def step(self, action: Any) -> InstanceStep:
        """Advance one step; never reset.

        Args:
            action: an element of the action space: an int for `Discrete`, otherwise arrays.
        """

    def action_mask(self) -> Any:
        """Which actions are legal now, as `gymnasium.Space.sample` takes it; `None`: nobody says.

        What is tried out at random when an environment is made keeps to it. An entry `action_mask`
        of an observation or of `info` is seen without this.
        """
        return None

    def save(self) -> bytes:
        """What decides all that comes next until a `reset`: data, no code.

        Only where the environment is forkable.
        """
        raise NotImplementedError

    def restore(self, saved: bytes, obs: Any) -> None:
        """Continue, in any instance of the same environment, where `save` was called.

        Args:
            saved: what `save` returned.
            obs: the last observation before that.
        """
        raise NotImplementedError

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        """Put params in force; only where the environment has them.

        Args:
            values: float32[P], the leaves of the params, flattened in order. Where the library
                computes in doubles, `unrounded` says which they stand for.
        """
        raise NotImplementedError

    def render(self) -> Any:
        """The picture of the current state: uint8[H, W, 3]."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 (most have nothing to free)
        """Free what the instance holds; idempotent."""


def unrounded(values: np.ndarray[Any, Any], own: Any) -> np.ndarray[Any, Any]:
    """The doubles that float32 params stand for, for a library that computes in doubles.

    A param that was not changed is the library's own double, and not its float32: otherwise the
    default params would give other episodes than the library does.

    Args:
        values: float32[...], the params that are put in force.
        own: float64 of the same shape, the library's own values of them.

    Returns:
        float64 of that shape.

    Examples:
        >>> unrounded(np.float32([0.1, 0.5]), [0.1, 9.8]).tolist()
        [0.1, 0.5]
    """
    own = np.asarray(own, np.float64)
    return np.where(values == own.astype(np.float32), own, values)
