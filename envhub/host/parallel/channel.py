"""Messages between processes: pickled through a socket, with large arrays in shared memory."""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import select
import socket
import struct
import tempfile
import time
from typing import Any

HEAD = struct.Struct("<QQ")  # the number of bytes that follow, and of arrays in shared memory
ALIGNMENT = 64
FEW = 4096  # bytes: to send an array of fewer bytes is faster than to share it


def shared_file() -> int:
    """Return the descriptor of an unnamed file, whose memory is freed when nothing uses it."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("envhub")
    else:  # macOS
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, 1 << 16)
    return file


class Channel:
    """One of the two ends of a connection. The ends send in turn.

    A received message is a copy, so the shared memory is free again after it was received.

    Args:
        connection: a stream socket that is connected to the other end.
        memory: a descriptor from `shared_file`, which is open at the other end too.
    """

    def __init__(self, connection: socket.socket, memory: int) -> None:
        self._socket, self._memory = connection, memory
        self._map = mmap.mmap(memory, os.fstat(memory).st_size)
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def send(self, message: Any) -> None:
        """Send any message that can be pickled.

        Raises:
            OSError: if the other end is closed.
        """
        shared: list[memoryview] = []

        def is_sent(buffer: pickle.PickleBuffer) -> bool:
            view = buffer.raw()
            if view.nbytes >= FEW:
                shared.append(view)
            return view.nbytes < FEW

        pickled = pickle.dumps(message, pickle.HIGHEST_PROTOCOL, buffer_callback=is_sent)
        sizes = [view.nbytes for view in shared]
        starts, end = _starts(sizes)
        if end > len(self._map):
            # The file never becomes shorter, because the other end may have made it longer.
            os.ftruncate(self._memory, max(2 * end, os.fstat(self._memory).st_size))
        self._see(end)
        for start, view in zip(starts, shared, strict=True):
            self._map[start : start + view.nbytes] = view
        body = struct.pack(f"<{len(sizes)}Q", *sizes) + pickled
        self._socket.sendall(HEAD.pack(len(body), len(sizes)) + body)

    def wait(self, deadline: float | None) -> bool:
        """Wait for a message, or for the other end to be closed.

        Args:
            deadline: a time of `time.monotonic`; `None` for no limit.

        Returns:
            Whether one of them happened before the deadline.
        """
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        return bool(self._poll.poll(left))

    def receive(self) -> Any:
        """Wait for a message, and return it.

        Raises:
            EOFError: if the other end is closed.
            OSError: if the connection broke.
        """
        length, count = HEAD.unpack(self._read(HEAD.size))
        body = self._read(length)
        sizes = struct.unpack_from(f"<{count}Q", body)
        starts, end = _starts(sizes)
        self._see(end)
        with memoryview(self._map) as seen:
            pairs = zip(starts, sizes, strict=True)
            shared = [bytearray(seen[start : start + size]) for start, size in pairs]
        return pickle.loads(memoryview(body)[8 * count :], buffers=shared)

    def end(self) -> None:
        """Tell the other end that no message follows, even if a fork holds the descriptor too."""
        with contextlib.suppress(OSError):  # the other end is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the descriptors and free the memory."""
        self._socket.close()
        self._map.close()
        os.close(self._memory)

    def _see(self, end: int) -> None:
        """Map the whole file if fewer bytes than `end` are mapped."""
        if end > len(self._map):
            self._map = mmap.mmap(self._memory, os.fstat(self._memory).st_size)

    def _read(self, size: int) -> bytes:
        """Return exactly this number of bytes, so that the next message stays complete."""
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise EOFError("the other end is closed")
            data = data + part if data else part
        return data


def _starts(sizes: Any) -> tuple[list[int], int]:
    """Return the offsets in the memory of arrays of these sizes, and the end of the last one."""
    starts, end = [], 0
    for size in sizes:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        starts.append(start)
        end = start + size
    return starts, end
