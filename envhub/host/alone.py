"""The episode that began last outside `jit`, in an instance that is not in the pool.

The pool serves many lanes, and for one lane it takes ten times as long as a simple environment.
States of this episode have snapshots, so any other call continues them in the pool.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from envhub import spaces
from envhub.host.detached import Detached, taker_of
from envhub.host.pool import Pool
from envhub.host.protocol import (
    HANDLE,
    REWARD,
    SNAPSHOT,
    TERMINATED,
    TRUNCATED,
    Form,
    to_leaves,
)
from envhub.host.values import Values

Parts = dict[str, bytes]
"""The bytes of each column of one lane, by its name."""

_HANDLE, _REWARD, _FLAG = struct.Struct("=3I"), struct.Struct("=f"), struct.Struct("=?")


class Alone:
    """An episode of an environment whose instances can be saved.

    Args:
        pool: the pool of the environment, which names its states and counts its calls.
        detached: the instance.
        values: checks the arguments and the results.

    Attributes:
        state: the state in which the instance is; `None` if there is none.
        numbers: the actions that are plain integers.
        has_ended: whether the episode has ended; then the pool knows all that there is to know.
    """

    def __init__(self, pool: Pool, detached: Detached, values: Values) -> None:
        self._pool, self._detached, protocol = pool, detached, pool.protocol
        self._take = taker_of(values.actions, lambda action: action)
        space, self.numbers = values.actions.space, range(0)
        if isinstance(space, spaces.Discrete):
            self.numbers = range(int(space.low), int(space.high) + 1)
        self._space = values.observations.space
        self._obs = {name: protocol.shown[name] for name in protocol.obs}
        self._info = {name: protocol.shown[name] for name in protocol.info}
        self.state: Any = None
        self.has_ended = False

    def reset(self, seed: int) -> Parts:
        """Start an episode, and return the columns of its first state."""
        self.state, self.has_ended = None, False
        return self._shown(self._detached.reset(seed), resets=1)

    def step(self, action: Any) -> Parts:
        """Advance one step from `state`, and return the columns of the next state.

        Args:
            action: an action with the shape and dtype that it has in a program.

        Raises:
            InvalidActionError: if the action lies outside the space; nothing has moved then.
        """
        given, self.state = self._take(action), None
        obs, reward, terminated, truncated, info = self._detached.step(action, given)
        self.has_ended = terminated or truncated
        parts = self._shown(obs, steps=1)
        parts[REWARD] = _REWARD.pack(reward)
        parts[TERMINATED], parts[TRUNCATED] = _FLAG.pack(terminated), _FLAG.pack(truncated)
        return parts | _bytes_of(self._info, info.values()) if self._info else parts

    def render(self) -> Any:
        """Draw the state."""
        try:
            return self._detached.render()
        except BaseException:
            self.state = None  # what was left in the middle may have moved; the snapshot has not
            raise

    def _shown(self, obs: Any, **counts: int) -> Parts:
        parts = _bytes_of(self._obs, to_leaves(self._space, obs))
        parts[SNAPSHOT] = self._detached.save(b"".join(parts.values()))
        parts[HANDLE] = _HANDLE.pack(*self._pool.name_state(**counts))
        return parts


def _bytes_of(forms: dict[str, Form], values: Any) -> Parts:
    pairs = zip(forms.items(), values, strict=True)
    return {name: np.asarray(value, form.dtype).tobytes() for (name, form), value in pairs}
