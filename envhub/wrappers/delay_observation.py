"""Observations that arrive some steps late."""

from __future__ import annotations

import functools
from typing import Any

import jax

from envhub.environment import Environment
from envhub.spaces._trees import tree_of, zero_of
from envhub.wrappers._frames import FramesWrapper
from envhub.wrappers._options import check_count


class DelayObservation(FramesWrapper):
    """Shows the observation from `delay` steps earlier.

    The first `delay` observations, from the reset on, are the one nearest to zero. The state holds
    `delay` observations. The last observations of an episode are never shown, and an episode shows
    no observation of an earlier episode. A mask of legal actions (`action_mask`) is never late.

    Args:
        env: the environment.
        delay: the number of steps, 0 or more.

    Raises:
        InvalidOptionError: if `delay` is not such a number; and the errors of `EpisodeWrapper`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[DelayObservation(delay=1)])
        >>> env.reset(jax.random.key(0), params)[0].tolist()
        [0.0, 0.0, 0.0, 0.0]
    """

    checks = {"delay": functools.partial(check_count, at_least=0)}  # noqa: RUF012

    def __init__(self, env: Environment, delay: int) -> None:
        with jax.ensure_compile_time_eval():
            space = env.observation_space(env.default_params)
        capabilities = env.capabilities
        if delay:
            capabilities = capabilities.without(
                differentiable="DelayObservation shows the next observation later, so the "
                "observation of this step has no gradient with respect to the action; delay=0 "
                "keeps it."
            )
        padding = jax.tree.map(zero_of, tree_of(space))
        super().__init__(env, int(delay), padding, capabilities=capabilities)
        self.delay = int(delay)

    def shown(self, frames: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[0], frames)
