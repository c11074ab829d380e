"""Pack snapshots into rows of bytes of one size, and check them before they are restored."""

from __future__ import annotations

import functools
import hashlib
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.errors import InvalidStateError

DIGEST = 16  # bytes: the first part of the BLAKE2b hash of the bytes that follow
FINGERPRINT, LENGTH = DIGEST // 4, DIGEST // 4 + 1  # uint32
FLAGS = DIGEST + 8  # terminated and truncated, one byte each, of every agent
HEADER = FLAGS + 4  # the size where there is one agent
_OF_ONE = struct.Struct("<II??xx")  # what lies between digest and saved bytes there

Array = np.ndarray[Any, Any]


class FrameHashes:
    """The hashes of the frames in observations that are stacks of frames.

    The next stack of a lane shares all frames but the newest with the stack before it. A frame that
    is equal byte by byte is not hashed again, because a comparison is much faster than a hash.

    Args:
        count: the number of frames in a stack.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._last: tuple[Array, list[list[bytes]]] | None = None

    def of(self, obs: Array) -> list[bytes]:
        """Return the hashes of the frames of each observation, joined.

        Args:
            obs: uint8[n, obs_size].
        """
        return [b"".join(map(_hash, stack)) for stack in self._stacks(obs)]

    def of_next(self, obs: Array) -> list[bytes]:
        """Return the same hashes, where `obs` may be one step after those of the last call."""
        stacks = self._stacks(obs)
        is_old = np.zeros(stacks.shape[:2], np.bool_)
        known: list[list[bytes]] = [[]] * len(stacks)
        if self._last and len(self._last[0]) == len(stacks):
            before, known = self._last
            is_old[:, :-1] = (stacks[:, :-1].view(np.uint32) == before.view(np.uint32)).all(-1)
        hashes = [
            [
                known[lane][place + 1] if old else _hash(stacks[lane, place])
                for place, old in enumerate(olds)
            ]
            for lane, olds in enumerate(is_old.tolist())
        ]
        self._last = stacks[:, 1:].copy(), hashes
        return [*map(b"".join, hashes)]

    def _stacks(self, obs: Array) -> Array:
        """Return the frames: uint8[n, count, size of a frame]."""
        return obs.reshape(len(obs), self._count, -1)


class SnapshotForm:
    """The layout of the snapshots of one environment: header, saved bytes, last observation.

    The hash covers the whole row. If the observation is a stack of frames, the hash covers the
    hashes of the frames in place of the frames.

    Args:
        saved_size: the most bytes that an instance's `save` returns.
        obs_size: the size of an observation in bytes.
        fingerprint: the fingerprint of the environment; snapshots with another one are refused.
        key: the key of the hash, at most 64 bytes. Nobody can make a snapshot without this key. If
            it is empty, anybody can compute the hash.
        frames: the number of frames in an observation; 1 if it is not a stack.
        agents: the shape of a flag: `()`, or `(num_agents,)`.

    Attributes:
        size: the size of a row in bytes.
        saved_size: the argument, rounded up to a multiple of 4.
    """

    def __init__(
        self,
        saved_size: int,
        obs_size: int,
        fingerprint: int,
        key: bytes = b"",
        frames: int = 1,
        agents: tuple[int, ...] = (),
    ) -> None:
        self.saved_size = -(-saved_size // 4) * 4
        self._agents, count = agents, math.prod(agents)
        self._terminated = slice(FLAGS, FLAGS + count)
        self._truncated = slice(FLAGS + count, FLAGS + 2 * count)
        self._header = FLAGS + -(-2 * count // 4) * 4
        self._split = self._header + self.saved_size
        self._end, self.size = self._split + obs_size, self._split + -(-obs_size // 4) * 4
        self._fingerprint = fingerprint
        self._frames = FrameHashes(frames) if frames > 1 else None
        hashed_as_it_is = (self._split if self._frames else self.size) - DIGEST
        self._body = np.dtype((np.void, hashed_as_it_is))
        # Without a key there are no keywords, which cost as much as the hash of a small snapshot.
        self._hash = functools.partial(hashlib.blake2b, key=key) if key else hashlib.blake2b

    def pack(
        self, saved: Sequence[bytes], obs: Array, terminated: Array, truncated: Array
    ) -> Array:
        """Return the snapshots of n instances as rows.

        Args:
            saved: the saved bytes of each instance.
            obs: uint8[n, obs_size], the last observations.
            terminated: bool[n], whether each episode terminated; bool[n, num_agents] of several
                agents.
            truncated: whether each episode was truncated, in the same way.

        Returns:
            uint8[n, size].

        Raises:
            ValueError: if an instance saved more than `saved_size` bytes.
        """
        if len(saved) == 1 and not self._agents:
            flags = bool(terminated[0]), bool(truncated[0])
            row = self.pack_one(saved[0], obs.tobytes(), *flags)
            return np.frombuffer(row, np.uint8)[None]
        sizes = {*map(len, saved)}
        most = max(sizes)
        self._check_room(most)
        rows = np.zeros((len(saved), self.size), np.uint8)
        words = rows.view(np.uint32)
        words[:, FINGERPRINT], words[:, LENGTH] = self._fingerprint, most
        if len(sizes) > 1:  # seldom
            words[:, LENGTH] = list(map(len, saved))
            saved = [each.ljust(most, b"\0") for each in saved]
        rows[:, self._terminated] = terminated.reshape(len(rows), -1)
        rows[:, self._truncated] = truncated.reshape(len(rows), -1)
        content = np.frombuffer(b"".join(saved), np.uint8)
        rows[:, self._header : self._header + most] = content.reshape(len(saved), most)
        rows[:, self._split : self._end] = obs
        frames = self._frames.of_next(obs) if self._frames else None
        rows[:, :DIGEST] = self._digests(rows, frames)
        return rows

    def pack_one(self, saved: bytes, obs: bytes, terminated: bool, truncated: bool) -> bytes:
        """Return the row of one instance of one agent: that of `pack`, three times as fast.

        Raises:
            ValueError: as `pack`.
        """
        self._check_room(len(saved))
        head = _OF_ONE.pack(self._fingerprint, len(saved), terminated, truncated)
        content = head + saved.ljust(self.saved_size, b"\0")
        hashed = rest = obs.ljust(self.size - self._split, b"\0")
        if self._frames:
            hashed = self._frames.of_next(np.frombuffer(obs, np.uint8)[None])[0]
        return self._hash(content + hashed).digest()[:DIGEST] + content + rest

    def check(self, rows: Array) -> None:
        """Refuse rows of another environment, and damaged rows.

        Args:
            rows: uint8[n, size].

        Raises:
            InvalidStateError: if there is such a row; the message says which of the two it is.
        """
        is_whole = rows.shape[1] == self.size
        if not is_whole or rows[:, :DIGEST].tobytes() != self.digests(rows).tobytes():
            raise InvalidStateError(
                "the snapshot in this state is damaged or was made with another snapshot_key. It "
                "was not restored."
            )
        words = rows.view(np.uint32)
        is_own = words[:, FINGERPRINT] == self._fingerprint
        if not (is_own & (words[:, LENGTH] <= self.saved_size)).all():
            raise InvalidStateError("this state holds the snapshot of another environment.")

    def _check_room(self, most: int) -> None:
        if most > self.saved_size:
            raise ValueError(
                f"it saved {most} bytes, but a snapshot has room for only {self.saved_size}. Make "
                f"the environment with snapshot_size={2 * most}."
            )

    # The methods below take rows that were checked.

    def saved(self, rows: Array) -> list[bytes]:
        """Return the saved bytes of each instance."""
        start = self._header
        ends = (start + rows.view(np.uint32)[:, LENGTH].astype(int)).tolist()
        return [row[start:end].tobytes() for row, end in zip(rows, ends, strict=True)]

    def obs(self, rows: Array) -> Array:
        """Return the last observations: uint8[n, obs_size]."""
        return rows[:, self._split : self._end]

    def flags(self, rows: Array) -> tuple[Array, Array]:
        """Return whether each episode terminated, and whether it was truncated, as in `pack`."""
        form = (len(rows), *self._agents)
        terminated, truncated = rows[:, self._terminated] != 0, rows[:, self._truncated] != 0
        return terminated.reshape(form), truncated.reshape(form)

    def ends(self, rows: Array) -> Array:
        """Return whether each episode ended: bool[n]."""
        terminated, truncated = self.flags(rows)
        of_agents = (terminated | truncated).reshape(len(rows), -1)
        ended: Array = np.logical_and.reduce(of_agents, axis=1)
        return ended

    def digests(self, rows: Array) -> Array:
        """Return the digest with which each valid row starts: uint8[n, DIGEST]."""
        return self._digests(rows, self._frames.of(self.obs(rows)) if self._frames else None)

    def _digests(self, rows: Array, frames: Sequence[bytes] | None) -> Array:
        """Return the digests, given the hashes of the frames; `hashlib` takes one row at a time."""
        end = DIGEST + self._body.itemsize
        bodies: list[bytes] = rows[:, DIGEST:end].view(self._body)[:, 0].tolist()
        if frames:
            bodies = [body + hashes for body, hashes in zip(bodies, frames, strict=True)]
        # `map` calls both functions from C. In a Python loop, 64 rows take a microsecond longer.
        digests = b"".join(map(hashlib.blake2b.digest, map(self._hash, bodies)))
        return np.frombuffer(digests, np.uint8).reshape(len(rows), -1)[:, :DIGEST]


def _hash(frame: Array) -> bytes:
    return hashlib.blake2b(frame.data).digest()
