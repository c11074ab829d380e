"""Observations normalised to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.spaces._trees import space_of, tree_of
from envhub.wrappers._statistics import Statistics, StatisticsWrapper


class Normalized(NamedTuple):
    """A state and the statistics of the observations so far."""

    env: Any
    statistics: Statistics


class NormalizeObservation(StatisticsWrapper):
    """Normalises observations by their running mean and standard deviation: float32.

    Every array (`Box`) of floats or integers is normalised, each element by itself; the other parts
    of a `Dict` or `Tuple` are unchanged. Mean and variance cover all observations since `reset`,
    including the current one: those of resets and steps and the final observation of each episode,
    each once. So put it outside `AutoReset`. With mode `"same_step"`, both `obs` and
    `info["final_obs"]` are normalised by the statistics after the step.

    The state holds the statistics, as `state.statistics`. To evaluate with the statistics of a
    training run, use `NormalizeObservation(env, statistics=state.statistics, update=False)`. For a
    batch, take one lane, `jax.tree.map(lambda leaf: leaf[0], state.statistics)`: with an
    `axis_name`, all lanes are equal.

    Args:
        env: the environment.
        epsilon: added to the variance.
        axis_name: the name of the axis of a surrounding `jax.vmap`, or a tuple of names, over which
            the statistics are shared (`make_vec` names its axis `"envs"`); by default each lane has
            its own.
        statistics: the statistics with which `reset` begins; the arrays may be traced.
        update: whether to update the statistics.

    Raises:
        InvalidOptionError: if the observation has no array of numbers, `epsilon` is not positive,
            or `statistics` has another structure.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[NormalizeObservation])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> int(env.step(jax.random.key(1), state, 1, params).state.statistics.count)
        2
    """

    def __init__(
        self,
        env: Environment,
        epsilon: float = 1e-8,
        axis_name: Hashable = None,
        statistics: Statistics | None = None,
        update: bool = True,
    ) -> None:
        with jax.ensure_compile_time_eval():
            space = env.observation_space(env.default_params)
        like = jax.tree.map(
            lambda leaf: np.zeros(leaf.shape, np.float32) if _is_number(leaf) else None,
            tree_of(space),
        )
        if not jax.tree.leaves(like):
            raise InvalidOptionError(
                f"NormalizeObservation needs array (Box) observations; got {space}."
            )
        super().__init__(env, like, epsilon, axis_name, statistics, update)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        statistics = self.updated(self.first_statistics(), _stack(obs), jnp.array([True]))
        return self._normalized(obs, statistics), Normalized(state, statistics)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, params)
        obs, info = result.obs, result.info
        if "final_obs" in info:  # of an `AutoReset` inside: where an episode ended, there are two
            seen = _stack(info["final_obs"], obs)
            counts = jnp.array([True, jnp.all(result.done)])
        else:
            seen, counts = _stack(obs), jnp.array([True])
        statistics = self.updated(state.statistics, seen, counts)
        if "final_obs" in info:
            info = {**info, "final_obs": self._normalized(info["final_obs"], statistics)}
        return result._replace(
            obs=self._normalized(obs, statistics),
            state=Normalized(result.state, statistics),
            info=info,
        )

    def observation_space(self, params: Any = None) -> spaces.Space:
        def shown(leaf: Any) -> Any:
            return spaces.Box(-np.inf, np.inf, leaf.shape) if _is_number(leaf) else leaf

        return space_of(jax.tree.map(shown, tree_of(self.env.observation_space(params))))

    def _normalized(self, obs: Any, statistics: Statistics) -> Any:
        def normalized(mean: Any, variance: Any, leaf: Any) -> Any:
            if mean is None:
                return leaf
            return (leaf.astype(jnp.float32) - mean) / jnp.sqrt(variance + self.epsilon)

        mean, variance, _ = statistics
        return jax.tree.map(normalized, mean, variance, obs, is_leaf=lambda leaf: leaf is None)


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, spaces.Box) and leaf.dtype.kind in "iuf"


def _stack(*observations: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *observations)
