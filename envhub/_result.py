"""What a step returns."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple

import jax

from envhub._display import brief, lines, table
from envhub._typing import Obs, State


class StepResult(NamedTuple, Generic[Obs, State]):
    """What `Environment.step` returns; it unpacks as a tuple of six.

    Attributes:
        obs: the observation after the transition, never one of a reset.
        state: the next state, of the structure, shapes and dtypes that `reset` returns.
        reward: float32[]; of several agents float32[num_agents], and so the flags.
        terminated: bool[], the MDP ended: no bootstrap.
        truncated: bool[], a time limit or another cut from outside: bootstrap from `obs`. Both
            flags may be true at once.
        info: a dict of arrays whose structure never changes.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> obs, state, reward, *flags, info = env.step(jax.random.key(1), state, 1, params)
        >>> reward.dtype, [flag.dtype for flag in flags]
        (dtype('float32'), [dtype('bool'), dtype('bool')])
    """

    obs: Obs
    state: State
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    info: dict[str, Any]

    @property
    def done(self) -> jax.Array:
        """bool[], whether the episode ended, for either reason."""
        return self.terminated | self.truncated

    def __repr__(self) -> str:
        return lines(type(self).__name__, self._fields_shown())

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        return table(self._fields_shown().items())

    def _fields_shown(self) -> dict[str, str]:
        return {name: brief(value) for name, value in self._asdict().items()}
