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
    Array,
    Columns,
    Form,
    to_leaves,
)
from envhub.host.states import Batch
from envhub.host.values import Values, params_of

Parts = dict[str, bytes]
"""The bytes of each column of one lane, by its name."""

NONE = -1
_HANDLE, _REWARD, _FLAG = struct.Struct("=3I"), struct.Struct("=f"), struct.Struct("=?")


class Alone:
    """An episode that is run by itself.

    Calls outside `jit` get its columns as bytes, and calls of programs in their outputs. Both hold
    the lock of the pool.

    Args:
        pool: the pool of the environment, which names its states and counts its calls.
        values: checks the arguments and the results.
        params: the params of all calls, see `flat`.
        construct: makes the instance; `None` if the pool lends one.

    Attributes:
        state: the state in which the instance is, if a call outside `jit` led to it.
        numbers: the actions that are plain integers.
        has_ended: whether the episode has ended; then the pool knows all that there is to know.
    """

    def __init__(
        self,
        pool: Pool,
        values: Values,
        params: Columns,
        construct: Callable[[], Instance] | None,
    ) -> None:
        self._pool, self._params, protocol = pool, params, pool.protocol
        self._is_lent, self._slot = construct is None, NONE
        self._detached = Detached(pool, construct, values, {} if construct is None else params)
        self._take = taker_of(values.actions, lambda action: action)
        space, self.numbers = values.actions.space, range(0)
        if isinstance(space, spaces.Discrete):
            self.numbers = range(int(space.low), int(space.high) + 1)
        self._space = values.observations.space
        self._saves = values.snapshots is not None
        self._obs = {name: protocol.shown[name] for name in protocol.obs}
        self._info = {name: protocol.shown[name] for name in protocol.info}
        (self._action, self._form), *more = protocol.chosen.items()
        self._is_single = not more
        self._handle = b""  # names the state
        self._generation = self._before = NONE  # of the state, and of the one before the step
        self._parts: Parts = {}
        self._chosen: Any = None
        self.state: Any = None
        self.has_ended = False

    # Outside `jit`.

    def reset(self, seed: int) -> Parts:
        """Start an episode, and return the columns of its first state."""
        self.give_back()
        self._handle, self.state, self.has_ended = b"", None, False
        if self._is_lent:
            self._slot, instance = self._pool.slots.lend(params_of(self._params))
            self._detached.use(instance)
            self._detached.where = (self._slot,), ()
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
        given = self._take(action)
        self._handle, self._chosen, self.state = b"", action, None
        if self._is_lent:
            self._detached.where = (self._slot,), (self._generation,)
        self._pool.count(steps=1)
        parts: Parts = self._moving(self._stepped, action, given)
        return parts

    def render(self) -> Any:
        """Draw the state; if that fails, an instance of the pool keeps its state, as elsewhere."""
        draw = self._detached.render
        return draw() if self._is_lent else self._moving(draw)

    # In programs.

    def answer_reset(self, inputs: Columns, outputs: Columns) -> bool:
        """Answer a call of one lane, if its params are those of `reset`."""
        is_here = self._has_params(inputs)
        if is_here:
            _write(outputs, self.reset(int(inputs[SEED][0])))
        return is_here

    def answer_step(self, inputs: Columns, outputs: Columns) -> bool:
        """Answer a call of one lane, if it continues the episode."""
        is_here = self._is_single and inputs[HANDLE].tobytes() == self._handle
        is_here = is_here and not self.has_ended and self._has_params(inputs)
        if is_here:
            _write(outputs, self.step(inputs[self._action][0].copy()))  # gone after the call
        return is_here

    def give_back(self) -> None:
        """Write the state into the table, whose instance it then is, if the pool lent it."""
        if self._slot == NONE:
            return
        slot, self._slot = self._slot, NONE
        if self._handle:
            self._pool.slots.take_back(self._batch(slot))
        self._handle, self.state = b"", None

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
                name: _column(self._parts[name], forms[name])
                for name in forms
                if name in self._parts
            },
            chosen,
            self._pool.now,
        )

    def _has_params(self, inputs: Columns) -> bool:
        given = inputs.get(PARAMS)
        return given is None or given.tobytes() == self._params[PARAMS].tobytes()

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
        parts[REWARD] = _REWARD.pack(reward)
        parts[TERMINATED], parts[TRUNCATED] = _FLAG.pack(terminated), _FLAG.pack(truncated)
        if self._info:
            parts.update(_bytes_of(self._info, info.values()))
        return parts

    def _shown(self, obs: Any) -> Parts:
        self._parts = parts = _bytes_of(self._obs, to_leaves(self._space, obs))
        if self._saves:
            parts[SNAPSHOT] = self._detached.save(b"".join(parts.values()))
        name = self._pool.name_state(max(self._slot, 0))
        self._before, self._generation = self._generation, name[1]
        self._handle = parts[HANDLE] = _HANDLE.pack(*name)
        return parts


def alone_of(
    pool: Pool, values: Values, params: Columns, construct: Callable[[], Instance] | None
) -> Alone | None:
    """Give a pool what runs one episode by itself, if something can, and return it.

    Args:
        pool: as in `Alone`, like the next two.
        values: likewise.
        params: likewise.
        construct: makes an instance from whose states the pool can go on; `None` if it cannot.
    """
    if pool.alone:  # with other params
        with pool.lock:
            pool.alone.give_back()
    if not pool.protocol.agents and (pool.slots.can_lend or construct):
        pool.alone = Alone(pool, values, params, None if pool.slots.can_lend else construct)
    return pool.alone


def _bytes_of(forms: dict[str, Form], values: Any) -> Parts:
    pairs = zip(forms.items(), values, strict=True)
    return {name: np.asarray(value, form.dtype).tobytes() for (name, form), value in pairs}


def _column(part: bytes, form: Form) -> Array:
    return np.frombuffer(part, form.dtype).reshape(1, *form.shape)


def _write(outputs: Columns, parts: Parts) -> None:
    for name, part in parts.items():
        column = outputs[name]
        column[...] = np.frombuffer(part, column.dtype).reshape(column.shape)
