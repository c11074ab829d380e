"""A fleet in parts that work in parallel, each with its own thread, process or actor.

Of n parts, part i % n has instance i of the fleet, under the number i // n. A call is sent to all
parts before the fleet waits for an answer.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub.host.fleet import Fleet, Method, Place, SerialFleet, deferred
from envhub.host.instance import Instance
from envhub.host.outcomes import OF_LANES, Outcomes
from envhub.host.parallel.columns import Places, join, pick
from envhub.host.parallel.parts import Part, WorkerError
from envhub.host.parallel.serving import Reply

PATIENCE = 2.0  # the seconds that workers have to finish after an interrupt or a `close`


class Share(NamedTuple):
    """The share of one part in a call.

    Attributes:
        part: the number of the part.
        places: the lanes of the call that the part answers.
        lanes: these lanes as a list.
        numbers: the numbers of their instances in the part.
    """

    part: int
    places: Places
    lanes: list[int]
    numbers: list[int]


class Call:
    """A request to one part, and its progress."""

    def __init__(self, part: Part, method: Method, arguments: Sequence[Any]) -> None:
        self.reply: Reply | None = None
        self._part, self._method, self._arguments = part, method, arguments
        self._is_begun = False

    def begin(self) -> None:
        """Send the request."""
        self._is_begun = True
        if self._part.is_idle:
            self._part.begin(self._method, self._arguments)
        else:  # two interrupts came: one in the last call, and one while that call was finishing
            self._part.give_up()
            error = WorkerError("its worker was stopped after an interrupt")
            self.reply = Reply(error=error, is_lost=True)

    def finish(self) -> None:
        """Wait for the answer, and keep it."""
        if self.reply is None:
            self.reply = self._part.finish()

    def wait(self, deadline: float) -> None:
        """After an interrupt, wait for the answer if there will be one."""
        if self._is_begun and self.reply is None and self._part.is_waiting:
            self.reply = self._part.finish(deadline)

    def drop(self, error: BaseException) -> None:
        """Give up the worker if it has not answered."""
        if self._is_begun and self.reply is None:
            self.reply = Reply(error=error, is_lost=self._part.give_up())


class ParallelFleet(Fleet):
    """A fleet whose parts work at the same time.

    An interrupt (Ctrl-C) of a call waits until the parts have finished their shares, for at most
    two seconds. A worker that takes longer is given up.

    Args:
        parts: the parts, with one instance each.
        first: an instance that belongs to no part; `close` closes it.
        is_lazy: whether a worker starts when an instance of it is needed, except for the first.

    Raises:
        Exception: if constructing an instance in a part raises it.
    """

    def __init__(
        self, parts: Sequence[Part], first: Instance | None = None, *, is_lazy: bool = False
    ) -> None:
        self._parts, self._first = parts, first
        self._size = 1
        self._last: tuple[list[int], list[Share]] = ([], [])
        self._process = os.getpid()
        self._end = weakref.finalize(self, _end, parts, self._process)
        # These workers start at once, so that one that cannot start is found here.
        starting = range(1 if is_lazy else len(parts))
        calls, interrupt = self._ask(SerialFleet.grow, dict.fromkeys(starting, (0,)))
        errors = [interrupt, *[call.reply and call.reply.error for call in calls]]
        for error in errors:
            if error is not None:
                self._end()
                raise error

    @property
    def size(self) -> int:
        """The number of instances."""
        return self._size

    @property
    def processes(self) -> list[int]:
        return [place.process for place in self.workers if place.process is not None]

    @property
    def workers(self) -> list[Place]:
        found = enumerate(part.worker for part in self._parts)
        return [
            Place(worker.process, worker.node, list(self._all_of(part)))
            for part, worker in found
            if worker is not None
        ]

    def grow(self, count: int) -> None:
        size, n = self._size + count, len(self._parts)
        # Each part has one instance from the start, even if it is not needed yet.
        wanted = {part: -(-(size - part) // n) for part in range(min(n, size))}
        missing = {part: each - self._parts[part].size for part, each in wanted.items()}
        self._command(
            SerialFleet.grow, {part: (each,) for part, each in missing.items() if each > 0}
        )
        for part, each in missing.items():
            self._parts[part].size += max(0, each)
        self._size = size

    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        return self._play(SerialFleet.reset, numbers, seeds)

    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        return self._play(SerialFleet.step, numbers, actions)

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        self._command(SerialFleet.restore, self._requests(self._split(numbers), saved, obs))

    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        self._command(SerialFleet.set_params, self._requests(self._split(numbers), values))

    def render(self, number: int) -> Any:
        return self._command(SerialFleet.render, self._address(number))[0]

    def replace(self, number: int) -> None:
        self._command(SerialFleet.replace, self._address(number))

    def close(self) -> None:
        if self._first is not None and self._process == os.getpid():
            self._first.close()
        self._end()

    # Sending and collecting.

    def _play(self, method: Method, numbers: Sequence[int], column: Sequence[Any]) -> Outcomes:
        shares = self._split(numbers)
        calls, interrupt = self._ask(method, self._requests(shares, column))
        outcomes: list[Any] = [call.reply.value if call.reply else None for call in calls]
        if interrupt is None and all(each and each.lanes is None for each in outcomes):
            return _merge(outcomes, [share.places for share in shares], len(numbers))
        return self._merge_what_is_there(shares, calls, interrupt)

    def _command(self, method: Method, requests: Mapping[int, Sequence[Any]]) -> list[Any]:
        """Send requests whose answers are not outcomes.

        Returns:
            The answers.

        Raises:
            WorkerError: if workers are gone; it names all instances that they ran.
        """
        calls, interrupt = self._ask(method, requests)
        replies = [call.reply or Reply() for call in calls]
        pairs = zip(requests, replies, strict=True)
        lost = [number for part, reply in pairs if reply.is_lost for number in self._all_of(part)]
        errors = [reply.error for reply in replies if reply.error is not None]
        for error in errors:
            if isinstance(error, WorkerError):
                error.lost = lost
                raise error
        if interrupt is not None and lost:
            raise WorkerError("its worker was stopped by an interrupt", lost) from interrupt
        if interrupt is not None:
            raise interrupt
        if errors:
            raise errors[0]
        return [reply.value for reply in replies]

    def _ask(
        self, method: Method, requests: Mapping[int, Sequence[Any]]
    ) -> tuple[list[Call], BaseException | None]:
        """Send all requests and wait for all answers; also return the interrupt, if one came."""
        if os.getpid() != self._process:
            raise RuntimeError("the workers of this environment belong to another process.")
        if not self._end.alive:
            raise RuntimeError("this environment was closed.")
        calls = [Call(self._parts[part], method, given) for part, given in requests.items()]
        interrupt = None
        try:
            with deferred():
                interrupt = _carry_out(calls)
        except BaseException as error:  # an interrupt that was deferred until the calls were done
            interrupt = interrupt or error
        return calls, interrupt

    # Numbers.

    def _split(self, numbers: Sequence[int]) -> list[Share]:
        """Return the shares of the parts, which are nearly always those of the last call."""
        if numbers != self._last[0]:
            n = len(self._parts)
            parts = np.asarray(numbers) % n
            shares = []
            for part in sorted(set(parts.tolist())):
                lanes = np.flatnonzero(parts == part).tolist()
                own = [numbers[lane] // n for lane in lanes]
                shares.append(Share(part, _places(lanes), lanes, own))
            self._last = (list(numbers), shares)
        return self._last[1]

    def _requests(self, shares: Iterable[Share], *columns: Any) -> dict[int, Sequence[Any]]:
        return {
            share.part: [share.numbers, *[pick(column, share.places) for column in columns]]
            for share in shares
        }

    def _address(self, number: int) -> dict[int, Sequence[Any]]:
        n = len(self._parts)
        return {number % n: (number // n,)}

    def _all_of(self, part: int) -> range:
        return range(part, self._size, len(self._parts))

    # Outcomes.

    def _merge_what_is_there(
        self, shares: Sequence[Share], calls: Sequence[Call], interrupt: BaseException | None
    ) -> Outcomes:
        """Return the outcomes of a call in which a lane failed or an interrupt came."""
        done: list[tuple[list[int], Outcomes]] = []
        failures: dict[int, BaseException] = {}
        lost: list[int] = []
        for share, call in zip(shares, calls, strict=True):
            if call.reply is None:  # not begun
                continue
            if call.reply.error is not None:
                lost += self._lose(share, call.reply, failures)
                continue
            outcomes = call.reply.value
            lanes = share.lanes
            failures |= {lanes[lane]: error for lane, error in outcomes.failures.items()}
            if outcomes.lanes is not None:
                lanes = [lanes[lane] for lane in outcomes.lanes]
            done.append((lanes, outcomes))
        if interrupt is not None and interrupt not in failures.values():
            lane = self._sacrifice(done, interrupt)
            self.replace(self._last[0][lane])
            failures[lane] = interrupt
        present = sorted(lane for lanes, _ in done for lane in lanes)
        position = {lane: place for place, lane in enumerate(present)}
        places: list[Places] = [[position[lane] for lane in lanes] for lanes, _ in done]
        merged = _merge([outcomes for _, outcomes in done], places, len(present))
        return merged._replace(lanes=present, failures=failures, lost=lost)

    def _lose(self, share: Share, reply: Reply, failures: dict[int, BaseException]) -> list[int]:
        """Add the lanes of a lost worker to the failures, and return its other instances."""
        if not reply.is_lost:
            # The worker could not replace an instance that failed, so its states are unknown.
            self._parts[share.part].give_up()
        numbers = self._all_of(share.part)
        error = reply.error
        assert error is not None
        if isinstance(error, WorkerError):
            error.lost = numbers
        failures |= dict.fromkeys(share.lanes, error)
        used = set(share.numbers)
        return [number for place, number in enumerate(numbers) if place not in used]

    def _sacrifice(self, done: list[tuple[list[int], Outcomes]], interrupt: BaseException) -> int:
        """Leave out one lane, which then fails with the interrupt, as in a serial fleet.

        Returns:
            The lane.

        Raises:
            BaseException: the interrupt, if no lane moved.
        """
        for place, (lanes, outcomes) in enumerate(done):
            if lanes:
                done[place] = (lanes[:-1], outcomes.some(range(len(lanes) - 1)))
                return lanes[-1]
        raise interrupt


def _carry_out(calls: Sequence[Call]) -> BaseException | None:
    """Make all calls, and return the exception that interrupted them, if one did."""
    try:
        for call in calls:
            call.begin()
        for call in calls:
            call.finish()
    except BaseException as error:
        deadline = time.monotonic() + PATIENCE
        try:
            for call in calls:
                call.wait(deadline)
        finally:
            for call in calls:
                call.drop(error)
        return error
    return None


def _merge(outcomes: Sequence[Outcomes], places: Sequence[Places], count: int) -> Outcomes:
    def column(name: str) -> Any:
        given = [getattr(each, name) for each in outcomes]
        return join(given, places, count) if any(map(len, given)) else ()

    obs, rewards, terminated, truncated, infos, saved = map(column, OF_LANES)
    return Outcomes(obs, rewards, terminated, truncated, infos, saved)


def _places(lanes: list[int]) -> Places:
    """Return lanes as a slice if they are evenly spaced."""
    step = lanes[1] - lanes[0] if len(lanes) > 1 else 1
    even = range(lanes[0], lanes[0] + step * len(lanes), step)
    return slice(lanes[0], lanes[-1] + 1, step) if lanes == list(even) else lanes


def _end(parts: Sequence[Part], process: int) -> None:
    """Ask all workers to end, and kill those that take too long."""
    if os.getpid() != process:  # this process is a fork, and its parent still needs the workers
        return
    for part in parts:
        part.ask_to_end()
    deadline = time.monotonic() + PATIENCE
    for part in parts:
        part.end(deadline)
