"""Rewards on the scale of returns."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub.environment import Environment, StepResult
from envhub.wrappers._options import check_discount
from envhub.wrappers._statistics import Statistics, StatisticsWrapper
from envhub.wrappers.autoreset import AutoReset


class Scaled(NamedTuple):
    """A state, and what the next reward is divided by.

    Attributes:
        env: the state of the environment inside.
        statistics: of the discounted returns so far.
        discounted_return: float32[], of the episode's rewards so far; of several agents
            float32[num_agents].
        done: bool[], whether the episode ended.
    """

    env: Any
    statistics: Statistics
    discounted_return: jax.Array
    done: jax.Array


class NormalizeReward(StatisticsWrapper):
    """Divides rewards by the standard deviation of discounted returns; their mean stays.

    The return is that of the rewards up to now, `gamma` times what it was and the reward, and
    restarts when an episode ends, by either flag. Gymnasium's wrapper (to 1.3) restarts it in the
    step that terminates, one too early, and not at all where an episode is truncated; the rest is
    as there. Of several agents each has its own. Put it outside of `AutoReset`; the steps of a
    `"next_step"` one that reset are not counted.

    The statistics are in the state, as `state.statistics`. To use those of a training:
    `NormalizeReward(env, statistics=state.statistics, update=False)`. Of a batch, take one lane of
    them, `jax.tree.map(lambda leaf: leaf[0], state.statistics)`: with an `axis_name` all lanes have
    the same.

    Args:
        env: the environment.
        gamma: the discount, from 0 to 1.
        epsilon: added to the variance.
        axis_name: the name of the axis of a surrounding `jax.vmap`, or a tuple of such, over which
            the statistics are shared (`make_vec` calls its axis `"envs"`); by default each lane has
            its own.
        statistics: those that `reset` begins with, arrays that may be traced.
        update: whether they are updated.

    Raises:
        InvalidOptionError: if `gamma` is not from 0 to 1, if `epsilon` is not positive, or if the
            statistics are of something else.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[NormalizeReward])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).state.discounted_return)
        1.0
    """

    checks = {**StatisticsWrapper.checks, "gamma": check_discount}  # noqa: RUF012

    def __init__(
        self,
        env: Environment,
        gamma: float = 0.99,
        epsilon: float = 1e-8,
        axis_name: Hashable = None,
        statistics: Statistics | None = None,
        update: bool = True,
    ) -> None:
        self._no_return = np.zeros(() if env.num_agents == 1 else env.num_agents, np.float32)
        super().__init__(env, self._no_return, epsilon, axis_name, statistics, update)
        self.gamma = gamma
        inside = self.find(AutoReset)
        self._is_reset_by_a_step = inside is not None and inside.mode == "next_step"

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        nothing = jnp.asarray(self._no_return)
        return obs, Scaled(state, self.first_statistics(), nothing, jnp.bool_(False))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, params)
        discounted = state.discounted_return * self.gamma + result.reward
        counts = ~state.done if self._is_reset_by_a_step else jnp.bool_(True)
        statistics = self.updated(state.statistics, discounted[None], counts[None])
        going_on = jnp.where(result.done, 0, discounted)
        after = Scaled(result.state, statistics, going_on, jnp.all(result.done))
        scale = jnp.sqrt(statistics.variance + self.epsilon)
        return result._replace(state=after, reward=result.reward / scale)
