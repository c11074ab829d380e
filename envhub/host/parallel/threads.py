"""A part of a fleet in its own thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from envhub.host.fleet import Method
from envhub.host.instance import Instance
from envhub.host.parallel.parts import Part, Worker
from envhub.host.parallel.serving import Reply, build, serve


class ThreadWorker(Worker):
    """A worker in its own thread, which makes and runs the instances.

    Some instances work in the thread that made them alone.

    Args:
        construct, first, size, saves: see `build`.
    """

    def __init__(
        self, construct: Callable[[], Instance], first: Instance | None, size: int, saves: bool
    ) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()  # an entry follows each reply
        receive, put, ring = self._requests.get, self._replies.put, self._bell.put

        def next_request() -> Any:
            request = receive()
            if request is None:
                raise EOFError
            return request

        def answer(reply: Reply) -> None:
            put(reply)
            ring(None)

        # The thread is a daemon, so that an instance that never returns does not block the exit.
        self._thread = threading.Thread(
            target=serve,
            args=(lambda: build(construct, first, size, saves), next_request, answer),
            name="envhub-worker",
            daemon=True,
        )
        self._thread.start()

    def send(self, method: Method, arguments: Sequence[Any]) -> None:
        self._requests.put((method, arguments))

    def wait(self, deadline: float | None) -> bool:
        while self._replies.empty():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                self._bell.get(timeout=left)
            except queue.Empty:
                return False
        return True

    def receive(self) -> Reply:
        return self._replies.get()

    def ask_to_end(self) -> None:
        self._requests.put(None)

    def end(self, deadline: float) -> None:
        # The garbage collector may call this in the worker's own thread.
        if self._thread is not threading.current_thread():
            self._thread.join(max(0.0, deadline - time.monotonic()))


def thread_part(
    construct: Callable[[], Instance], first: Instance | None, saves: bool, timeout: float | None
) -> Part:
    """Return a part with a thread; `first` is its first instance, if it is not `None`."""
    given = [first]

    def start(size: int) -> Worker:
        # Only the first worker gets `first`: a worker that was given up may still use it.
        first, given[0] = given[0], None
        return ThreadWorker(construct, first, size, saves)

    return Part(start, timeout)
