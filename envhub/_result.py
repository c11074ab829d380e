"""`StepResult`: the result of a step."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple

import jax

from envhub._display import brief, lines, table
from envhub._typing import Obs, State


class StepResult(NamedTuple, Generic[Obs, State]):
    """The result of `Environment.step`; it unpacks as a tuple of six values.

    Attributes:
        obs: the observation after the transition, never that of a reset.
        state: the next state, with the structure, shapes and dtypes of the state of `reset`.
        reward: float32[]; for several agents float32[num_agents]. The flags have the same shape.
        terminated: bool[], whether the MDP ended: do not bootstrap.
        truncated: bool[], whether a limit or something else from outside cut the episode: bootstrap
            from `obs`. Both flags may be true at once.
        info: a dict of arrays; its structure never changes.

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
        """Whether the episode ended, for either reason: bool[]."""
        return self.terminated | self.truncated

    def __repr__(self) -> str:
        return lines(type(self).__name__, self._fields_shown())

    def _repr_html_(self) -> str:
        """Return a table, for notebooks."""
        return table(self._fields_shown().items())

    def _fields_shown(self) -> dict[str, str]:
        return {name: brief(value) for name, value in self._asdict().items()}
