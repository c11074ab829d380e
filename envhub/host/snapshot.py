"""Snapshots as rows of bytes of one fixed size: packed, and checked before anything is restored."""

from __future__ import annotations

import dataclasses
import struct
import zlib

from envhub.errors import InvalidStateError

HEADER = struct.Struct("<IIII")  # checksum of what follows, fingerprint, length, flags
TERMINATED, TRUNCATED = 1, 2


@dataclasses.dataclass(frozen=True)
class Form:
    """The layout of the snapshots of one environment.

    Attributes:
        size: bytes of a row.
        fingerprint: of the environment that made it, so that another's is refused.
    """

    size: int
    fingerprint: int

    def pack(self, saved: bytes, obs: bytes, flags: int) -> bytes:
        """One row: a header, the instance's own bytes, the last observation, and padding."""
        body = struct.pack("<III", self.fingerprint, len(saved), flags) + saved + obs
        row = struct.pack("<I", zlib.crc32(body)) + body
        if len(row) > self.size:
            raise ValueError(
                f"a snapshot takes {len(row)} bytes, more than the {self.size} that were found to "
                "be enough: make the environment with a larger snapshot_size."
            )
        return row.ljust(self.size, b"\0")

    def unpack(self, row: bytes, obs_size: int) -> tuple[bytes, bytes, int]:
        """The inverse of `pack`, as `(saved, obs, flags)`.

        Raises:
            InvalidStateError: if the row is not one of this environment, or is damaged.
        """
        checksum, fingerprint, length, flags = HEADER.unpack_from(row)
        end = HEADER.size + length + obs_size
        if fingerprint != self.fingerprint:
            raise InvalidStateError("this state holds the snapshot of another environment.")
        if end > len(row) or zlib.crc32(row[4:end]) != checksum:
            raise InvalidStateError("the snapshot in this state is damaged; it was not restored.")
        split = HEADER.size + length
        return row[HEADER.size : split], row[split:end], flags
