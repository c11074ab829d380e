"""Running means and variances, and what wrappers that normalise by them share."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from envhub.environment import Environment
from envhub.errors import InvalidOptionError, brief
from envhub.wrappers._base import Wrapper
from envhub.wrappers._options import check_flag, check_positive, or_none

PRIOR = 1e-4  # what the mean 0 and the variance 1 count for, as in Gymnasium


class Statistics(NamedTuple):
    """Mean and variance of all that was seen, each element of an array by itself.

    Attributes:
        mean: float32 arrays, in a pytree of the structure of what is normalised; `None` in the
            place of what is shown as it is.
        variance: likewise; of the population, as NumPy's `var`.
        count: float32[], how many were seen, and 0.0001 more.
    """

    mean: Any
    variance: Any
    count: Any


def _check_axis_name(name: str, value: Any) -> None:
    names = value if isinstance(value, tuple) else (value,)
    # JAX takes a number for an axis of the array.
    if any(isinstance(each, int) or not isinstance(each, Hashable) for each in names):
        raise InvalidOptionError(f"{name} must be a name or a tuple of names, got {value!r}.")


def _check_kind(name: str, value: Any) -> None:
    if not isinstance(value, Statistics):
        raise InvalidOptionError(
            f"{name} must be the state.statistics of a state of this wrapper, got {brief(value)}."
        )


class StatisticsWrapper(Wrapper):
    """Normalises by statistics of what it has seen, which go on from episode to episode.

    They are float32, updated in the way of Welford and Chan, which loses no digits to large means.
    After some 10^7 updates a new one is too small to count. No gradient flows through them.

    Args:
        env: the environment.
        like: the pytree of what is normalised, as `Statistics` has it.
        epsilon: added to variances.
        axis_name: the name of the axis of a surrounding `jax.vmap`, or a tuple of such, over which
            the statistics are shared; by default each lane has its own.
        statistics: those to begin with, at each `reset`.
        update: whether to update them.

    Raises:
        InvalidOptionError: if `epsilon` is not positive, or the statistics are of something else.
    """

    spans_episodes = True
    checks = {  # noqa: RUF012
        "epsilon": check_positive,
        "axis_name": _check_axis_name,
        "statistics": or_none(_check_kind),
        "update": check_flag,
    }

    def __init__(
        self,
        env: Environment,
        like: Any,
        epsilon: float,
        axis_name: Hashable,
        statistics: Statistics | None,
        update: bool,
    ) -> None:
        capabilities = env.capabilities
        if update and axis_name is not None:
            capabilities = capabilities.without(
                vmap_safe=f"all lanes of the axis {axis_name!r} share the statistics, so "
                "each lane changes the others; axis_name=None keeps them separate, and "
                "update=False "
                "changes nothing."
            )
        super().__init__(env, capabilities=capabilities)
        self.epsilon, self.axis_name, self.update = float(epsilon), axis_name, update
        fresh = Statistics(
            jax.tree.map(np.zeros_like, like), jax.tree.map(np.ones_like, like), np.float32(PRIOR)
        )
        self._first = fresh if statistics is None else _checked(statistics, fresh)

    def inner_state(self, state: Any) -> Any:
        return state.env

    def first_statistics(self) -> Statistics:
        """Those of a reset, before anything was seen."""
        first: Statistics = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self._first)
        return first

    def updated(self, statistics: Statistics, seen: Any, counts: jax.Array) -> Statistics:
        """The statistics with what was seen, on a leading axis, of which some may not count.

        Args:
            statistics: those before.
            seen: what was seen.
            counts: bool[n], which of it counts.

        Raises:
            InvalidOptionError: if there is no axis of the name.
        """
        if not self.update:
            return statistics
        psum: Any = lax.psum

        def total(values: jax.Array) -> jax.Array:
            shape = (-1, *[1] * (values.ndim - 1))
            added = jnp.where(counts.reshape(shape), values, 0).sum(0)
            return added if self.axis_name is None else psum(added, self.axis_name)

        try:
            number = total(jnp.ones(counts.shape, jnp.float32))
        except NameError as error:
            raise InvalidOptionError(
                f"axis_name={self.axis_name!r} is not an axis here. Call reset and step inside "
                f"jax.vmap(…, axis_name={self.axis_name!r}); make_vec calls its axis 'envs'."
            ) from error
        divisor, count = jnp.maximum(number, 1), statistics.count + number
        share, kept = number / count, statistics.count / count
        values = jax.tree.map(
            lambda mean, leaf: None if mean is None else leaf.astype(jnp.float32),
            statistics.mean,
            lax.stop_gradient(seen),
            is_leaf=_is_none,
        )
        means = jax.tree.map(lambda leaf: total(leaf) / divisor, values)
        variances = jax.tree.map(
            lambda leaf, mean: total((leaf - mean) ** 2) / divisor, values, means
        )
        moved = jax.tree.map(lambda new, old: new - old, means, statistics.mean)
        return Statistics(
            jax.tree.map(lambda old, by: old + share * by, statistics.mean, moved),
            jax.tree.map(
                lambda old, new, by: old + share * (new - old + kept * by**2),
                statistics.variance,
                variances,
                moved,
            ),
            count,
        )


def _checked(statistics: Any, fresh: Statistics) -> Any:
    def form(tree: Any) -> Any:
        return jax.tree.structure(tree), [np.shape(leaf) for leaf in jax.tree.leaves(tree)]

    if form(statistics) != form(fresh):
        raise InvalidOptionError(
            f"these statistics have other shapes: expected {_shapes(fresh)}, got "
            f"{_shapes(statistics)}. Those of one lane of a batch are "
            "jax.tree.map(lambda leaf: leaf[0], state.statistics)."
        )
    return statistics


def _shapes(tree: Any) -> str:
    return str(jax.tree.map(np.shape, tree))


def _is_none(leaf: Any) -> bool:
    return leaf is None
