"""What a worker does: answer requests about the instances that it has, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from envhub.host.fleet import Method, SerialFleet
from envhub.host.instance import Instance

Request = tuple[Method, Sequence[Any]]


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
) -> SerialFleet:
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
    start: Callable[[], SerialFleet], receive: Callable[[], Request], send: Callable[[Reply], None]
) -> None:
    """Answer requests.

    Args:
        start: makes the fleet; what it raises is the answer to the first request, and the last.
        receive: gives the next request, or raises `EOFError`.
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
                reply = Reply(method(fleet, *arguments))
            except BaseException as error:
                reply = Reply(error=error)
            send(reply)
    except EOFError:
        pass
    finally:
        fleet.close()
