"""Rewards scaled by the standard deviation of returns."""

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
    """A state and the statistics that scale the next reward.

    Attributes:
        env: the state of the inner environment.
        statistics: the statistics of the discounted returns so far.
        discounted_return: float32[], the return of the episode so far; for several agents
            float32[num_agents].
        done: bool[], whether the episode ended.
    """

    env: Any
    statistics: Statistics
    discounted_return: jax.Array
    done: jax.Array


class NormalizeReward(StatisticsWrapper):
    """Divides rewards by the standard deviation of discounted returns, without shifting the mean.

    At each step, the return becomes `gamma` times the previous return plus the reward. It restarts
    when an episode ends, by either flag. Gymnasium's wrapper (up to 1.3) restarts it in the step
    that terminates, which is one step too early, and never restarts it at a truncation; otherwise
    they agree. For several agents, each has its own return. Put it outside `AutoReset`; with mode
    `"next_step"`, the steps that reset are not counted.

    The state holds the statistics, as `state.statistics`. To use the statistics of a training run,
    use `NormalizeReward(env, statistics=state.statistics, update=False)`. For a batch, take one
    lane, `jax.tree.map(lambda leaf: leaf[0], state.statistics)`: with an `axis_name`, all lanes are
    equal.

    Args:
        env: the environment.
        gamma: the discount, from 0 to 1.
        epsilon: added to the variance.
        axis_name: the name of the axis of a surrounding `jax.vmap`, or a tuple of names, over which
            the statistics are shared (`make_vec` names its axis `"envs"`); by default each lane has
            its own.
        statistics: the statistics with which `reset` begins; the arrays may be traced.
        update: whether to update the statistics.

    Raises:
        InvalidOptionError: if `gamma` is not from 0 to 1, `epsilon` is not positive, or
            `statistics` has another structure.

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
