"""Repeated actions, with the maximum of the last two observations."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._options import check_count
from envhub.wrappers.repeat_action import RepeatAction


class MaxAndSkipObservation(RepeatAction):
    """Repeats each action, and shows the elementwise maximum of the last two observations.

    The maximum helps with images in which objects flicker. Rewards, flags and the end of an episode
    are as in `RepeatAction`. If the episode ends in the first of the steps, its only observation is
    shown. (Gymnasium's wrapper, up to 1.3, shows those of an earlier action if an episode ends
    early.)

    Args:
        env: the environment, of one agent; make `ale::` environments with `frameskip=1`, because by
            default they do this themselves or skip frames.
        skip: the number of steps, at least 2.

    Raises:
        InvalidOptionError: if `skip` is not such an integer, or observations are not arrays
            (`Box`); and the errors of `RepeatAction`.

    Examples:
        >>> wrappers = [MaxAndSkipObservation(skip=4)]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).reward)
        4.0
    """

    checks = {"skip": functools.partial(check_count, at_least=2)}  # noqa: RUF012

    def __init__(self, env: Environment, skip: int = 4) -> None:
        super().__init__(env, skip)
        space = env.observation_space(env.default_params)
        if not isinstance(space, spaces.Box):
            raise InvalidOptionError(
                f"MaxAndSkipObservation needs array (Box) observations; got {space}."
            )

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        last = self.repeat(key, state, action, params)
        return last.result._replace(obs=jnp.maximum(last.seen, last.result.obs))
