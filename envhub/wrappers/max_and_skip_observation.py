"""One action for several steps, of which the last two are seen."""

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
    """Takes the same action several times, and shows the greater of the last two observations.

    That is element by element, for pictures in which things flicker; rewards, flags and the end of
    an episode are as in `RepeatAction`. Where an episode ends in the first of the steps, there is
    one observation, which is shown. (Gymnasium's wrapper, up to 1.3, shows those of an earlier
    action wherever an episode ends early.)

    Args:
        env: the environment, of one agent; `ale::` environments have to be made with
            `frameskip=1`, for by default they do this themselves or skip frames.
        skip: how many steps, at least 2.

    Raises:
        InvalidOptionError: if that is not such an integer, if observations are not arrays
            (`Box`); and as `RepeatAction`.

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
