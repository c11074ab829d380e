"""Continuous actions as discrete actions."""

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
    """Divides the range of each number of an action into equal bins, and takes bin indices.

    The environment gets the centre of the bin. An action is `Discrete`, one index for the bins of
    all numbers in row-major order (the last varies fastest), or `MultiDiscrete` with the shape of
    the environment's own actions. An index out of range stands for the nearest bin.

    The range is that under the params of the call. The end of an episode changes nothing.

    Args:
        env: the environment.
        bins: the number of bins, at least 1: one number for all, or a sequence with one for each.
        multidiscrete: whether actions are `MultiDiscrete`.

    Raises:
        InvalidOptionError: if the action space is not a bounded `Box` of floats, or `bins` does not
            fit it; or, for `Discrete`, if there are too many actions for an int32 or several
            agents.

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
