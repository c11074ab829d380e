"""Parts of a fleet, each with a worker that can be lost and is then replaced."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Sequence
from typing import Any

from envhub.host.fleet import Method, admitting
from envhub.host.parallel.serving import Reply

STARTING = 60.0  # seconds that a worker has to start, which the timeout of a call does not count


class WorkerError(RuntimeError):
    """A worker is gone, and with it the states and the params of all its instances.

    Attributes:
        lost: their numbers.
    """

    def __init__(self, how: str, lost: Sequence[int] = ()) -> None:
        super().__init__(how, lost)
        self.how, self.lost = how, lost

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lost[:8]))
        more = ", …" if len(self.lost) > 8 else ""
        return f"{self.how}; it ran the instances {shown}{more}" if self.lost else self.how


class Worker(abc.ABC):
    """A thread or a process that runs `serve`.

    Attributes:
        process: the id of the process.
    """

    process: int | None = None

    @abc.abstractmethod
    def send(self, method: Method, arguments: Sequence[Any]) -> None:
        """Send a request; not finding anybody is left to `receive`."""

    @abc.abstractmethod
    def wait(self, deadline: float | None) -> bool:
        """Wait until there is something to receive, or until the deadline.

        An interrupt changes nothing: waiting again goes on.
        """

    @abc.abstractmethod
    def receive(self) -> Reply:
        """The answer, which is there.

        Raises:
            EOFError: if the worker is gone, saying how it ended.
        """

    @abc.abstractmethod
    def ask_to_end(self) -> None:
        """Tell it that nothing follows."""

    @abc.abstractmethod
    def end(self, deadline: float) -> None:
        """See it end, by force where there is one, after the deadline."""


class Part:
    """Some of the instances of a fleet, behind one worker at a time.

    Args:
        start: starts a worker with that many instances.
        timeout: the seconds that a call may take; `None` for ever.

    Attributes:
        size: how many instances there are.
        is_idle: whether nothing was sent that is not answered.
        is_waiting: whether an answer is to come; after an interruption neither may be the case.
    """

    def __init__(self, start: Callable[[int], Worker], timeout: float | None = None) -> None:
        self.size = 1
        self.is_idle, self.is_waiting = True, False
        self._start, self._timeout = start, timeout
        self._due: float | None = None  # when the answer must be there
        self._worker: Worker | None = None

    @property
    def process(self) -> int | None:
        """The id of the process, if there is one at present."""
        return None if self._worker is None else self._worker.process

    def begin(self, method: Method, arguments: Sequence[Any]) -> None:
        """Send a request, to a new worker if there is none."""
        self.is_idle = False
        allowed = self._timeout
        if self._worker is None:
            self._worker = self._start(self.size)
            allowed = allowed and allowed + STARTING
        self._due = None if allowed is None else time.monotonic() + allowed
        self.is_waiting = True
        self._worker.send(method, arguments)

    def finish(self, deadline: float | None = None) -> Reply | None:
        """Wait for the answer, until an interrupt; with a deadline, until that and no interrupt.

        Returns:
            The answer, which is an error if the call took too long; none if the deadline passed.
        """
        worker = self._worker
        assert worker is not None
        if deadline is None:
            if not admitting(lambda: worker.wait(self._due)):
                self.give_up()
                hung = f"its worker did not answer within timeout={self._timeout} s and was stopped"
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
        """Have no worker until the next request; say whether there was one."""
        worker, self._worker = self._worker, None
        self.is_idle, self.is_waiting = True, False
        if worker is not None:
            worker.ask_to_end()
            worker.end(0.0)
        return worker is not None

    def ask_to_end(self) -> None:
        """Tell the worker, if there is one, that nothing follows."""
        if self._worker is not None:
            self._worker.ask_to_end()

    def end(self, deadline: float) -> None:
        """See the worker end."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end(deadline)
