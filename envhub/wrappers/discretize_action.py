"""Continuous actions as a choice among some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._options import check_bins, check_flag
from envhub.wrappers.flatten_action import flattened
from envhub.wrappers.transform_action import BoxAction


class DiscretizeAction(BoxAction):
    """Cuts the range of each number of an action into equal bins, and takes the number of a bin.

    The environment gets the centre of the bin. An action is `Discrete`, the bins of all numbers in
    row-major order (the last varies first), or `MultiDiscrete` of the shape of the environment's
    own. Of a bin beyond the last, or before the first, the nearest is taken.

    The range is that under the params in force. The end of an episode changes nothing.

    Args:
        env: the environment.
        bins: how many, at least 1: of each number, or a sequence with one for each.
        multidiscrete: whether actions are `MultiDiscrete`.

    Raises:
        InvalidOptionError: if the actions are not a bounded `Box` of floats, if `bins`
            does not fit them, or if as `Discrete` they are too many for an int32 or those of
            several agents.

    Examples:
        >>> env, params = envhub.make("gymnax::Pendulum-v1", wrappers=[DiscretizeAction(bins=5)])
        >>> env.action_space()
        Discrete(5)
    """

    checks = {"bins": check_bins, "multidiscrete": check_flag}  # noqa: RUF012

    def __init__(
        self, env: Environment, bins: int | Sequence[int], multidiscrete: bool = False
    ) -> None:
        inner = self._box_of(env, env.default_params)
        if not (np.isfinite(inner.low).all() and np.isfinite(inner.high).all()):
            raise InvalidOptionError(f"DiscretizeAction needs finite bounds; got {inner}.")
        counts = np.asarray(bins)
        if counts.shape != () and counts.size != inner.low.size:
            raise InvalidOptionError(
                f"bins must be a positive integer, or {inner.low.size} of them, got {bins!r}."
            )
        counts = np.broadcast_to(counts.ravel(), inner.low.size).reshape(inner.shape)
        space = spaces.MultiDiscrete(counts)

        def center(bin_numbers: Any, low: Any, high: Any) -> jax.Array:
            number = jnp.clip(bin_numbers, 0, counts - 1)
            # Rounding must not lead out of the bounds.
            return jnp.clip(low + (number + 0.5) * ((high - low) / counts), low, high)

        if multidiscrete:
            super().__init__(env, center, space)
        else:
            flat, parts_of = flattened(env, space)
            super().__init__(env, lambda action, *ends: center(parts_of(action), *ends), flat)
        self.capabilities = env.capabilities.without(
            differentiable="DiscretizeAction takes integers."
        )
