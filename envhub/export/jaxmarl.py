"""Export an environment of several agents with JaxMARL's interface."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._foreign import keep_streams, quiet
from envhub._forks import refuse_after_fork
from envhub.environment import Environment
from envhub.errors import InvalidActionError, InvalidOptionError
from envhub.export.agents import (
    check_agents_at_once,
    inner_with_mask,
    mask_apart,
    part_of,
    space_of,
    together,
)
from envhub.export.checks import load
from envhub.export.copies import Copied
from envhub.wrappers.autoreset import AutoReset


class State(NamedTuple):
    """The state of an environment, with the observation that belongs to it.

    Attributes:
        env: the environment's own state.
        obs: the environment's own observation.
    """

    env: Any
    obs: Any


def to_jaxmarl(env: Environment, params: Any = None) -> Any:
    """Export an environment of several agents as a `jaxmarl` `MultiAgentEnv`.

    `reset(key)` returns `(obs, state)`, and `step(key, state, actions)` returns
    `(obs, state, rewards, dones, info)`, inside `jit` and `vmap` too. Observations, actions,
    rewards and `dones` are dicts by agent, and `dones["__all__"]` is true when all agents are done.
    Then `step` has reset: it returns the observation and the state of the next episode, or those of
    `reset_state`. It splits its key as JaxMARL's environments do, but computes a reset only for the
    lanes of a `vmap` that need one. `step_env` does not reset.

    `dones` does not tell a limit from a termination. `info` has the environment's own entries and
    `truncated`, bool[num_agents], which does.

    If an observation has an entry `action_mask`, `get_avail_actions(state)` returns it, and it is
    left out of the observation. If a wrapper has hidden it, as `FlattenObservation` does, it raises
    an `InvalidOptionError`. If there is none, all of `Discrete` actions are available.

    Args:
        env: one environment of several agents that act at once, without `AutoReset`.
        params: the params of all calls; by default the environment's default params.

    Raises:
        InvalidOptionError: if the environment is not of this kind, or JaxMARL has no space for its
            actions.
        MissingDependencyError: if JaxMARL is not installed.

    Examples:
        >>> env, params = envhub.make("jumanji::LevelBasedForaging-v0")
        >>> exported = to_jaxmarl(env, params)
        >>> obs, state = exported.reset(jax.random.key(0))
        >>> exported.get_avail_actions(state)["agent_1"].shape
        (6,)
    """
    check_agents_at_once(env, "to_jaxmarl")
    return _env_class()(env, env.default_params if params is None else params)


class _MultiAgentEnv(Copied):
    """The methods, in front of those of JaxMARL's class."""

    def __init__(self, env: Environment, params: Any) -> None:
        super().__init__(env.num_agents)  # type: ignore[call-arg]
        self.env, self.params, self._resetting = env, params, AutoReset(env)
        self.agents = list(env.agents)
        seen, taken = env.observation_space(params), env.action_space(params)
        self.observation_spaces = {
            agent: _space(mask_apart(space_of(seen, env, agent))[0]) for agent in self.agents
        }
        self.action_spaces = {
            agent: _space(space_of(taken, env, agent), of_actions=True) for agent in self.agents
        }

    def reset(self, key: jax.Array) -> tuple[dict[str, Any], State]:
        refuse_after_fork()
        obs, own = self.env.reset(key, self.params)
        state = State(own, obs)
        return self.get_obs(state), state

    def step(self, key: jax.Array, state: State, actions: Any, reset_state: Any = None) -> Any:
        if reset_state is not None:
            return super().step(key, state, actions, reset_state)  # type: ignore[misc]
        return self._stepped(self._resetting, key, state, actions)

    def step_env(self, key: jax.Array, state: State, actions: Any) -> Any:
        return self._stepped(self.env, key, state, actions)

    def get_obs(self, state: State) -> dict[str, Any]:
        refuse_after_fork()
        return {agent: mask_apart(part_of(state.obs, self.env, agent))[0] for agent in self.agents}

    def get_avail_actions(self, state: State) -> dict[str, Any]:
        refuse_after_fork()
        return {agent: self._available(agent, state.obs) for agent in self.agents}

    @property
    def name(self) -> str:
        return self.env.spec.id if self.env.spec else type(self.env).__name__

    def _stepped(self, env: Environment, key: jax.Array, state: State, actions: Any) -> Any:
        refuse_after_fork()
        if set(actions) != set(self.agents):
            raise InvalidActionError(
                f"{self.env} takes an action of each of its agents, {', '.join(self.agents)}; got "
                f"those of {', '.join(map(str, actions)) or 'none'}."
            )
        result = env.step(key, state.env, together(actions, self.env, jnp.stack), self.params)
        after = State(result.state, result.obs)
        info = {name: part for name, part in result.info.items() if name != "final_obs"}
        dones = self.env.by_agent(result.done) | {"__all__": result.done.all()}
        rewards = self.env.by_agent(result.reward)
        return self.get_obs(after), after, rewards, dones, info | {"truncated": result.truncated}

    def _available(self, agent: str, obs: Any) -> Any:
        mask = mask_apart(part_of(obs, self.env, agent))[1]
        if mask is not None:
            return mask
        if masked := inner_with_mask(self.env, agent):
            raise InvalidOptionError(
                f"{self.env} hides the action_mask of {masked}: leave out the wrapper between them."
            )
        space = self.action_spaces[agent]
        if not hasattr(space, "n"):
            raise InvalidOptionError(f"{agent} of {self.env} has no Discrete actions to mask.")
        return jnp.ones(space.n, bool)


@functools.cache
def _env_class() -> Any:
    library: Any = _load("multi_agent_env")

    class EnvHubMultiAgentEnv(_MultiAgentEnv, library.MultiAgentEnv):  # type: ignore[misc]
        """An environment of envhub; see `envhub.export.to_jaxmarl`."""

        class_of = staticmethod(_env_class)

    return EnvHubMultiAgentEnv


def _load(module: str) -> Any:
    with keep_streams(), quiet():
        return load(f"jaxmarl.environments.{module}", "jaxmarl", "to_jaxmarl")


def _space(space: Any, *, of_actions: bool = False) -> Any:
    """Convert a space to JaxMARL's.

    Raises:
        InvalidOptionError: if JaxMARL has no space whose samples are actions.
    """
    kinds = _load("spaces")
    if isinstance(space, spaces.Dict):
        converted = {name: _space(child, of_actions=of_actions) for name, child in space.items()}
        return kinds.Dict(converted)
    if isinstance(space, spaces.Tuple):
        return kinds.Tuple([_space(child, of_actions=of_actions) for child in space])
    if isinstance(space, spaces.Discrete) and not space.start:
        return kinds.Discrete(space.n)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any():
        return kinds.MultiDiscrete(space.nvec.tolist())
    if of_actions and space.dtype.kind != "f":
        raise InvalidOptionError(
            f"JaxMARL has no action space for {space}. TransformAction takes any other action."
        )
    # JAX's dtype, which without x64 mode may be narrower.
    dtype = jax.dtypes.canonicalize_dtype(space.dtype)
    low, high = (np.asarray(bound, dtype) for bound in (space.low, space.high))
    return kinds.Box(low, high, space.shape, dtype)
