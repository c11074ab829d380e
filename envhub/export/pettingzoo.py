"""Export an environment of several agents as PettingZoo's `ParallelEnv`."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._agents import MASK
from envhub.environment import Environment
from envhub.errors import InvalidActionError
from envhub.export.agents import (
    check_agents_at_once,
    mask_apart,
    part_of,
    space_of,
    together,
)
from envhub.export.checks import check_reset, load
from envhub.export.copies import Copied
from envhub.export.driver import Driver
from envhub.export.gymnasium import render_metadata
from envhub.spaces._trees import map_space, observed, tree_of, zero_of


def to_pettingzoo(
    env: Environment,
    params: Any = None,
    *,
    seed: int | None = None,
    render_mode: str | None = None,
) -> Any:
    """Export an environment of several agents as a `pettingzoo.ParallelEnv`.

    The agents are `env.agents`. Each agent has its own part of observations, actions, rewards and
    flags: NumPy arrays with the dtypes of its spaces, a float and bools. The `info` of a
    step is the same for all agents. An agent that terminated or was truncated leaves `agents` until
    the next `reset`; until then, the environment gets the action nearest to zero for
    this agent.

    If an observation has an entry `action_mask`, the observation of an agent is
    `{"observation": the rest, "action_mask": int8[n]}`, PettingZoo's form for masks.

    `reset(seed=s)` starts the episode of `env.reset(jax.random.split(jax.random.key(s))[1])`;
    without a seed, `reset` starts the next episode. It ignores its `options`, because PettingZoo's
    `parallel_api_test` requires that it takes any options. `close()` closes the environment.

    Args:
        env: one environment of several agents that act at once, without `AutoReset`.
        params: the params of all calls; by default the environment's default params.
        seed: the seed of the episodes until `reset` gets one; by default it is random.
        render_mode: `"rgb_array"` to let `render()` draw: uint8[H, W, 3].

    Raises:
        InvalidOptionError: if the environment is not of this kind; a game of turns is for
            `to_pettingzoo_aec`.
        MissingCapabilityError: if it cannot be drawn in this mode.
        MissingDependencyError: if PettingZoo is not installed.

    Examples:
        >>> env, params = envhub.make("jumanji::Connector-v3")
        >>> exported = to_pettingzoo(env, params, seed=0)
        >>> obs, infos = exported.reset()
        >>> obs["agent_0"]["action_mask"].shape
        (5,)
    """
    check_agents_at_once(env, "to_pettingzoo")
    return _env_class()(Driver(env, params, seed), metadata_of(env, render_mode), render_mode)


def metadata_of(env: Environment, render_mode: str | None) -> dict[str, Any]:
    """Return the metadata of an export to PettingZoo.

    Raises:
        MissingCapabilityError: if the environment cannot be drawn in this mode.
    """
    name = env.spec.id if env.spec else type(env).__name__
    return {**render_metadata(env.capabilities, render_mode), "name": name}


class _ParallelEnv(Copied):
    """The methods, in front of those of PettingZoo's class."""

    def __init__(self, driver: Driver, metadata: dict[str, Any], render_mode: str | None) -> None:
        self.driver, self.metadata, self.render_mode = driver, metadata, render_mode
        env: Any = driver.env
        self.possible_agents = list(env.agents)
        self.agents: list[str] = []
        self._seen = [space_of(driver.observations, env, agent) for agent in env.agents]
        self._taken = [space_of(driver.actions, env, agent) for agent in env.agents]
        self.observation_spaces = self._by_name(
            [spaces.to_gymnasium(with_mask(space)) for space in self._seen]
        )
        self.action_spaces = self._by_name([spaces.to_gymnasium(space) for space in self._taken])

    def observation_space(self, agent: str) -> Any:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        if seed is not None:
            self.driver.seed(seed)
        obs = self.driver.reset()
        self.agents = list(self.possible_agents)
        return self._observed(obs), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        check_reset(self.driver, "to_pettingzoo")
        action = self._together(actions)
        if not actions:
            return {}, {}, {}, {}, {}
        obs, reward, terminated, truncated, info = self.driver.step(action)
        told = (
            self._observed(obs),
            self._of_live([float(each) for each in reward]),
            self._of_live(terminated.tolist()),
            self._of_live(truncated.tolist()),
            {agent: dict(info) for agent in self.agents},
        )
        done = self._by_name((terminated | truncated).tolist())
        self.agents = [agent for agent in self.agents if not done[agent]]
        return told

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        check_reset(self.driver, "to_pettingzoo")
        return self.driver.render()

    def close(self) -> None:
        self.driver.close()

    def _together(self, actions: dict[str, Any]) -> Any:
        """Combine the actions of all agents; for agents that left, use the one nearest to zero."""
        if set(actions) != set(self.agents):
            wanted = ", ".join(self.agents) or "none: all are done, and reset starts an episode"
            raise InvalidActionError(
                f"step takes the actions of the agents that are live ({wanted}), and got those of "
                f"{', '.join(map(str, actions)) or 'none'}."
            )
        each = {}
        for agent, space in zip(self.possible_agents, self._taken, strict=True):
            if agent not in actions:
                each[agent] = jax.tree.map(zero_of, tree_of(space))
                continue
            try:
                each[agent] = map_space(_of_form, space, actions[agent])
            except (TypeError, ValueError, KeyError) as error:
                raise InvalidActionError(
                    f"the action {actions[agent]!r} of {agent} does not fit {space}: {error}"
                ) from error
        env: Any = self.driver.env
        return together(each, env)

    def _observed(self, obs: Any) -> dict[str, Any]:
        return {agent: self._of(agent, obs) for agent in self.agents}

    def _of(self, agent: str, obs: Any) -> Any:
        env: Any = self.driver.env
        space = self._seen[self.possible_agents.index(agent)]
        return with_mask(map_space(observed, space, part_of(obs, env, agent)))

    def _by_name(self, each: list[Any]) -> dict[str, Any]:
        return dict(zip(self.possible_agents, each, strict=True))

    def _of_live(self, each: list[Any]) -> dict[str, Any]:
        by_name = self._by_name(each)
        return {agent: by_name[agent] for agent in self.agents}


@functools.cache
def _env_class() -> Any:
    library: Any = load("pettingzoo", "pettingzoo", "to_pettingzoo")

    class EnvHubParallelEnv(_ParallelEnv, library.ParallelEnv):  # type: ignore[misc]
        """An environment of envhub; see `envhub.export.to_pettingzoo`."""

        class_of = staticmethod(_env_class)

    return EnvHubParallelEnv


def _of_form(space: Any, leaf: Any) -> Any:
    array = np.asarray(leaf)
    if array.shape != space.shape:
        raise ValueError(f"its shape is {array.shape}, not {space.shape}")
    return array


def with_mask(seen: Any) -> Any:
    """Return one agent's observation, or its space, with a mask in PettingZoo's form."""
    rest, mask = mask_apart(seen)
    if mask is None:
        return seen
    if isinstance(seen, spaces.Dict):
        return spaces.Dict({"observation": rest, MASK: spaces.Box(0, 1, mask.shape, np.int8)})
    return {"observation": rest, MASK: mask.astype(np.int8)}
