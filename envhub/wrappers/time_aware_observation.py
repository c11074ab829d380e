"""Observations with the time of the episode."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._tracing import numpy_for
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.spaces._trees import leaves_of, tree_of
from envhub.wrappers._by_name import each_agent, each_space
from envhub.wrappers._episode import EpisodeWrapper
from envhub.wrappers._options import check_count, check_flag, or_none
from envhub.wrappers.time_limit import Counted


def _check_key(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidOptionError(f"{name} must be a name, got {value!r}.")


class TimeAwareObservation(EpisodeWrapper):
    """Adds the number of steps since the reset to the observation.

    The time has one element, int32[1], or float32[1] if it is normalised. For several agents, each
    agent sees it, on a leading axis or in its own observation. A `Dict` gets an entry for the time,
    a `Tuple` a last element, and an array becomes a `Dict` of `obs` and the time. Flattened, the
    observation is one axis of float32, or of int32 if all parts are integers. The time stops at the
    limit, if it is known, and restarts at 0 with each episode.

    Args:
        env: the environment.
        flatten: whether to flatten the observation to one axis of numbers.
        normalize_time: whether to divide the time by the limit, so that it is from 0 to 1.
        dict_time_key: the name of the time in a `Dict`.
        max_episode_steps: the limit; by default the environment's own, `env.episode_limit(params)`.

    Raises:
        InvalidOptionError: if the time is normalised and there is no limit, the limit is not a
            positive integer, the name is taken, or `flatten` meets something other than arrays
            (`Box`); and the errors of `EpisodeWrapper`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[TimeAwareObservation])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).obs[-1])
        1.0
    """

    checks = {  # noqa: RUF012
        "flatten": check_flag,
        "normalize_time": check_flag,
        "dict_time_key": _check_key,
        "max_episode_steps": or_none(check_count),
    }

    def __init__(
        self,
        env: Environment,
        flatten: bool = True,
        normalize_time: bool = False,
        dict_time_key: str = "time",
        max_episode_steps: int | None = None,
    ) -> None:
        super().__init__(env)
        if max_episode_steps is None and normalize_time and env.episode_limit() is None:
            raise InvalidOptionError(
                f"normalize_time=True needs an episode limit, and {env} has none: give "
                "max_episode_steps=, or put a TimeLimit inside."
            )
        self.flatten, self.normalize_time = flatten, normalize_time
        self.dict_time_key, self.max_episode_steps = dict_time_key, max_episode_steps
        self._agents = (self.num_agents,) if self.observation_agents == "leading" else ()
        with jax.ensure_compile_time_eval():
            space = env.observation_space(env.default_params)
        each_agent(self, self._refuse_taken_key, space)
        leaves = leaves_of(space)
        if flatten and not all(isinstance(leaf, spaces.Box) for leaf in leaves):
            raise InvalidOptionError(
                f"only array (Box) observations can be flattened; got {space}. Set flatten=False."
            )
        has_floats = normalize_time or any(leaf.dtype.kind == "f" for leaf in leaves)
        self._dtype = np.dtype(np.float32 if has_floats else np.int32)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        after = Counted(state, jnp.int32(0))
        return self._shown(obs, after.steps, params), after

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, params)
        after = Counted(result.state, state.steps + 1)
        return result._replace(obs=self._shown(result.obs, after.steps, params), state=after)

    def observation_space(self, params: Any = None) -> spaces.Space:
        shape, space = (*self._agents, 1), self.env.observation_space(params)
        limit = self._limit(self.default_params if params is None else params)
        limit = np.iinfo(np.int32).max if limit is None else numpy_for(params).max(limit)
        is_float = self.normalize_time
        time = spaces.Box(0, 1, shape) if is_float else spaces.Box(0, limit, shape, np.int32)
        return each_space(self, functools.partial(self._space_with, time), space)

    def _space_with(self, time: spaces.Box, space: spaces.Space) -> spaces.Space:
        if not self.flatten:
            together = self._with_time(space, time)
            return (spaces.Tuple if isinstance(together, tuple) else spaces.Dict)(together)
        leaves = jax.tree.leaves(self._with_time(tree_of(space), time))
        ends = [[self._flat(getattr(leaf, end)) for leaf in leaves] for end in ("low", "high")]
        low, high = (numpy_for(bounds).concatenate(bounds, -1) for bounds in ends)
        return spaces.Box(low, high, low.shape, self._dtype)

    def _shown(self, obs: Any, steps: jax.Array, params: Any) -> Any:
        limit = self._limit(params)
        time = steps if limit is None else jnp.minimum(steps, limit)
        if self.normalize_time and limit is not None:
            time = time.astype(jnp.float32) / limit
        time = jnp.broadcast_to(time, (*self._agents, 1))
        return each_agent(self, functools.partial(self._observation_with, time), obs)

    def _observation_with(self, time: jax.Array, obs: Any) -> Any:
        together = self._with_time(obs, time)
        if not self.flatten:
            return together
        return jnp.concatenate([self._flat(leaf) for leaf in jax.tree.leaves(together)], -1)

    def _limit(self, params: Any) -> Any:
        given = self.max_episode_steps
        return self.env.limit(params) if given is None else given

    def _refuse_taken_key(self, space: spaces.Space) -> None:
        if self.dict_time_key in (space if isinstance(space, spaces.Dict) else ("obs",)):
            raise InvalidOptionError(
                f"dict_time_key={self.dict_time_key!r} is already in use in the "
                "observation. Choose another name."
            )

    def _with_time(self, obs: Any, time: Any) -> Any:
        """Combine observations and their time, or their spaces."""
        if isinstance(obs, dict | spaces.Dict):
            return {**obs, self.dict_time_key: time}
        if isinstance(obs, tuple | spaces.Tuple):
            return (*obs, time)
        return {"obs": obs, self.dict_time_key: time}

    def _flat(self, array: Any) -> Any:
        return array.reshape(*self._agents, -1).astype(self._dtype)
