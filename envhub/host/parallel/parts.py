"""Parts of a fleet. Each has a worker, which is replaced if it is lost."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from envhub.host.fleet import Method, admitting
from envhub.host.parallel.serving import Reply

MOST_WORKERS = 16  # the most by default
STARTING = 60.0  # the seconds that a worker has to start, in addition to the timeout of a call


class WorkerError(RuntimeError):
    """A worker is gone, and with it the states and the params of all its instances.

    Attributes:
        how: how the worker ended.
        lost: the numbers of the instances.
    """

    def __init__(self, how: str, lost: Sequence[int] = ()) -> None:
        super().__init__(how, lost)
        self.how, self.lost = how, lost

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lost[:8]))
        more = ", …" if len(self.lost) > 8 else ""
        return f"{self.how}; it ran the instances {shown}{more}" if self.lost else self.how


class Worker(abc.ABC):
    """A thread, a process or an actor that answers requests.

    Attributes:
        process: the id of the process; `None` for a thread, and before an actor has started.
        node: the address and the id of the node of a cluster; empty for this machine.
    """

    process: int | None = None
    node: str = ""

    @property
    def title(self) -> str:
        """What errors call it."""
        return "its worker"

    @abc.abstractmethod
    def send(self, method: Method, arguments: Sequence[Any]) -> None:
        """Send a request; if the worker is gone, `receive` raises the error."""

    @abc.abstractmethod
    def wait(self, deadline: float | None) -> bool:
        """Wait until `receive` can return or raise, or until the deadline.

        An interrupt has no effect on the worker, so the caller may wait again.

        Returns:
            Whether `receive` can return or raise.
        """

    @abc.abstractmethod
    def receive(self) -> Reply:
        """Return the answer that arrived.

        Raises:
            EOFError: if the worker is gone; the message says how it ended.
        """

    @abc.abstractmethod
    def ask_to_end(self) -> None:
        """Tell the worker that no request follows."""

    @abc.abstractmethod
    def end(self, deadline: float) -> None:
        """Wait for the end of the worker, and kill it at the deadline, unless it is a thread."""


class Part:
    """Some of the instances of a fleet, with one worker at a time.

    Args:
        start: a function that starts a worker with a number of instances.
        timeout: the seconds that a call may take; `None` for no limit.

    Attributes:
        size: the number of instances.
        is_idle: whether every request was answered.
        is_waiting: whether an answer will come. After an interrupt, both flags may be false.
    """

    def __init__(self, start: Callable[[int], Worker], timeout: float | None = None) -> None:
        self.size = 1
        self.is_idle, self.is_waiting = True, False
        self._start, self._timeout = start, timeout
        self._due: float | None = None  # the time at which the answer must have arrived
        self._worker: Worker | None = None

    @property
    def worker(self) -> Worker | None:
        """The worker; `None` before the first request, and after it was lost."""
        return self._worker

    def begin(self, method: Method, arguments: Sequence[Any]) -> None:
        """Send a request, to a new worker if the part has none."""
        self.is_idle = False
        allowed = self._timeout
        if self._worker is None:
            self._worker = self._start(self.size)
            allowed = allowed and allowed + STARTING
        self._due = None if allowed is None else time.monotonic() + allowed
        self.is_waiting = True
        self._worker.send(method, arguments)

    def finish(self, deadline: float | None = None) -> Reply | None:
        """Wait for the answer.

        Args:
            deadline: the time until which to wait without admitting an interrupt; `None` to wait
                until the timeout of the call and admit interrupts.

        Returns:
            The answer, which is an error if the call took too long; `None` if the deadline passed.
        """
        worker = self._worker
        assert worker is not None
        if deadline is None:
            if not admitting(lambda: worker.wait(self._due)):
                self.give_up()
                limit = f"timeout={self._timeout} s"
                hung = f"{worker.title} did not answer within {limit} and was stopped"
                return Reply(error=WorkerError(hung), is_lost=True)
        elif not worker.wait(deadline):
            return None
        self.is_waiting = False
        try:
            reply = worker.receive()
        except EOFError as error:
            reply = Reply(error=WorkerError(str(error)), is_lost=True)
        if reply.is_lost:
            self.give_up()
        self.is_idle = True
        return reply

    def give_up(self) -> bool:
        """End the worker at once, and return whether there was one; the next request starts one."""
        worker, self._worker = self._worker, None
        self.is_idle, self.is_waiting = True, False
        if worker is not None:
            worker.ask_to_end()
            worker.end(0.0)
        return worker is not None

    def ask_to_end(self) -> None:
        """Tell the worker, if there is one, that no request follows."""
        if self._worker is not None:
            self._worker.ask_to_end()

    def end(self, deadline: float) -> None:
        """Wait for the end of the worker, and kill a process at the deadline."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end(deadline)


def number_of_workers(options: Mapping[str, Any], cpus: int) -> int:
    """Return the number of workers; by default, one for each CPU that they may use."""
    return options.get("num_workers") or max(1, min(cpus, MOST_WORKERS))
