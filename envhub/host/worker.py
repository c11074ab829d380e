"""What a worker does: answer requests about the instances that it has, one after another.

A worker is a thread, or a process of its own, whose `main` is here.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from envhub.errors import InvalidOptionError
from envhub.host.channel import Channel
from envhub.host.columns import pack, pack_infos, unpack
from envhub.host.fleet import Fleet, Outcomes, SerialFleet
from envhub.host.instance import Instance

COLUMNS = Outcomes._fields[:6]  # those with an entry for each lane
GRACE = 1.0  # seconds that an instance has to finish what it is doing, once nobody waits for it
OFTEN = 5000  # milliseconds between looks at whose child this is


class Reply(NamedTuple):
    """The answer to a request.

    Attributes:
        value: what the method of the fleet returned.
        error: what it raised.
        is_lost: whether the worker is gone, and the states of all its instances with it.
    """

    value: Any = None
    error: BaseException | None = None
    is_lost: bool = False


def build(
    construct: Callable[[], Instance], first: Instance | None, size: int, saves: bool
) -> Fleet:
    """The instances of a worker.

    Args:
        construct: makes an instance.
        first: one that is there already, if any.
        size: how many there are to be.
        saves: see `SerialFleet`.
    """
    fleet = SerialFleet(construct, first or construct(), saves=saves)
    fleet.grow(size - 1)
    return fleet


def serve(
    start: Callable[[], Fleet], receive: Callable[[], Any], send: Callable[[Reply], None]
) -> None:
    """Answer requests.

    Args:
        start: makes the fleet; what it raises is the answer to the first request, and the last.
        receive: gives the next request, a method of the fleet and its arguments, or raises
            `EOFError`.
        send: takes the answer.
    """
    try:
        fleet = start()
    except BaseException as error:
        receive()
        send(Reply(error=error, is_lost=True))
        return
    try:
        while True:
            method, arguments = receive()
            try:
                reply = Reply(getattr(fleet, method)(*arguments))
            except BaseException as error:
                reply = Reply(error=error)
            send(reply)
    except EOFError:
        pass
    finally:
        fleet.close()


# A process of its own.


def main(connection: int, memory: int, parent: int) -> None:
    """Answer until the other end is closed, and end the process.

    Args:
        connection: the descriptor of a socket.
        memory: the descriptor of a shared file.
        parent: the process that started this one.
    """
    other = socket.socket(fileno=connection)
    threading.Thread(target=_end_with, args=(other, parent), daemon=True).start()
    channel = Channel(other, memory)

    def start() -> Fleet:
        pickled, size, saves = channel.receive()
        return build(_load(pickled), None, size, saves)

    def receive() -> Any:
        method, arguments = channel.receive()
        return method, list(map(unpack, arguments))

    def send(reply: Reply) -> None:
        try:
            channel.send(encode(reply))
        except OSError:
            raise
        except Exception as error:  # it cannot be pickled
            channel.send(encode(Reply(error=error)))

    with contextlib.suppress(EOFError, OSError):  # nobody is left to answer
        serve(start, receive, send)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # at once: what libraries do at exit takes longer than the parent waits


def _load(pickled: bytes) -> Callable[[], Instance]:
    try:
        construct: Callable[[], Instance] = pickle.loads(pickled)
    except Exception as error:  # whatever importing a module may raise
        raise InvalidOptionError(
            f"workers='process': a new process cannot import what makes this environment: {error}. "
            "Define it in a module, and not in a script or a notebook, or use workers='thread'."
        ) from error
    return construct


def _end_with(connection: socket.socket, parent: int) -> None:
    """End this process soon after its parent, even if an instance never returns."""
    watched = select.poll()
    watched.register(connection, 0)  # only that it was closed
    # A copy of the parent, made by `fork`, would keep the socket open.
    while not watched.poll(OFTEN) and os.getppid() == parent:
        pass
    time.sleep(GRACE)
    os._exit(1)


def encode(reply: Reply) -> Any:
    """A form of a reply that can be sent to another process."""
    value: Any = reply.value
    if isinstance(value, Outcomes):
        columns = {name: pack(getattr(value, name)) for name in COLUMNS if name != "infos"}
        columns["infos"] = pack_infos(value.infos)
        failures: Any = {lane: Raised.of(error) for lane, error in value.failures.items()}
        value = value._replace(**columns, failures=failures)
    error = None if reply.error is None else Raised.of(reply.error)
    return value, error, reply.is_lost


def decode(encoded: Any) -> Reply:
    """The inverse of `encode`."""
    value, error, is_lost = encoded
    if isinstance(value, Outcomes):
        columns = {name: unpack(getattr(value, name)) for name in COLUMNS}
        raised: Any = value.failures
        failures = {lane: each.load() for lane, each in raised.items()}
        value = value._replace(**columns, failures=failures)
    return Reply(value, None if error is None else error.load(), is_lost)


class Raised(NamedTuple):
    """An exception on its way to another process: pickled, where it can be, and in words."""

    pickled: bytes
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Raised:
        """Prepare an exception, with its traceback as a note."""
        text = "".join(traceback.format_exception(error)).rstrip()
        try:
            error.add_note(f"In its worker:\n{text}")
            pickled = pickle.dumps(error)
            is_same = type(pickle.loads(pickled)) is type(error)
        except Exception:  # of exceptions that take other arguments than they keep, or hold a lock
            return cls(b"", text)
        return cls(pickled if is_same else b"", text)

    def load(self) -> BaseException:
        """The exception, or a `RuntimeError` that quotes it."""
        try:
            error: BaseException = pickle.loads(self.pickled)
        except Exception:  # there is none, or its class is elsewhere
            return RuntimeError(self.text)
        return error
