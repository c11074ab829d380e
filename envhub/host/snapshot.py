"""Snapshots as rows of bytes of one fixed size: packed, and checked before anything is restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.errors import InvalidStateError

HEADER = 16  # bytes: four uint32, the checksum of what follows, fingerprint, length, flags
TERMINATED, TRUNCATED = 1, 2

Array = np.ndarray[Any, Any]


class SnapshotForm:
    """The layout of the snapshots of one environment: header, saved bytes, last observation.

    Args:
        saved_size: the most bytes that an instance's `save` gives.
        obs_size: bytes of an observation.
        fingerprint: of the environment that made it, so that another's is refused.

    Attributes:
        size: bytes of a row.
        saved_size: as above, rounded up.
    """

    def __init__(self, saved_size: int, obs_size: int, fingerprint: int) -> None:
        self.saved_size = -(-saved_size // 4) * 4
        self.size = HEADER + self.saved_size + -(-obs_size // 4) * 4
        self._split, self._end = HEADER + self.saved_size, HEADER + self.saved_size + obs_size
        self._fingerprint = fingerprint
        # Odd, so that no change of one word goes unseen; of many, one in four billion does.
        words = np.arange(1, self.size // 4, dtype=np.uint32)
        self._weights = words * np.uint32(0x9E3779B2) | np.uint32(1)

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
        lengths = list(map(len, saved))
        if max(lengths) > self.saved_size:
            raise ValueError(
                f"what it saved takes {max(lengths)} bytes, where a snapshot has room for "
                f"{self.saved_size}: make it with snapshot_size={2 * max(lengths)}."
            )
        rows = np.zeros((len(saved), self.size), np.uint8)
        padded = b"".join([each.ljust(self.saved_size, b"\0") for each in saved])
        rows[:, HEADER : self._split] = np.frombuffer(padded, np.uint8).reshape(len(saved), -1)
        rows[:, self._split : self._end] = obs
        words = rows.view(np.uint32)
        words[:, 1] = self._fingerprint
        words[:, 2] = lengths
        words[:, 3] = TERMINATED * terminated + TRUNCATED * truncated
        words[:, 0] = self._checksums(words)
        return rows

    def check(self, rows: Array) -> None:
        """Refuse rows that are not of this environment, or are damaged.

        Raises:
            InvalidStateError: saying which of the two.
        """
        words = rows.view(np.uint32)
        if (words[:, 1] != self._fingerprint).any():
            raise InvalidStateError("this state holds the snapshot of another environment.")
        fits = (words[:, 2] <= self.saved_size) & (words[:, 0] == self._checksums(words))
        if not fits.all():
            raise InvalidStateError("the snapshot in this state is damaged; it was not restored.")

    # Of rows that were checked.

    def saved(self, rows: Array) -> list[bytes]:
        """What each instance saved."""
        ends = (HEADER + rows.view(np.uint32)[:, 2].astype(int)).tolist()
        return [row[HEADER:end].tobytes() for row, end in zip(rows, ends, strict=True)]

    def obs(self, rows: Array) -> Array:
        """The last observations: uint8[n, obs_size]."""
        return rows[:, self._split : self._end]

    def flags(self, rows: Array) -> tuple[Array, Array]:
        """How the episodes ended: whether they terminated, and whether they were truncated."""
        flags = rows.view(np.uint32)[:, 3]
        return flags & TERMINATED != 0, flags & TRUNCATED != 0

    def ends(self, rows: Array) -> Array:
        """Whether the episodes ended."""
        ended: Array = rows.view(np.uint32)[:, 3] != 0
        return ended

    def _checksums(self, words: Array) -> Array:
        sums: Array = (words[:, 1:] * self._weights).sum(1, np.uint32)
        return sums
