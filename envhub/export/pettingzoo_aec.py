"""Export a game of turns as PettingZoo's `AECEnv`."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._agents import MASK
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.export.checks import check_reset, check_whole, load
from envhub.export.copies import Copied
from envhub.export.driver import Driver
from envhub.export.pettingzoo import metadata_of, with_mask

MOVER = "current_player"


def to_pettingzoo_aec(
    env: Environment,
    params: Any = None,
    *,
    seed: int | None = None,
    render_mode: str | None = None,
) -> Any:
    """Export a game of turns as a `pettingzoo.AECEnv`.

    The agents are `env.agents`, and `agent_selection` is the one that the environment names as
    `current_player`. The observation of an agent is `{"observation": …, "action_mask": int8[n]}`.
    The environment shows the view of the player that is to move, so `observe` gives another agent
    what that agent saw when it moved last (zeros if it has not moved yet), with an empty mask. A
    reward goes to each agent by name. Agents that are done take `None` and leave `agents`, as in
    PettingZoo's own games. The `info` of a step is the same for all agents.

    The environment decides what an illegal move does; PettingZoo's `TerminateIllegalWrapper` ends
    the game.

    `reset(seed=s)` starts the episode of `env.reset(jax.random.split(jax.random.key(s))[1])`;
    without a seed, `reset` starts the next episode. It ignores its `options`, because PettingZoo's
    `api_test` requires that it takes any options. `close()` closes the environment.

    Args:
        env: one game of turns, without `AutoReset`.
        params: the params of all calls; by default the environment's default params.
        seed: the seed of the episodes until `reset` gets one; by default it is random.
        render_mode: `"rgb_array"` to let `render()` draw: uint8[H, W, 3].

    Raises:
        InvalidOptionError: if the environment is not of this kind; `to_pettingzoo` takes agents
            that act at once.
        MissingCapabilityError: if it cannot be drawn in this mode.
        MissingDependencyError: if PettingZoo is not installed.

    Examples:
        >>> env, params = envhub.make("pgx::tic_tac_toe")
        >>> game = to_pettingzoo_aec(env, params, seed=0)
        >>> game.reset()
        >>> obs, reward, terminated, truncated, info = game.last()
        >>> obs["action_mask"]
        array([1, 1, 1, 1, 1, 1, 1, 1, 1], dtype=int8)
    """
    check_whole(env, "to_pettingzoo_aec")
    if not env.turn_based:
        other = "to_pettingzoo" if env.num_agents > 1 else "to_gymnasium"
        raise InvalidOptionError(
            f"to_pettingzoo_aec takes games of turns, and {env} is not one: {other} takes it."
        )
    seen = env.observation_space(params)
    if not isinstance(seen, spaces.Dict) or not {MASK, MOVER} <= set(seen):
        raise InvalidOptionError(
            f"to_pettingzoo_aec needs {MASK} and {MOVER} in the observation, and that of {env} is "
            f"{seen}. Leave out the wrapper that removed them."
        )
    return _env_class()(Driver(env, params, seed), metadata_of(env, render_mode), render_mode)


class _AECEnv(Copied):
    """The methods, in front of those of PettingZoo's class."""

    rewards: dict[str, float]
    _was_dead_step: Any
    _accumulate_rewards: Any
    _deads_step_first: Any

    def __init__(self, driver: Driver, metadata: dict[str, Any], render_mode: str | None) -> None:
        super().__init__()
        self.driver, self.metadata, self.render_mode = driver, metadata, render_mode
        env: Any = driver.env
        self.possible_agents, self.agents = list(env.agents), list[str]()
        seen: Any = driver.observations
        self._view = spaces.Dict({name: part for name, part in seen.items() if name != MOVER})
        shown = spaces.to_gymnasium(with_mask(self._view))
        self.observation_spaces = dict.fromkeys(env.agents, shown)
        self.action_spaces = dict.fromkeys(env.agents, spaces.to_gymnasium(driver.actions))

    def observation_space(self, agent: str) -> Any:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Any:
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        if seed is not None:
            self.driver.seed(seed)
        obs = self.driver.reset()
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos: dict[str, Any] = {agent: {} for agent in self.agents}
        self._skip_agent_selection = None
        nothing = jax.tree.map(np.zeros_like, self._of_mover(obs))
        self._views = dict.fromkeys(self.agents, nothing)
        self._turn(obs)

    def step(self, action: Any) -> None:
        check_reset(self.driver, "to_pettingzoo_aec")
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        obs, reward, terminated, truncated, info = self.driver.step(action)
        self._cumulative_rewards[agent] = 0.0
        for name, *told in zip(self.possible_agents, reward, terminated, truncated, strict=True):
            if name in self.agents:
                self.rewards[name] = float(told[0])
                self.terminations[name], self.truncations[name] = map(bool, told[1:])
                self.infos[name] = dict(info)
        self._accumulate_rewards()
        self._turn(obs)
        self._deads_step_first()

    def observe(self, agent: str) -> Any:
        view = self._views[agent]
        legal = view[MASK] if agent == self._mover else np.zeros_like(view[MASK])
        return {"observation": jax.tree.map(np.copy, view["observation"]), MASK: legal.copy()}

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        check_reset(self.driver, "to_pettingzoo_aec")
        draw: Any = self.driver.env.render
        return draw(self.driver.state, self.driver.params)

    def close(self) -> None:
        self.driver.close()

    def _turn(self, obs: Any) -> None:
        """Note who moves next, and what that player sees."""
        self._mover = self.possible_agents[int(obs[MOVER])]
        self.agent_selection = self._mover
        self._views = {**self._views, self._mover: self._of_mover(obs)}

    def _of_mover(self, obs: Any) -> Any:
        return with_mask({name: part for name, part in obs.items() if name != MOVER})


@functools.cache
def _env_class() -> Any:
    library: Any = load("pettingzoo", "pettingzoo", "to_pettingzoo_aec")

    class EnvHubAECEnv(_AECEnv, library.AECEnv):  # type: ignore[misc]
        """A game of envhub; see `envhub.export.to_pettingzoo_aec`."""

        class_of = staticmethod(_env_class)

    return EnvHubAECEnv
