"""Random actions of the hub, which are legal where an observation says what is legal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from envhub import spaces
from envhub._agents import MASK
from envhub.environment import Environment
from envhub.vector import VectorEnv


@dataclasses.dataclass(frozen=True)
class RandomAction:
    """Draws a random action that is legal after an observation: a policy.

    Policies of equal spaces are equal, so that they share compiled code.

    Attributes:
        space: the action space of one environment.
        num_envs: the number of environments of a batch; `None` for one environment.
    """

    space: spaces.Space
    num_envs: int | None = None

    @classmethod
    def of(cls, env: Environment | VectorEnv, params: Any = None) -> RandomAction:
        """Return the policy for an environment, or for a batch, under these params.

        If the params are traced or batched, it is that for the default params.
        """
        one, num_envs = (env.env, env.num_envs) if isinstance(env, VectorEnv) else (env, None)
        is_batched = isinstance(env, VectorEnv) and env.batched_params
        is_traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(params))
        # Suites compute sizes with jax.numpy, which a surrounding trace would make abstract.
        with jax.ensure_compile_time_eval():
            return cls(one.action_space(None if is_traced or is_batched else params), num_envs)

    def __call__(self, key: jax.Array, obs: Any) -> Any:
        """Return an action after this observation; of a batch, actions after all of them."""
        if self.num_envs is None:
            return self.space.sample(key, _mask(self.space, key, obs))
        if _mask(self.space, key, jax.eval_shape(_first, obs)) is None:
            return spaces.batch(self.space, self.num_envs).sample(key)
        keys = jax.random.split(key, self.num_envs)
        return jax.vmap(RandomAction(self.space))(keys, obs)


@dataclasses.dataclass(frozen=True)
class RandomActions:
    """The same for a fleet: actions by name, after observations by name."""

    members: tuple[tuple[str, RandomAction], ...]

    @classmethod
    def of(
        cls, envs: Mapping[str, Environment | VectorEnv], params: Mapping[str, Any]
    ) -> RandomActions:
        """Return the policy for the members of a fleet."""
        return cls(
            tuple((name, RandomAction.of(envs[name], params[name])) for name in sorted(envs))
        )

    def __call__(self, key: jax.Array, obs: Mapping[str, Any]) -> dict[str, Any]:
        """Return an action of each member."""
        keys = jax.random.split(key, len(self.members))
        pairs = zip(self.members, keys, strict=True)
        return {name: choose(key, obs[name]) for (name, choose), key in pairs}


def _first(obs: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], obs)


def _mask(space: spaces.Space, key: jax.Array, obs: Any) -> Any:
    """Return what is legal after this observation; `None` if the observation does not say it.

    A mask of another form, such as one of several stacked observations, says nothing.
    """
    if not isinstance(obs, Mapping):
        return None
    if MASK not in obs and isinstance(space, spaces.Dict):  # of several agents, by name
        masks = {name: _mask(space[name], key, obs.get(name)) for name in space}
        return masks if any(mask is not None for mask in masks.values()) else None
    mask = obs.get(MASK)
    try:
        jax.eval_shape(space.sample, key, mask)
    except ValueError:
        return None
    return mask
