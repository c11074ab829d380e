"""Repeated actions."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._inside_autoreset import InsideAutoReset
from envhub.wrappers._options import check_count


class Repeated(NamedTuple):
    """The progress of the repeats.

    Attributes:
        key, before: the key of the last step, and the state from which it was taken.
        seen: the observation of the step before the last; for the first step, its own.
        result: the result of the last step, with the sum of the rewards so far.
    """

    key: jax.Array
    before: Any
    seen: Any
    result: StepResult


class RepeatAction(InsideAutoReset):
    """Repeats each action for several steps, and adds up the rewards.

    It stops if the episode ends: observation, state, flags and `info` are those of the last step
    that was taken. Each step has its own key, split from the given key. Gradients flow through all
    steps.

    Args:
        env: the environment, of one agent.
        num_repeats: the number of steps, at least 1.

    Raises:
        InvalidOptionError: if `num_repeats` is not a positive integer, or there are several agents,
            of which one may end before the others; and the errors of `InsideAutoReset`.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[RepeatAction(num_repeats=3)])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> float(env.step(jax.random.key(1), state, 1, params).reward)
        3.0
    """

    reason = "it stops when an episode ends"
    checks = {"num_repeats": check_count}  # noqa: RUF012

    def __init__(self, env: Environment, num_repeats: int) -> None:
        super().__init__(env)
        name = type(self).__name__
        if env.num_agents > 1:
            raise InvalidOptionError(
                f"{name} needs an environment with one agent; {env} has {env.num_agents}."
            )
        self.num_repeats = num_repeats

    def limit(self, params: Any) -> Any:
        inside = self.env.limit(params)
        return None if inside is None else -(-inside // self.num_repeats)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return self.repeat(key, state, action, params).result

    def repeat(self, key: jax.Array, state: Any, action: Any, params: Any) -> Repeated:
        """Take all steps."""
        keys = jax.random.split(key, self.num_repeats)
        shapes = jax.eval_shape(self.env.step, key, state, action, params)
        zeros = functools.partial(jax.tree.map, lambda leaf: jnp.zeros(leaf.shape, leaf.dtype))
        nothing = StepResult(zeros(shapes.obs), state, *zeros(shapes[2:]))

        # A `while_loop` has no gradient in reverse. A `cond` costs what it steps as well, but under
        # `vmap` it steps all lanes. There one whose episode ended takes its last step again, which
        # on the host moves nothing; from any other state its instance would go on.
        def again(last: Repeated, given: Any) -> tuple[Repeated, None]:
            key, is_first = given
            done, result = last.result.done, last.result
            select = functools.partial(jax.tree.map, functools.partial(jnp.where, done))
            key, before = select((last.key, last.before), (key, result.state))

            def step() -> Repeated:
                new = self.env.step(key, before, action, params)
                seen = jax.tree.map(functools.partial(jnp.where, is_first), new.obs, result.obs)
                new = new._replace(reward=result.reward + new.reward)
                return Repeated(key, before, seen, new)

            return jax.lax.cond(done, lambda: last, step), None

        start = Repeated(key, state, nothing.obs, nothing)
        is_first = jnp.arange(self.num_repeats) == 0
        return jax.lax.scan(again, start, (keys, is_first))[0]
