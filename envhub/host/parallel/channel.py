"""Messages between a process and its worker: pickled through a socket, arrays in shared memory."""

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

HEAD = struct.Struct("<QQ")  # bytes that follow, arrays in shared memory
ALIGNMENT = 64
FEW = 4096  # bytes of an array that are quicker sent than shared


def shared_file() -> int:
    """The descriptor of a file without a name: its memory is gone when its users are."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("envhub")
    else:  # macOS
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, 1 << 16)
    return file


class Channel:
    """One end, of which there are two. They speak in turn.

    What is received is a copy, so the memory is free again once a message was received.

    Args:
        connection: a stream, connected to the other end.
        memory: from `shared_file`, open at the other end too.
    """

    def __init__(self, connection: socket.socket, memory: int) -> None:
        self._socket, self._memory = connection, memory
        self._map = mmap.mmap(memory, os.fstat(memory).st_size)
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def send(self, message: Any) -> None:
        """Send anything that can be pickled.

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
            # Never shorter than it is: the other end may have needed more.
            os.ftruncate(self._memory, max(2 * end, os.fstat(self._memory).st_size))
        self._see(end)
        for start, view in zip(starts, shared, strict=True):
            self._map[start : start + view.nbytes] = view
        body = struct.pack(f"<{len(sizes)}Q", *sizes) + pickled
        self._socket.sendall(HEAD.pack(len(body), len(sizes)) + body)

    def wait(self, deadline: float | None) -> bool:
        """Wait for a message, or for the other end to be closed.

        Args:
            deadline: of `time.monotonic`; `None` to wait for as long as it takes.
        """
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        return bool(self._poll.poll(left))

    def receive(self) -> Any:
        """Wait for a message.

        Raises:
            EOFError: if the other end is closed.
            OSError: if it broke.
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
        """Tell the other end that nothing follows, whoever else holds the descriptor."""
        with contextlib.suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the descriptors and the memory."""
        self._socket.close()
        self._map.close()
        os.close(self._memory)

    def _see(self, end: int) -> None:
        """Map all of the memory if less than that is mapped."""
        if end > len(self._map):
            self._map = mmap.mmap(self._memory, os.fstat(self._memory).st_size)

    def _read(self, size: int) -> bytes:
        """That many bytes, and not one of the next message."""
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise EOFError("the other end is closed")
            data = data + part if data else part
        return data


def _starts(sizes: Any) -> tuple[list[int], int]:
    """Where arrays of these sizes lie in the memory, and where the last one ends."""
    starts, end = [], 0
    for size in sizes:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        starts.append(start)
        end = start + size
    return starts, end
