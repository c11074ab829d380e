"""Snapshots as rows of bytes of one fixed size: packed, and checked before anything is restored."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.errors import InvalidStateError

DIGEST = 16  # bytes: the BLAKE2b of what follows, or its first half
FINGERPRINT, LENGTH = DIGEST // 4, DIGEST // 4 + 1  # uint32
TERMINATED, TRUNCATED = DIGEST + 8, DIGEST + 9  # one byte each
HEADER = DIGEST + 12

Array = np.ndarray[Any, Any]


class FrameHashes:
    """The hashes of the frames that observations are stacks of.

    The next stack of a lane has all frames but the newest from the one before it. What is compared
    and found equal, byte by byte, is not hashed again: comparing takes a small part of the time.

    Args:
        count: how many frames a stack has.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._last: tuple[Array, list[list[bytes]]] | None = None

    def of(self, obs: Array) -> list[bytes]:
        """Those of the frames of each observation, joined.

        Args:
            obs: uint8[n, obs_size].
        """
        return [b"".join(map(_hash, stack)) for stack in self._stacks(obs)]

    def of_next(self, obs: Array) -> list[bytes]:
        """The same, where `obs` may go on from those of the last call, lane by lane."""
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
        """uint8[n, count, size of a frame]."""
        return obs.reshape(len(obs), self._count, -1)


class SnapshotForm:
    """The layout of the snapshots of one environment: header, saved bytes, last observation.

    A row is hashed as a whole, or, where the observation is a stack of frames, with the hashes of
    the frames in their place.

    Args:
        saved_size: the most bytes that an instance's `save` gives.
        obs_size: bytes of an observation.
        fingerprint: of the environment that made it, so that another's is refused.
        key: of the hash, at most 64 bytes: who does not have it can make no snapshot. Empty for a
            hash that anybody can compute.
        frames: how many an observation is a stack of; 1 if it is none.

    Attributes:
        size: bytes of a row.
        saved_size: as above, rounded up.
    """

    def __init__(
        self, saved_size: int, obs_size: int, fingerprint: int, key: bytes = b"", frames: int = 1
    ) -> None:
        self.saved_size = -(-saved_size // 4) * 4
        self.size = HEADER + self.saved_size + -(-obs_size // 4) * 4
        self._split, self._end = HEADER + self.saved_size, HEADER + self.saved_size + obs_size
        self._fingerprint = fingerprint
        self._frames = FrameHashes(frames) if frames > 1 else None
        hashed_as_it_is = (self._split if self._frames else self.size) - DIGEST
        self._body = np.dtype((np.void, hashed_as_it_is))
        # Without keywords, which cost as much as the hash of a small snapshot.
        self._hash = functools.partial(hashlib.blake2b, key=key) if key else hashlib.blake2b

    def pack(
        self, saved: Sequence[bytes], obs: Array, terminated: Array, truncated: Array
    ) -> Array:
        """Rows of snapshots.

        Args:
            saved: of each instance.
            obs: uint8[n, obs_size].
            terminated: how the episodes ended, bool[n].
            truncated: likewise.

        Returns:
            uint8[n, size].

        Raises:
            ValueError: if an instance saved more than there is room for.
        """
        sizes = {*map(len, saved)}
        most = max(sizes)
        if most > self.saved_size:
            raise ValueError(
                f"it saved {most} bytes, but a snapshot has room for only {self.saved_size}. Make "
                f"the environment with snapshot_size={2 * most}."
            )
        rows = np.zeros((len(saved), self.size), np.uint8)
        words = rows.view(np.uint32)
        words[:, FINGERPRINT], words[:, LENGTH] = self._fingerprint, most
        if len(sizes) > 1:  # seldom
            words[:, LENGTH] = list(map(len, saved))
            saved = [each.ljust(most, b"\0") for each in saved]
        rows[:, TERMINATED], rows[:, TRUNCATED] = terminated, truncated
        content = np.frombuffer(b"".join(saved), np.uint8)
        rows[:, HEADER : HEADER + most] = content.reshape(len(saved), most)
        rows[:, self._split : self._end] = obs
        frames = self._frames.of_next(obs) if self._frames else None
        rows[:, :DIGEST] = self._digests(rows, frames)
        return rows

    def check(self, rows: Array) -> None:
        """Refuse rows that are not of this environment, or are damaged.

        Args:
            rows: uint8[n, size].

        Raises:
            InvalidStateError: saying which of the two.
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

    # Of rows that were checked.

    def saved(self, rows: Array) -> list[bytes]:
        """What each instance saved."""
        ends = (HEADER + rows.view(np.uint32)[:, LENGTH].astype(int)).tolist()
        return [row[HEADER:end].tobytes() for row, end in zip(rows, ends, strict=True)]

    def obs(self, rows: Array) -> Array:
        """The last observations: uint8[n, obs_size]."""
        return rows[:, self._split : self._end]

    def flags(self, rows: Array) -> tuple[Array, Array]:
        """How the episodes ended: whether they terminated, and whether they were truncated."""
        return rows[:, TERMINATED] != 0, rows[:, TRUNCATED] != 0

    def ends(self, rows: Array) -> Array:
        """Whether the episodes ended."""
        terminated, truncated = self.flags(rows)
        ended: Array = terminated | truncated
        return ended

    def digests(self, rows: Array) -> Array:
        """What their first bytes have to be: uint8[n, DIGEST]."""
        return self._digests(rows, self._frames.of(self.obs(rows)) if self._frames else None)

    def _digests(self, rows: Array, frames: Sequence[bytes] | None) -> Array:
        """The same, with the hashes of the frames; `hashlib` takes one row after another."""
        end = DIGEST + self._body.itemsize
        bodies: list[bytes] = rows[:, DIGEST:end].view(self._body)[:, 0].tolist()
        if frames:
            bodies = [body + hashes for body, hashes in zip(bodies, frames, strict=True)]
        # Both are called by C: in a loop of Python's, 64 of them take a microsecond more.
        digests = b"".join(map(hashlib.blake2b.digest, map(self._hash, bodies)))
        return np.frombuffer(digests, np.uint8).reshape(len(rows), -1)[:, :DIGEST]


def _hash(frame: Array) -> bytes:
    return hashlib.blake2b(frame.data).digest()
