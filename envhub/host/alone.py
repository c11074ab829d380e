"""The episode that began last, stepped by itself: without columns, and outside the table.

The pool serves many lanes, and for one lane it takes ten times as long as a simple environment. The
instance is lent by the pool, and its state is written into the table before any other call. The
fleet of a suite, which has no instances to lend, has one more; then states of the episode have
snapshots, from which any other call continues them in the pool.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from envhub import spaces
from envhub.host.detached import Detached, taker_of
from envhub.host.fleet import admitting
from envhub.host.instance import Instance
from envhub.host.pool import Pool
from envhub.host.protocol import (
    HANDLE,
    PARAMS,
    REWARD,
    SEED,
    SNAPSHOT,
    TERMINATED,
    TRUNCATED,
    Columns,
    to_leaves,
)
from envhub.host.states import Batch
from envhub.host.values import Values, params_of

Parts = dict[str, Any]
"""The value of each column of one lane, by its name."""

NONE = -1
_HANDLE = struct.Struct("=3I")


class Alone:
    """An episode that is run by itself.

    Calls outside `jit` are given what it returns, and those of programs find it in their outputs.
    Both hold the lock of the pool.

    Args:
        pool: the pool of the environment, which names its states and counts its calls.
        values: checks the arguments and the results.
        construct: makes the instance; `None` if the pool lends one.

    Attributes:
        params: the bytes of the params of the episode.
        state: the state in which the instance is, if a call outside `jit` led to it.
        numbers: the actions that are plain integers.
        has_ended: whether the episode has ended; then the pool knows all that there is to know.
    """

    def __init__(
        self,
        pool: Pool,
        values: Values,
        construct: Callable[[], Instance] | None,
    ) -> None:
        self._pool, protocol = pool, pool.protocol
        self._is_lent, self._slot = construct is None, NONE
        self._detached = Detached(pool, construct, values, {})
        self._take = taker_of(values.actions, lambda action: action)
        space, self.numbers = values.actions.space, range(0)
        if isinstance(space, spaces.Discrete):
            self.numbers = range(int(space.low), int(space.high) + 1)
        self._space = values.observations.space
        self._saves = values.snapshots is not None
        self._obs = {name: protocol.shown[name] for name in protocol.obs}
        self._info = protocol.info
        (self._action, self._form), *more = protocol.chosen.items()
        self._is_single = not more
        self._handle = self._left = b""  # name the state, and the one before its step
        self._call = 0  # the number of the call that led to the state
        self._generation = self._before = NONE  # of the state, and of the one before the step
        self._parts: Parts = {}
        self._chosen: Any = None
        self.params = b""
        self.state: Any = None
        self.has_ended = False

    # Outside `jit`.

    def reset(self, seed: int, params: Columns) -> Parts:
        """Start an episode, and return the columns of its first state.

        Args:
            seed: decides the episode.
            params: those of the episode, see `flat`.
        """
        self.give_back()
        self._handle, self._left, self.state, self.has_ended = b"", b"", None, False
        self.params = bytes_of(params)
        if self._is_lent:
            self._slot, instance = self._pool.slots.lend(params_of(params))
            self._detached.use(instance)
            self._detached.where = (self._slot,), ()
        else:
            self._detached.set_params(params)
        self._pool.count(resets=1)
        parts: Parts = self._moving(self._begun, seed)
        return parts

    def step(self, action: Any) -> Parts:
        """Advance one step from the state, and return the columns of the next state.

        Args:
            action: an action with the shape and dtype that it has in a program.

        Raises:
            InvalidActionError: if the action lies outside the space; nothing has moved then.
        """
        given, left = self._take(action), self._handle
        self._handle, self._left, self._chosen, self.state = b"", b"", action, None
        if self._is_lent:
            self._detached.where = (self._slot,), (self._generation,)
        self._pool.count(steps=1)
        parts: Parts = self._moving(self._stepped, action, given)
        self._left = left
        return parts

    def render(self) -> Any:
        """Draw the state; if that fails, an instance of the pool keeps its state, as elsewhere."""
        draw = self._detached.render
        return draw() if self._is_lent else self._moving(draw)

    # In programs.

    def answer_reset(self, inputs: Columns, outputs: Columns) -> None:
        """Answer a call of one lane."""
        params = {PARAMS: inputs[PARAMS].copy()} if PARAMS in inputs else {}
        _write(outputs, self.reset(int(inputs[SEED][0]), params))

    def answer_step(self, inputs: Columns, outputs: Columns) -> bool:
        """Answer a call of one lane, if it continues the episode, or repeats its last step."""
        if not self._is_single or bytes_of(inputs) != self.params:
            return False
        handle, action = inputs[HANDLE].tobytes(), inputs[self._action][0]
        if handle == self._handle and not self.has_ended:
            _write(outputs, self.step(action.copy()))  # the arguments are gone after the call
            return True
        is_repeated = handle == self._left and np.array_equal(action, self._chosen)
        if is_repeated:
            _write(outputs, self._parts)
        return is_repeated

    def give_back(self) -> None:
        """Write the state into the table, whose instance it then is, if the pool lent it."""
        if self._slot == NONE:
            return
        slot, self._slot = self._slot, NONE
        if self._handle:
            self._pool.slots.take_back(self._batch(slot))
        self._handle, self._left, self.state = b"", b"", None

    def close(self) -> None:
        """Close the instance, unless it is the pool's."""
        if not self._is_lent:
            self._detached.close()

    def _batch(self, slot: int) -> Batch:
        forms, chosen = self._pool.protocol.shown, {}
        if self._before != NONE:
            chosen[self._action] = np.asarray(self._chosen, self._form.dtype)[None]
        return Batch(
            np.array([slot]),
            np.frombuffer(self._handle, np.uint32)[None],
            np.array([self._before]),
            np.array([self.has_ended]),
            {
                name: np.asarray(self._parts[name], dtype).reshape(1, *shape)
                for name, (shape, dtype) in forms.items()
                if name in self._parts
            },
            chosen,
            self._call,
        )

    def _moving(self, move: Callable[..., Any], *arguments: Any) -> Any:
        """Return the result; if it fails, the pool has another instance, without a state."""
        try:
            return admitting(functools.partial(move, *arguments))
        except BaseException as error:
            slot, self._slot = self._slot, NONE
            self._handle, self.state = b"", None
            if slot != NONE:
                self._pool.slots.replace(slot, error)
            raise

    def _begun(self, seed: int) -> Parts:
        parts = self._shown(self._detached.reset(seed))
        self._before = NONE
        return parts

    def _stepped(self, action: Any, given: Any) -> Parts:
        obs, reward, terminated, truncated, info = self._detached.step(action, given)
        self.has_ended = terminated or truncated
        parts = self._shown(obs)
        parts[REWARD], parts[TERMINATED], parts[TRUNCATED] = reward, terminated, truncated
        if self._info:
            parts.update(zip(self._info, info.values(), strict=True))
        return parts

    def _shown(self, obs: Any) -> Parts:
        parts: Parts = dict(zip(self._obs, to_leaves(self._space, obs), strict=True))
        if self._saves:
            forms = self._obs.items()
            seen = [np.asarray(parts[name], form.dtype).tobytes() for name, form in forms]
            saved = self._detached.save(b"".join(seen))
            parts[SNAPSHOT] = np.frombuffer(saved, np.uint8)
        self._before, self._generation = self._generation, self._pool.new_generation()
        self._call = self._pool.now
        place = max(self._slot, 0)
        self._handle = _HANDLE.pack(place, self._generation, self._pool.nonce)
        parts[HANDLE] = np.frombuffer(self._handle, np.uint32)
        self._parts = parts
        return parts


def bytes_of(inputs: Columns) -> bytes:
    """Return the bytes of the params among the arguments of a call; none if there are none."""
    return inputs[PARAMS].tobytes() if PARAMS in inputs else b""


def _write(outputs: Columns, parts: Parts) -> None:
    for name, value in parts.items():
        outputs[name][0] = value
