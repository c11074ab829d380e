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


class SnapshotForm:
    """The layout of the snapshots of one environment: header, saved bytes, last observation.

    Args:
        saved_size: the most bytes that an instance's `save` gives.
        obs_size: bytes of an observation.
        fingerprint: of the environment that made it, so that another's is refused.
        key: of the hash, at most 64 bytes: who does not have it can make no snapshot. Empty for a
            hash that anybody can compute.

    Attributes:
        size: bytes of a row.
        saved_size: as above, rounded up.
    """

    def __init__(self, saved_size: int, obs_size: int, fingerprint: int, key: bytes = b"") -> None:
        self.saved_size = -(-saved_size // 4) * 4
        self.size = HEADER + self.saved_size + -(-obs_size // 4) * 4
        self._split, self._end = HEADER + self.saved_size, HEADER + self.saved_size + obs_size
        self._fingerprint = fingerprint
        self._body = np.dtype((np.void, self.size - DIGEST))
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
                f"what it saved takes {most} bytes, where a snapshot has room for "
                f"{self.saved_size}: make it with snapshot_size={2 * most}."
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
        rows[:, :DIGEST] = self._digests(rows)
        return rows

    def check(self, rows: Array) -> None:
        """Refuse rows that are not of this environment, or are damaged.

        Args:
            rows: uint8[n, size].

        Raises:
            InvalidStateError: saying which of the two.
        """
        if not np.array_equal(rows[:, :DIGEST], self._digests(rows)):
            raise InvalidStateError(
                "the snapshot in this state is damaged, or was made with another snapshot_key; it "
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

    def _digests(self, rows: Array) -> Array:
        """uint8[n, DIGEST]; `hashlib` takes one row after another."""
        bodies: list[bytes] = rows[:, DIGEST:].view(self._body)[:, 0].tolist()
        hash_ = self._hash
        digests = b"".join([hash_(body).digest() for body in bodies])
        return np.frombuffer(digests, np.uint8).reshape(len(rows), -1)[:, :DIGEST]
