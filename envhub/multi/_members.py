"""The members of a fleet by name, and facts about their observations and actions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub._agents import ObservationAgents
from envhub.errors import UnknownEnvError, did_you_mean
from envhub.flags import FLAGS, Capabilities, Claim
from envhub.multi._groups import Member, one, params_of_one
from envhub.spaces._flat import flat_size, flatten
from envhub.spaces._trees import map_space
from envhub.spec import EnvSpec


class SpaceFacts(NamedTuple):
    """A fact about the observations and about the actions of each member.

    Examples:
        >>> fleet, _ = envhub.make_multi({"pole": "gymnax::CartPole-v1"})
        >>> fleet.shapes
        SpaceFacts(observation={'pole': (4,)}, action={'pole': ()})
    """

    observation: Any
    action: Any


E = TypeVar("E")


class Members:
    """Facts about the members of a `MultiEnv`, and the sizes that a network for them needs."""

    names: tuple[str, ...]
    envs: dict[str, Member]
    default_params: dict[str, Any]

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities that all members have; the reason for a false flag names the member."""
        claims: dict[str, Claim] = {}
        for flag in FLAGS:
            reasons = [
                f"{name}: {env.capabilities.why(flag)}"
                for name, env in self.envs.items()
                if not getattr(env.capabilities, flag)
            ]
            claims[flag] = " ".join(reasons) or True
        return Capabilities.claim(**claims)

    @property
    def spec(self) -> dict[str, EnvSpec | None]:
        """The specs of the members, by name."""
        return {name: env.spec for name, env in self.envs.items()}

    @property
    def num_agents(self) -> dict[str, int]:
        """The number of agents that act, by name."""
        return {name: env.num_agents for name, env in self.envs.items()}

    @property
    def agents(self) -> dict[str, tuple[str, ...]]:
        """The names of the agents, by name of the member."""
        return {name: env.agents for name, env in self.envs.items()}

    @property
    def turn_based(self) -> dict[str, bool]:
        """Whether one agent acts in each step, by name."""
        return {name: env.turn_based for name, env in self.envs.items()}

    @property
    def observation_agents(self) -> dict[str, ObservationAgents]:
        """How observations and actions hold the agents, by name; see `Environment`."""
        return {name: env.observation_agents for name, env in self.envs.items()}

    @property
    def unwrapped(self) -> dict[str, Any]:
        """The suites' own objects, by name."""
        return {name: env.unwrapped for name, env in self.envs.items()}

    def find(self, kind: type[E]) -> dict[str, E | None]:
        """Return the outermost wrapper of a class, by name; `None` if a member has none."""
        return {name: env.find(kind) for name, env in self.envs.items()}

    def episode_limit(self, params: Mapping[str, Any] | None = None) -> dict[str, int | None]:
        """Return the episode limits by name; see `Environment.episode_limit`."""
        given = self.default_params if params is None else params
        return {name: env.episode_limit(given[name]) for name, env in self.envs.items()}

    @functools.cached_property
    def observation_spaces(self) -> dict[str, spaces.Space]:
        """The observation spaces by name, under the default params; batched for a batch."""
        return self._each(lambda env, params: env.observation_space(params))

    @functools.cached_property
    def action_spaces(self) -> dict[str, spaces.Space]:
        """The action spaces by name, under the default params; batched for a batch."""
        return self._each(lambda env, params: env.action_space(params))

    @functools.cached_property
    def single_observation_spaces(self) -> dict[str, spaces.Space]:
        """The observation spaces of one environment per member, by name."""
        return self._each(lambda env, params: one(env).observation_space(params))

    @functools.cached_property
    def single_action_spaces(self) -> dict[str, spaces.Space]:
        """The action spaces of one environment per member, by name."""
        return self._each(lambda env, params: one(env).action_space(params))

    @property
    def shapes(self) -> SpaceFacts:
        """The shapes of observations and actions of one environment per member, by name.

        For a `Dict` or `Tuple` space, this is a dict or tuple of shapes.
        """
        return self._facts(lambda space: map_space(_shape, space, space))

    @property
    def dtypes(self) -> SpaceFacts:
        """The dtypes of observations and actions, in the same form as `shapes`."""
        return self._facts(lambda space: map_space(_dtype, space, space))

    @property
    def sizes(self) -> SpaceFacts:
        """The number of numbers that a network takes or gives, by name: Gymnasium's `flatdim`.

        It counts one for each element of an array, and one for each possible value of a `Discrete`
        and of each element of a `MultiDiscrete`.
        """
        return self._facts(flat_size)

    def pad_dims(self) -> SpaceFacts:
        """Return the largest `sizes`, as `(observation, action)`, for a shared network.

        See `pad_observations`. Of the numbers that such a network gives for an action, a member
        uses the first `sizes.action[name]`.
        """
        return SpaceFacts(*(max(sizes.values()) for sizes in self.sizes))

    def pad_observations(self, obs: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Flatten and pad observations to vectors of one length, which can be stacked.

        Args:
            obs: the observations of some or all members by name; they may have more leading axes.

        Returns:
            float32[..., pad_dims().observation] by name: the numbers of the observation, then
            zeros. `Discrete` and `MultiDiscrete` values are one-hot.
        """
        size = self.pad_dims().observation
        flat = {name: flatten(self._space_of(name), value) for name, value in obs.items()}
        return {
            name: jnp.pad(each, [(0, 0)] * (each.ndim - 1) + [(0, size - each.shape[-1])])
            for name, each in flat.items()
        }

    def _each(self, space_of: Callable[[Member, Any], spaces.Space]) -> dict[str, spaces.Space]:
        # Suites compute sizes with jax.numpy, which a surrounding trace would make abstract.
        with jax.ensure_compile_time_eval():
            return {
                name: space_of(env, params_of_one(env, self.default_params[name]))
                for name, env in self.envs.items()
            }

    def _facts(self, function: Callable[[spaces.Space], Any]) -> SpaceFacts:
        both = self.single_observation_spaces, self.single_action_spaces
        return SpaceFacts(*({name: function(each[name]) for name in self.names} for each in both))

    def _space_of(self, name: str) -> spaces.Space:
        self._at(name)
        return self.single_observation_spaces[name]

    def _at(self, name: str) -> tuple[Member, Any]:
        if name not in self.envs:
            raise UnknownEnvError(f"the fleet has no member {name!r}.{self._hint(name)}")
        return self.envs[name], self.default_params[name]

    def _hint(self, name: Any) -> str:
        return f"{did_you_mean(str(name), self.names)} It has: {', '.join(self.names)}."


def _shape(space: Any, _: Any) -> Any:
    return space.shape


def _dtype(space: Any, _: Any) -> Any:
    return space.dtype
