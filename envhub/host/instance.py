"""The interface of adapters: how to construct, seed, step, save and restore one instance."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from envhub import spaces
from envhub.flags import Claim


class InstanceStep(NamedTuple):
    """The result of one step of an instance, in NumPy.

    Attributes:
        obs: the observation, with the structure of the observation space.
        reward: a number.
        terminated: whether the MDP ended.
        truncated: whether the episode was cut from outside.
        info: the entries of the environment's `info`; undeclared entries are dropped.

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


def has_ended(step: InstanceStep) -> bool:
    """Tell whether the episode ended, for all agents.

    Examples:
        >>> has_ended(InstanceStep(np.zeros(3), 1.0, terminated=False, truncated=True, info={}))
        True
    """
    return bool(np.logical_or(step.terminated, step.truncated).all())


class Instance(abc.ABC):
    """One live environment of a CPU library.

    It is called from one thread at a time, and never after `close`. No method may call JAX: the
    methods run inside a callback of a compiled program, where JAX deadlocks.

    Attributes:
        observation_space: the space of the observations of `reset` and `step`.
        action_space: the space of the actions of `step`.
        default_params: a pytree of float32 arrays, or `None`; see `set_params`.
        num_agents: the number of agents, which is the leading axis of observations, actions,
            rewards and flags; `None` for one agent without that axis.
        turn_based: whether one agent acts in each step, so that observations and actions have no
            axis of the agents; see `Environment`.
        episode_limit: the number of steps after which an episode is truncated at the latest; `None`
            if there is no limit.
        identity: what tells its environment from others with the same id and options, such as the
            wrappers around it. A snapshot is restored only where this is the same.
        claims: the known capabilities by flag: `True`, or the reason why not. Other flags are found
            out: a flag is denied if its method or params are absent, and otherwise tried.

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
    turn_based: bool = False
    episode_limit: int | None = None
    identity: str = ""
    claims: Mapping[str, Claim] = MappingProxyType({})

    @property
    def unwrapped(self) -> Any:
        """The library's own object."""
        return self

    @abc.abstractmethod
    def reset(self, seed: int) -> Any:
        """Start an episode. The seed (below 2**31) alone determines it, not earlier episodes.

        Returns:
            The observation.
        """

    @abc.abstractmethod
    def step(self, action: Any) -> InstanceStep:
        """Advance one step, without any reset.

        Args:
            action: an element of the action space: an int for `Discrete`, arrays for other spaces.
        """

    def action_mask(self) -> Any:
        """Return a mask of the legal actions, as for `gymnasium.Space.sample`; `None` if unknown.

        Trials with random actions, when an environment is made, respect the mask. They also
        respect an entry `action_mask` of an observation or of `info` without this method.
        """
        return None

    def save(self) -> bytes:
        """Return everything that determines the future until a `reset`, as data without code.

        It is called only if the environment is forkable.
        """
        raise NotImplementedError

    def restore(self, saved: bytes, obs: Any) -> None:
        """Continue from a saved state, in any instance of the same environment.

        Args:
            saved: the bytes that `save` returned.
            obs: the last observation before `save`.
        """
        raise NotImplementedError

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        """Use these params from now on. It is called only if the environment has params.

        Args:
            values: float32[P], the leaves of the params, flattened in order. If the library
                computes in doubles, `unrounded` converts them.
        """
        raise NotImplementedError

    def render(self) -> Any:
        """Draw the current state: uint8[H, W, 3]."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 (most have nothing to free)
        """Free what the instance holds. It may be called repeatedly."""


def unrounded(values: np.ndarray[Any, Any], own: Any) -> np.ndarray[Any, Any]:
    """Convert float32 params to doubles, for a library that computes in doubles.

    An unchanged param becomes the library's own double instead of its rounded float32. Otherwise
    episodes with the default params would differ from the library's.

    Args:
        values: float32[...], the params of the call.
        own: float64 of the same shape, the library's own values of the params.

    Returns:
        float64 of that shape.

    Examples:
        >>> unrounded(np.float32([0.1, 0.5]), [0.1, 9.8]).tolist()
        [0.1, 0.5]
    """
    own = np.asarray(own, np.float64)
    return np.where(values == own.astype(np.float32), own, values)
