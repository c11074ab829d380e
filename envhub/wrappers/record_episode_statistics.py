"""Records of the returns and lengths of episodes."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub.environment import Environment, StepResult
from envhub.wrappers._base import Wrapper
from envhub.wrappers.autoreset import AutoReset


class Recorded(NamedTuple):
    """A state and the record of its episode.

    Attributes:
        env: the state of the inner environment.
        episode_return: float32[], or for several agents float32[num_agents].
        length: int32[].
        done: bool[], whether the episode ended.
    """

    env: Any
    episode_return: jax.Array
    length: jax.Array
    done: jax.Array


class RecordEpisodeStatistics(Wrapper):
    """Records the return and the length of each episode.

    `info["_episode"]`, bool[], is true in the step that ends an episode. `info["episode"]` has the
    return `r`, float32[] (for several agents float32[num_agents]), and the length `l`, int32[]; in
    other steps both are those of the episode so far. The wrapper may be inside or outside an
    `AutoReset` of either mode.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[RecordEpisodeStatistics])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> int(env.step(jax.random.key(1), state, 1, params).info["episode"]["l"])
        1
    """

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        inside = self.find(AutoReset)
        self._is_reset_by_a_step = inside is not None and inside.mode == "next_step"

    def inner_state(self, state: Any) -> Any:
        return state.env

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        agents = () if self.num_agents == 1 else (self.num_agents,)
        return obs, Recorded(state, jnp.zeros(agents, jnp.float32), jnp.int32(0), jnp.bool_(False))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, params)
        before, length = (jnp.where(state.done, 0, x) for x in (state.episode_return, state.length))
        is_step = ~state.done if self._is_reset_by_a_step else True
        done = jnp.all(result.done)
        after = Recorded(
            result.state, before + result.reward, length + jnp.where(is_step, 1, 0), done
        )
        episode = {"r": after.episode_return, "l": after.length}
        info = {**result.info, "episode": episode, "_episode": done}
        return result._replace(state=after, info=info)
