"""A part of a fleet in its own process: the worker, and the program that the process runs."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from envhub.errors import InvalidOptionError
from envhub.host.fleet import Method, SerialFleet
from envhub.host.instance import Instance
from envhub.host.parallel.channel import Channel, shared_file
from envhub.host.parallel.messages import (
    answer_with,
    load_constructor,
    pack_request,
    unpack_reply,
    unpack_request,
)
from envhub.host.parallel.parts import Part, Worker
from envhub.host.parallel.serving import Reply, Request, build, serve
from envhub.params import wait_with_jax

GRACE = 1.0  # the seconds that a running call of an instance has after the parent's end
REMEDY = "Define it in a module, not in a script or a notebook, or use workers='thread'."
OFTEN = 5000  # the milliseconds between checks that the parent is alive
# The worker ignores Ctrl-C, which the parent handles, and imports from the parent's path.
BOOT = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = {path!r}
from envhub.host.parallel.processes import main
main({connection}, {memory}, {parent})
"""


class ProcessWorker(Worker):
    """A worker in its own process.

    Args:
        pickled: the pickled function that makes one instance.
        size, saves: see `build`.
        info: the names of the entries of `info` that the process sends.
    """

    def __init__(self, pickled: bytes, size: int, saves: bool, info: Sequence[str]) -> None:
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
                    # If an environment uses JAX itself, the accelerator belongs to the parent.
                    env={**os.environ, "JAX_PLATFORMS": "cpu"},
                )
        except BaseException:
            self._channel.close()
            raise
        self.process = self._process.pid
        self._send((pickled, size, saves, list(info)))

    def send(self, method: Method, arguments: Sequence[Any]) -> None:
        self._send(pack_request(method, arguments))

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # the process is gone, which `receive` finds
            self._channel.send(message)

    def wait(self, deadline: float | None) -> bool:
        return self._channel.wait(deadline)

    def receive(self) -> Reply:
        try:
            return unpack_reply(self._channel.receive())
        except (EOFError, OSError) as error:
            raise EOFError(f"its worker died ({self._how_it_ended()})") from error
        except Exception as error:  # the message cannot be unpickled
            return Reply(error=error)

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
        except BaseException as error:  # also after an interrupt, no process may be left behind
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            self._channel.close()


def process_part(
    construct: Callable[[], Instance], saves: bool, info: Sequence[str], timeout: float | None
) -> Part:
    """Return a part with a process.

    Raises:
        InvalidOptionError: if `construct` cannot be pickled.
    """
    try:
        pickled = pickle.dumps(construct, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # the exceptions that pickling raises have no common base
        raise InvalidOptionError(
            "workers='process': the constructor of this environment cannot be pickled for a new "
            f"process: {error}. Register a class or function that is defined in a module, and give "
            "keywords that can be pickled; or use workers='thread'."
        ) from error
    return Part(lambda size: ProcessWorker(pickled, size, saves, info), timeout)


# The program of the worker's process.


def main(connection: int, memory: int, parent: int) -> None:
    """Answer requests until the other end is closed, and then end the process.

    Args:
        connection: the descriptor of a socket.
        memory: the descriptor of a shared file.
        parent: the id of the process that started this one.
    """
    wait_with_jax()
    other = socket.socket(fileno=connection)
    threading.Thread(target=_end_with, args=(other, parent), daemon=True).start()
    channel = Channel(other, memory)

    info: list[str] = []

    def start() -> SerialFleet:
        pickled, size, saves, info[:] = channel.receive()
        construct = load_constructor(pickled, "workers='process': a new process", REMEDY)
        return build(construct, None, size, saves)

    def receive() -> Request:
        return unpack_request(channel.receive())

    def send(reply: Reply) -> None:
        answer_with(channel.send, reply, info)

    with contextlib.suppress(EOFError, OSError):  # the parent closed its end, or ended
        serve(start, receive, send)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the exit handlers of libraries take longer than the parent waits


def _end_with(connection: socket.socket, parent: int) -> None:
    """End this process soon after its parent, even if an instance never returns."""
    watched = select.poll()
    watched.register(connection, 0)  # an empty mask still reports that the other end was closed
    # The socket alone is not enough, because a fork of the parent keeps it open.
    while not watched.poll(OFTEN) and os.getppid() == parent:
        pass
    time.sleep(GRACE)
    os._exit(1)
