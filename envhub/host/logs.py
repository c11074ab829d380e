"""The log of an episode as bytes: the seed, the actions since the reset, and changes of params."""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import Any

import numpy as np

from envhub import spaces
from envhub.errors import EnvHubError, InvalidStateError
from envhub.host.protocol import to_leaves
from envhub.host.values import Actions
from envhub.spaces._trees import leaves_of

CHANGES = 8  # of params, that a log of the usual size has room for
STEP = struct.Struct("<I")

Key = tuple[int, tuple[tuple[int, bytes], ...], bytes]


@dataclasses.dataclass
class Log:
    """What decides the state of an instance, if the seed decides its episodes.

    Attributes:
        seed: the seed of the reset.
        changes: pairs of a step and the params, float32[P] as bytes, that are in force from then
            on; the first one is that of the reset. Empty for an environment without params.
        actions: the actions, encoded and joined.
        count: the number of actions.
    """

    seed: int
    changes: list[tuple[int, bytes]]
    actions: bytearray
    count: int = 0

    def continues(self, other: Log) -> bool:
        """Tell whether this log is the other one, or goes on from it."""
        return (
            self.seed == other.seed
            and self.count >= other.count
            and self.actions.startswith(other.actions)
            and other.changes == self._changes_until(other.count)
        )

    def key(self, count: int) -> Key:
        """Return the log of the first actions, as a key of a dict."""
        end = count * len(self.actions) // self.count if self.count else 0
        return self.seed, tuple(self._changes_until(count)), bytes(self.actions[:end])

    def _changes_until(self, count: int) -> list[tuple[int, bytes]]:
        return [change for change in self.changes if change[0] < max(1, count)]


class LogForm:
    """The form of the logs of one environment.

    An action takes as few bytes as its space allows: 1, 2 or 4 for a `Discrete`, and a `Box` of
    floats its own bytes.

    Args:
        space: the space of the actions.
        num_params: the number of params, P.
        steps: the steps that a log has room for.

    Attributes:
        steps: as above.
        width: the bytes of an action.
        size: the bytes of a log.
    """

    def __init__(self, space: spaces.Space, num_params: int, steps: int) -> None:
        self.steps, self._made_of = steps, (space, num_params, steps)
        self._space, self._actions, self._leaves = space, Actions(space), leaves_of(space)
        self._dtypes = [_narrow(leaf) for leaf in self._leaves]
        sizes = [
            math.prod(leaf.shape) * dtype.itemsize
            for leaf, dtype in zip(self._leaves, self._dtypes, strict=True)
        ]
        self._ends = np.cumsum(sizes).tolist()
        self.width: int = sum(sizes)
        self._head = struct.Struct("<III" if num_params else "<II")
        self._change = STEP.size + 4 * num_params if num_params else 0
        self.size: int = self._head.size + CHANGES * self._change + steps * self.width
        self._low = int(space.low) if isinstance(space, spaces.Discrete) else None

    def __reduce__(self) -> Any:
        return LogForm, self._made_of

    def encode(self, action: Any) -> bytes:
        """Return an action, as an instance takes it, as bytes."""
        if self._low is not None:
            return (int(action) - self._low).to_bytes(self.width, "little")
        leaves = zip(to_leaves(self._space, action), self._leaves, self._dtypes, strict=True)
        return b"".join([_shifted(value, leaf, dtype) for value, leaf, dtype in leaves])

    def decode(self, log: Log, start: int) -> list[Any]:
        """Return the actions of a log from a step on, as an instance takes them.

        Raises:
            InvalidStateError: if an action lies outside the space.
        """
        rows = np.frombuffer(log.actions, np.uint8).reshape(log.count, self.width)[start:]
        columns, begin = [], 0
        for leaf, dtype, end in zip(self._leaves, self._dtypes, self._ends, strict=True):
            column = np.ascontiguousarray(rows[:, begin:end]).view(dtype)
            own = column.reshape(len(rows), *leaf.shape)
            if dtype != leaf.dtype:
                own = (own.astype(np.int64) + leaf.low).astype(leaf.dtype)
            columns.append(own)
            begin = end
        if not len(rows):
            return []
        try:
            return self._actions.values(self._actions.read(columns))
        except EnvHubError as error:
            raise InvalidStateError(f"the snapshot cannot be replayed: {error}") from error

    def room(self, log: Log, *, is_change: bool) -> int:
        """Return the bytes that are left after one more action, and a change before it."""
        changes = (len(log.changes) + is_change) * self._change
        return self.size - self._head.size - changes - len(log.actions) - self.width

    def pack(self, log: Log) -> bytes:
        """Return a log as bytes, always as many."""
        if not self._change:
            packed = self._head.pack(log.seed, log.count) + log.actions
        else:
            changes = [STEP.pack(step) + params for step, params in log.changes]
            head = self._head.pack(log.seed, log.count, len(changes))
            packed = b"".join([head, *changes, log.actions])
        return packed.ljust(self.size, b"\0")

    def unpack(self, packed: bytes) -> Log:
        """The inverse of `pack`.

        Raises:
            InvalidStateError: if the bytes are not those of a log.
        """
        if len(packed) < self.size:
            raise InvalidStateError("the snapshot is shorter than a log of this environment.")
        seed, count, *more = self._head.unpack_from(packed)
        start = self._head.size + sum(more) * self._change
        end = start + count * self.width
        is_log = seed < 2**31 and end <= self.size and bool(self._change) <= sum(more)
        if not is_log or packed[end:].strip(b"\0"):
            raise InvalidStateError("the snapshot holds no log of this environment.")
        changes = []
        for begin in range(self._head.size, start, self._change) if self._change else ():
            (step,) = STEP.unpack_from(packed, begin)
            changes.append((step, packed[begin + STEP.size : begin + self._change]))
        return Log(seed, changes, bytearray(packed[start:end]), count)


def _narrow(leaf: Any) -> np.dtype[Any]:
    """The smallest dtype that holds an element of a leaf, counted from its lower bound."""
    own: np.dtype[Any] = np.dtype(leaf.dtype)
    if own.kind not in "iu":
        return own
    span = int(np.max(np.asarray(leaf.high, object) - np.asarray(leaf.low, object)))
    least: np.dtype[Any] = np.min_scalar_type(span)
    return least if least.itemsize < own.itemsize else own


def _shifted(value: Any, leaf: Any, dtype: np.dtype[Any]) -> bytes:
    array = np.asarray(value, leaf.dtype)
    if dtype != leaf.dtype:
        array = (array.astype(np.int64) - leaf.low).astype(dtype)
    return array.tobytes()
