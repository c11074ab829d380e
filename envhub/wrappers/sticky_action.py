"""Actions that are repeated at random."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._episode import EpisodeWrapper
from envhub.wrappers._options import check_probability, refuse_turns


class Sticking(NamedTuple):
    """A state and the last action.

    Attributes:
        env: the state of the inner environment.
        action: the last action, of the action space; zeros before the first.
        left: int32[], the number of steps for which it is still repeated; -1 before the first.
    """

    env: Any
    action: Any
    left: jax.Array


def _bounds_of(duration: Any) -> tuple[Any, ...]:
    """Return the least and the greatest duration."""
    return tuple(duration) if isinstance(duration, tuple | list) else (duration, duration)


def _check_duration(name: str, value: Any) -> None:
    bounds = _bounds_of(value)
    is_integers = len(bounds) == 2 and all(type(bound) is int for bound in bounds)
    if not is_integers or not 1 <= bounds[0] <= bounds[1]:
        raise InvalidOptionError(
            f"{name} must be a positive integer, or a tuple of the least and the greatest, got "
            f"{value!r}."
        )


class StickyAction(EpisodeWrapper):
    """Repeats the last action with some probability, instead of the given action.

    Machado et al. (2018) proposed this to make Atari games stochastic. The last action is the
    executed one, which may itself be a repetition. The first step of an episode executes the given
    action. For several agents, all actions are repeated together.

    Args:
        env: the environment.
        repeat_action_probability: the probability, at least 0 and below 1.
        repeat_action_duration: the number of steps for which a repeated action is repeated: an
            integer, or the least and the greatest number, between which one is drawn each time.
            After these steps, chance decides again.

    Raises:
        InvalidOptionError: if an option is not as described; and the errors of `EpisodeWrapper`.

    Examples:
        >>> wrappers = [StickyAction(repeat_action_probability=0.25)]
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=wrappers)
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> int(env.step(jax.random.key(1), state, 1, params).state.action)  # what was executed
        1
    """

    checks = {  # noqa: RUF012
        "repeat_action_probability": check_probability,
        "repeat_action_duration": _check_duration,
    }

    def __init__(
        self,
        env: Environment,
        repeat_action_probability: float,
        repeat_action_duration: int | tuple[int, int] = 1,
    ) -> None:
        super().__init__(env)
        refuse_turns(env, type(self).__name__)
        self.repeat_action_probability = float(repeat_action_probability)
        self.repeat_action_duration = _bounds_of(repeat_action_duration)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        shapes = jax.eval_shape(self._actions.sample, key)
        action = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return obs, Sticking(state, action, jnp.int32(-1))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        step_key, own_key = jax.random.split(key)
        chance_key, duration_key = jax.random.split(own_key)
        least, most = self.repeat_action_duration
        duration = jax.random.randint(duration_key, (), least, most + 1, jnp.int32)
        begins = jax.random.uniform(chance_key) < self.repeat_action_probability
        left = jnp.where((state.left == 0) & begins, duration, jnp.maximum(state.left, 0))
        choose = functools.partial(jnp.where, left > 0)
        executed = jax.tree.map(choose, state.action, action)
        result = self.env.step(step_key, state.env, executed, params)
        return result._replace(state=Sticking(result.state, executed, jnp.maximum(left - 1, 0)))
