"""Parts of a fleet, each with a worker that can be lost and is then replaced."""

from __future__ import annotations

import abc
import contextlib
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from envhub.errors import InvalidOptionError
from envhub.host.channel import Channel, shared_file
from envhub.host.columns import pack
from envhub.host.instance import Instance
from envhub.host.interrupts import admitting
from envhub.host.worker import Reply, build, decode, serve

# Ctrl-C is the parent's alone; the worker finds what the parent finds.
BOOT = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = {path!r}
from envhub.host.worker import main
main({connection}, {memory}, {parent})
"""


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
    """A thread or a process that runs `serve`."""

    @abc.abstractmethod
    def send(self, method: str, arguments: Sequence[Any]) -> None:
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

    Attributes:
        size: how many instances there are.
        is_idle: whether nothing was sent that is not answered.
        is_waiting: whether an answer is to come; after an interruption neither may be the case.
    """

    def __init__(self, start: Callable[[int], Worker]) -> None:
        self.size = 1
        self.is_idle, self.is_waiting = True, False
        self._start = start
        self._worker: Worker | None = None

    def begin(self, method: str, arguments: Sequence[Any]) -> None:
        """Send a request, to a new worker if there is none."""
        self.is_idle = False
        if self._worker is None:
            self._worker = self._start(self.size)
        self.is_waiting = True
        self._worker.send(method, arguments)

    def finish(self, deadline: float | None = None) -> Reply | None:
        """Wait for the answer, until an interrupt; with a deadline, until that and no interrupt.

        Returns:
            The answer; none if the deadline passed.
        """
        worker = self._worker
        assert worker is not None
        if deadline is None:
            admitting(lambda: worker.wait(None))
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

    def send(self, method: str, arguments: Sequence[Any]) -> None:
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


class ProcessWorker(Worker):
    """A process of its own.

    Args:
        pickled: what makes an instance.
        size, saves: see `build`.
    """

    def __init__(self, pickled: bytes, size: int, saves: bool) -> None:
        connection, other = socket.socketpair()
        memory = shared_file()
        code = BOOT.format(
            path=sys.path, connection=other.fileno(), memory=memory, parent=os.getpid()
        )
        self._channel = Channel(connection, memory)
        try:
            with other:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(other.fileno(), memory),
                    # Should an environment use JAX itself: the accelerator is the parent's.
                    env={**os.environ, "JAX_PLATFORMS": "cpu"},
                )
        except BaseException:
            self._channel.close()
            raise
        self._send((pickled, size, saves))

    def send(self, method: str, arguments: Sequence[Any]) -> None:
        self._send((method, [pack(argument) for argument in arguments]))

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # it is gone, which is seen when its answer is read
            self._channel.send(message)

    def wait(self, deadline: float | None) -> bool:
        return self._channel.wait(deadline)

    def receive(self) -> Reply:
        try:
            return decode(self._channel.receive())
        except (EOFError, OSError) as error:
            raise EOFError(f"its worker died ({self._how_it_ended()})") from error

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "it hung up"
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def ask_to_end(self) -> None:
        self._channel.end()

    def end(self, deadline: float) -> None:
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except BaseException as error:  # an interrupt too: no process is left behind
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            self._channel.close()


def thread_part(construct: Callable[[], Instance], first: Instance | None, saves: bool) -> Part:
    """A part in a thread; `first` is its first instance, if there is one."""
    given = [first]

    def start(size: int) -> Worker:
        # A thread that was given up may still be using it.
        first, given[0] = given[0], None
        return ThreadWorker(construct, first, size, saves)

    return Part(start)


def process_part(construct: Callable[[], Instance], saves: bool) -> Part:
    """A part in a process.

    Raises:
        InvalidOptionError: if what makes an instance cannot be sent to another process.
    """
    try:
        pickled = pickle.dumps(construct, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # there is no common base of what objects raise here
        raise InvalidOptionError(
            "workers='process': what makes this environment cannot be pickled for a new process: "
            f"{error}. Register a class or function that is defined in a module, and give keywords "
            "that can be pickled; or use workers='thread'."
        ) from error
    return Part(lambda size: ProcessWorker(pickled, size, saves))
