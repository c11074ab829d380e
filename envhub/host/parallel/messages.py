"""Requests and replies in forms that can be pickled, for workers outside of this process."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from envhub.errors import InvalidOptionError
from envhub.host.fleet import Method
from envhub.host.instance import Instance
from envhub.host.outcomes import OF_LANES, Outcomes
from envhub.host.parallel.columns import compact, compact_infos, expand
from envhub.host.parallel.serving import Reply, Request

Sent = TypeVar("Sent")


def pack_request(method: Method, arguments: Sequence[Any]) -> Any:
    """Return a form of a request that can be pickled."""
    return method, [compact(argument) for argument in arguments]


def unpack_request(packed: Any) -> Request:
    """Return the request that `pack_request` was given."""
    method, arguments = packed
    return method, [expand(argument) for argument in arguments]


def load_constructor(pickled: bytes, where: str, remedy: str) -> Callable[[], Instance]:
    """Return a pickled function that makes one instance.

    Raises:
        InvalidOptionError: if it cannot be unpickled here; the message names `where` this is.
    """
    try:
        construct: Callable[[], Instance] = pickle.loads(pickled)
    except Exception as error:  # importing a module may raise anything
        raise InvalidOptionError(
            f"{where} cannot import the constructor of this environment: {error}. {remedy}"
        ) from error
    return construct


def answer_with(send: Callable[[Any], Sent], reply: Reply, info: Sequence[str]) -> Sent:
    """Send a reply with these entries of `info`, but no lane that cannot be pickled.

    Args:
        send: pickles what `pack_reply` returns, and sends it.
        reply: the reply.
        info: the names of the entries.

    Returns:
        What `send` returns.
    """
    try:
        return send(pack_reply(reply, info))
    except OSError:  # nobody receives it
        raise
    except Exception as error:
        return send(pack_reply(_what_can_be_sent(reply, info, error), info))


def _what_can_be_sent(reply: Reply, info: Sequence[str], error: Exception) -> Reply:
    """Return the reply without the lanes that cannot be pickled; `error` if it has no lanes."""
    value = reply.value
    if not isinstance(value, Outcomes):
        return Reply(error=error)
    failures, kept = dict(value.failures), []
    for place, lane in enumerate(value.lanes or range(len(value.obs))):
        try:
            pickle.dumps(pack_reply(Reply(value.some([place])), info))
            kept.append((place, lane))
        except Exception as wrong:
            failures[lane] = wrong
    return Reply(value.some([place for place, _ in kept], [lane for _, lane in kept], failures))


def pack_reply(reply: Reply, info: Sequence[str]) -> Any:
    """Return a form of a reply that can be pickled, with these entries of `info`."""
    value: Any = reply.value
    if isinstance(value, Outcomes):
        columns = {name: compact(getattr(value, name)) for name in OF_LANES}
        columns["infos"] = compact_infos(value.infos, info)
        failures: Any = {lane: Raised.of(error) for lane, error in value.failures.items()}
        value = value._replace(**columns, failures=failures)
    error = None if reply.error is None else Raised.of(reply.error)
    return value, error, reply.is_lost


def unpack_reply(encoded: Any) -> Reply:
    """Return the reply that `pack_reply` was given."""
    value, error, is_lost = encoded
    if isinstance(value, Outcomes):
        columns = {name: expand(getattr(value, name)) for name in OF_LANES}
        raised: Any = value.failures
        failures = {lane: each.load() for lane, each in raised.items()}
        value = value._replace(**columns, failures=failures)
    return Reply(value, None if error is None else error.load(), is_lost)


class Raised(NamedTuple):
    """An exception in a form that can be pickled.

    Attributes:
        pickled: the pickled exception; empty if it cannot be pickled.
        text: the exception with its traceback.
    """

    pickled: bytes
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Raised:
        """Return this form of an exception, to which the traceback is added as a note."""
        text = "".join(traceback.format_exception(error)).rstrip()
        try:
            error.add_note(f"In its worker:\n{text}")
            pickled = pickle.dumps(error)
            is_same = type(pickle.loads(pickled)) is type(error)
        except Exception:  # it takes other arguments than it keeps, or holds a lock
            return cls(b"", text)
        return cls(pickled if is_same else b"", text)

    def load(self) -> BaseException:
        """Return the exception, or a `RuntimeError` that quotes it."""
        try:
            error: BaseException = pickle.loads(self.pickled)
        except Exception:  # it could not be pickled, or its class cannot be imported here
            return RuntimeError(self.text)
        return error
