"""The loop of a worker, which answers requests about its instances one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from envhub.host.fleet import Method, SerialFleet
from envhub.host.instance import Instance

Request = tuple[Method, Sequence[Any]]


class Reply(NamedTuple):
    """The answer to a request.

    Attributes:
        value: the result of the method of the fleet.
        error: the exception that the method raised, if any.
        is_lost: whether the worker is gone, and the states of all its instances with it.
    """

    value: Any = None
    error: BaseException | None = None
    is_lost: bool = False


def build(
    construct: Callable[[], Instance], first: Instance | None, size: int, saves: bool
) -> SerialFleet:
    """Return the fleet of a worker.

    Args:
        construct: a function that makes one instance.
        first: an instance that exists already; `None` if there is none.
        size: the number of instances.
        saves: see `SerialFleet`.
    """
    fleet = SerialFleet(construct, first or construct(), saves=saves)
    fleet.grow(size - 1)
    return fleet


def answer(fleet: SerialFleet, method: Method, arguments: Sequence[Any]) -> Reply:
    """Answer one request."""
    try:
        return Reply(method(fleet, *arguments))
    except BaseException as error:
        return Reply(error=error)


def serve(
    start: Callable[[], SerialFleet], receive: Callable[[], Request], send: Callable[[Reply], None]
) -> None:
    """Answer requests until `receive` raises `EOFError`.

    Args:
        start: makes the fleet. If it raises, the exception answers the first request, and the loop
            ends.
        receive: returns the next request, or raises `EOFError`.
        send: sends the answer.
    """
    try:
        fleet = start()
    except BaseException as error:
        receive()
        send(Reply(error=error, is_lost=True))
        return
    try:
        while True:
            send(answer(fleet, *receive()))
    except EOFError:
        pass
    finally:
        fleet.close()
