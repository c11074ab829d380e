"""Running means and variances, and the base of wrappers that normalise by them."""

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
    """The running mean and variance of each element.

    Attributes:
        mean: float32 arrays, in a pytree with the structure of the normalised values; `None` for
            parts that are not normalised.
        variance: the population variance (as NumPy's `var`), with the same structure.
        count: float32[], the number of values seen, plus 0.0001.
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
    """Normalises values by running statistics, which continue from episode to episode.

    The statistics are float32 and updated by the method of Welford and Chan, which keeps its
    precision with large means. After about 10^7 updates, a new value is too small to count. No
    gradient flows through the statistics.

    Args:
        env: the environment.
        like: the pytree of the normalised values, in the structure of `Statistics`.
        epsilon: added to variances.
        axis_name: the name of the axis of a surrounding `jax.vmap`, or a tuple of names, over which
            the statistics are shared; by default each lane has its own.
        statistics: the statistics with which each `reset` begins.
        update: whether to update the statistics.

    Raises:
        InvalidOptionError: if `epsilon` is not positive, or `statistics` has another structure.
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
        """Return the statistics of a reset, before any value was seen."""
        first: Statistics = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self._first)
        return first

    def updated(self, statistics: Statistics, seen: Any, counts: jax.Array) -> Statistics:
        """Return the statistics updated with new values on a leading axis, of which some count.

        Args:
            statistics: the statistics before the update.
            seen: the new values.
            counts: bool[n], which of the new values count.

        Raises:
            InvalidOptionError: if there is no axis with the name `axis_name`.
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
