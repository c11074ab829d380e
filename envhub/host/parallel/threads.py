"""A part of a fleet in a thread."""

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
    """A thread of its own: what an instance holds may belong to the thread that made it.

    Args:
        construct, first, size, saves: see `build`.
    """

    def __init__(
        self, construct: Callable[[], Instance], first: Instance | None, size: int, saves: bool
    ) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()  # rings after a reply
        receive, put, ring = self._requests.get, self._replies.put, self._bell.put

        def next_request() -> Any:
            request = receive()
            if request is None:
                raise EOFError
            return request

        def answer(reply: Reply) -> None:
            put(reply)
            ring(None)

        # A daemon, because an instance that never returns must not keep the interpreter.
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
        # Garbage may be collected in any thread, in this one too.
        if self._thread is not threading.current_thread():
            self._thread.join(max(0.0, deadline - time.monotonic()))


def thread_part(
    construct: Callable[[], Instance], first: Instance | None, saves: bool, timeout: float | None
) -> Part:
    """A part in a thread; `first` is its first instance, if there is one."""
    given = [first]

    def start(size: int) -> Worker:
        # A thread that was given up may still be using it.
        first, given[0] = given[0], None
        return ThreadWorker(construct, first, size, saves)

    return Part(start, timeout)
