"""The environment: agents by place or by name, and limits apart from ends."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._agents import ObservationAgents
from envhub._foreign import quiet
from envhub._nonempty import NonEmpty
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.params import params_dataclass

from .ends import ENDED
from .facts import LIMITS, ONE_STEP_LATE
from .pictures import PICTURES


@params_dataclass
class StepsParams:
    """What can change from call to call.

    Attributes:
        max_steps: int32[], the step at which an episode is truncated.
    """

    max_steps: Any


@params_dataclass
class LengthParams:
    """What can change from call to call in MABrax.

    Attributes:
        episode_length: int32[], the step at which an episode is truncated, counted in physics
            actions: each `step` counts `action_repeat`.
    """

    episode_length: Any


class JaxMarlEnvironment(Environment):
    """An environment of JaxMARL, with JaxMARL's own state."""

    def __init__(self, env: Any, params: Any, capabilities: Capabilities, family: str) -> None:
        super().__init__(env, params, capabilities)
        self.family = family
        self.num_agents = env.num_agents
        self.agents = tuple(map(str, env.agents))  # those of STORM are numbers

    @functools.cached_property
    def observation_agents(self) -> ObservationAgents:
        if self.num_agents == 1:
            return "none"
        first, *others = zip(self._views.values(), self._choices.values(), strict=True)
        return "leading" if all(other == first for other in others) else "by_name"

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        with quiet():
            obs, state = self._under(params).reset(key)
        return self._joined(self._parts(obs, state)), NonEmpty(state)  # MPE's `c` may be empty

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        env, before = self._under(params), state.tree
        by_name = action if self.observation_agents == "by_name" else self.by_agent(action)
        actions = [by_name[name] for name in self.agents]
        with quiet():  # jaxnav 0.2.0 prints discrete actions while it is traced
            obs, after, rewards, dones, info = env.step_env(key, before, _own(env, actions))
        terminated = _vector(env, dones) | dones["__all__"]
        truncated = jnp.zeros_like(terminated)
        if params is not None:
            ended = ENDED[self.family](env, before, after, actions)
            terminated = jnp.broadcast_to(ended, truncated.shape)
            truncated = (_steps(after) >= self._limit(params)) & ~terminated
        return StepResult(
            obs=self._joined(self._parts(obs, after)),
            state=NonEmpty(after),
            reward=_vector(env, rewards),
            terminated=terminated,
            truncated=truncated,
            info=info,
        )

    def limit(self, params: Any) -> Any:
        if isinstance(params, LengthParams):
            return -(-params.episode_length // self.unwrapped.action_repeat)
        return super().limit(params)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self._space(self._views)

    def action_space(self, params: Any = None) -> spaces.Space:
        return self._space(self._choices)

    def render_env(self, state: Any, params: Any) -> Any:
        with quiet():
            return PICTURES[self.family](self.unwrapped, state.tree)

    @functools.cached_property
    def _views(self) -> dict[str, spaces.Space]:
        """The space of what each agent sees. JaxMARL's own say little: see `_view`."""
        env = self.unwrapped
        with quiet():
            parts = jax.eval_shape(lambda key: self._parts(*env.reset(key)), jax.random.key(0))
        declared = map(env.observation_space, env.agents)
        return {name: _view(parts[name], own) for name, own in zip(parts, declared, strict=True)}

    @functools.cached_property
    def _choices(self) -> dict[str, spaces.Space]:
        """The space of the actions of each agent."""
        env = self.unwrapped
        own = map(env.action_space, env.agents)
        return dict(zip(self.agents, map(_choice, own), strict=True))

    def _space(self, of_agents: Mapping[str, spaces.Space]) -> spaces.Space:
        if self.observation_agents == "by_name":
            return spaces.Dict(of_agents)
        one = of_agents[self.agents[0]]
        return one if self.num_agents == 1 else spaces.batch(one, self.num_agents)

    def _joined(self, parts: dict[str, Any]) -> Any:
        return parts if self.observation_agents == "by_name" else self.stack_agents(parts)

    def _parts(self, obs: Any, state: Any) -> dict[str, Any]:
        """What each agent sees, with its legal actions and what all see where the suite has it."""
        env = self.unwrapped
        parts, more = _apart(env, obs), dict[str, Sequence[Any]]()
        if masks := _masks(env, state):
            more["action_mask"] = masks
        if isinstance(obs, Mapping) and "world_state" in obs:  # SMAX's
            more["world_state"] = [obs["world_state"]] * env.num_agents
        if more:
            rows = zip(parts, *more.values(), strict=True)
            parts = [dict(zip(("observation", *more), row, strict=True)) for row in rows]
        return dict(zip(self.agents, parts, strict=True))

    def _limit(self, params: Any) -> Any:
        return getattr(params, LIMITS[self.family])

    def _under(self, params: Any) -> Any:
        """The suite's environment, with the limit of the params."""
        env = self.unwrapped
        if params is None:
            return env
        limit = {LIMITS[self.family]: self._limit(params) - (self.family in ONE_STEP_LATE)}
        inner = {"MABrax": "env", "SMAX": "_env"}.get(self.family, "")
        if inner in vars(env):
            return replaced(env, **{inner: replaced(vars(env)[inner], **limit)})
        return replaced(env, **limit)


def under_contract(own: Any, family: str, capabilities: Capabilities) -> JaxMarlEnvironment:
    """Return an environment of JaxMARL under the contract."""
    params: Any = None
    if family == "MABrax":
        params = LengthParams(np.int32(own.episode_length))
    elif family in LIMITS:
        params = StepsParams(np.int32(own.max_steps + (family in ONE_STEP_LATE)))
    return JaxMarlEnvironment(own, params, capabilities, family)


def replaced(own: Any, **attributes: Any) -> Any:
    """Return a copy with other attributes.

    `copy.copy` of an environment with a scripted enemy recurses for ever (SMAX, 0.2.0).
    """
    other = object.__new__(type(own))
    vars(other).update(vars(own), **attributes)
    return other


def _own(env: Any, actions: Sequence[Any]) -> Any:
    """Actions as the suite's step takes them: STORM's by place, others by name."""
    is_by_place = isinstance(env.agents[0], int)
    return tuple(actions) if is_by_place else dict(zip(env.agents, actions, strict=True))


def _apart(env: Any, obs: Any) -> Sequence[Any]:
    """What the suite shows each agent, in the order of the agents."""
    places = range(env.num_agents)
    if not isinstance(obs, Mapping):  # storm_2p, storm_np
        return [obs[place] for place in places]
    if env.agents[0] in obs:
        return [obs[agent] for agent in env.agents]
    seen, held = obs["observations"], obs["inventory"].T  # storm, whose agents come second there
    return [{"observations": seen[place], "inventory": held[place]} for place in places]


def _masks(env: Any, state: Any) -> Sequence[Any] | None:
    """The legal actions of each agent, bool[n], where the suite has them."""
    sizes = [getattr(env.action_space(agent), "n", None) for agent in env.agents]
    legal = getattr(env, "get_legal_moves", env.get_avail_actions)  # Hanabi has its own
    try:
        masks = [legal(state)[agent] for agent in env.agents] if None not in sizes else []
    except NotImplementedError:
        return None
    # That of jaxnav is about the parts of a continuous action (0.2.0).
    is_one = [mask.shape for mask in masks] == [(size,) for size in sizes]
    return [mask.astype(bool) for mask in masks] if is_one else None


def _vector(env: Any, values: Any) -> jax.Array:
    """Rewards or flags in the order of the agents. STORM has a flag for all of them only."""
    if isinstance(values, Mapping):
        values = [values.get(agent, values.get("__all__")) for agent in env.agents]
    return jnp.stack(list(values))


def _steps(after: Any) -> Any:
    if hasattr(after, "pipeline_state"):  # brax's
        return after.info["steps"]
    return getattr(after, "state", after).step


def _view(seen: Any, declared: Any) -> spaces.Space:
    """The space of what is seen, with the suite's bounds if those are of an array of that size.

    The sizes, shapes and dtypes that JaxMARL declares are wrong in facmac, Overcooked, Hanabi, the
    coin game and STORM (0.2.0).
    """
    if isinstance(seen, Mapping):
        parts = declared if isinstance(declared, Mapping) else {"observation": declared}
        return spaces.Dict({name: _view(seen[name], parts.get(name)) for name in seen})
    shape, dtype = seen.shape, seen.dtype
    if hasattr(declared, "num_categories"):
        return spaces.MultiDiscrete(np.asarray(declared.num_categories), dtype)
    if declared is not None and np.prod(declared.shape) == np.prod(shape):
        return spaces.Box(np.asarray(declared.low), np.asarray(declared.high), shape, dtype)
    if dtype.kind == "b":
        return spaces.Box(False, True, shape, np.bool_)
    if dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, shape, dtype)
    return spaces.Box(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype)


def _choice(declared: Any) -> spaces.Space:
    if hasattr(declared, "n"):
        return spaces.Discrete(int(declared.n))
    low, high = np.asarray(declared.low), np.asarray(declared.high)
    return spaces.Box(low, high, declared.shape, np.float32)
