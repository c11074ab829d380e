"""Fleets run the instances of an environment: one after another in this module.

A fleet knows instances by number. It knows nothing about states; the pool knows which state each
instance is in. NumPy only: this runs inside callbacks of compiled programs.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from envhub.errors import HostEnvError
from envhub.host.instance import Instance
from envhub.host.interrupts import admitting

Column = Sequence[Any] | np.ndarray[Any, Any]


class Stacked:
    """The observations of several lanes as one value, whose leaves have a leading axis.

    Args:
        tree: the value, with the structure of the space.
        size: the number of lanes.
    """

    def __init__(self, tree: Any, size: int) -> None:
        self.tree, self._size = tree, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, places: Sequence[int]) -> Stacked:
        """Return the observations of some lanes."""
        return Stacked(_rows_of(self.tree, list(places)), len(places))


def _rows_of(tree: Any, places: list[int]) -> Any:
    if isinstance(tree, Mapping):
        return {name: _rows_of(part, places) for name, part in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(_rows_of(part, places) for part in tree)
    return tree[places]


def _some(column: Any, places: Sequence[int]) -> Any:
    """Return some entries of a column, or of each column in a mapping."""
    if isinstance(column, Mapping):
        return {name: _some(each, places) for name, each in column.items()}
    if isinstance(column, np.ndarray | Stacked):
        return column[list(places)]
    return [column[place] for place in places] if len(column) else ()


class Outcomes(NamedTuple):
    """The results of a call to several instances, in columns with an entry for each lane.

    A column is a sequence or an array. The hub keeps the arrays and never writes them, so a fleet
    that writes an array again must give a copy.

    Attributes:
        obs: the observations, with the structure of the space; `Stacked` if the space has several
            leaves and the fleet has columns.
        rewards: numbers; for several agents, an array for each lane. Empty after a reset.
        terminated, truncated: flags; for several agents, an array for each lane. Empty likewise.
        infos: the entries of `info`, as a dict for each lane or as a column for each entry.
        saved: the result of each instance's `save`; empty if the fleet does not save.
        lanes: the lanes of the call that the columns have; `None` for all of them, in order.
        failures: the exceptions by lane. The instances of these lanes were replaced by new ones. A
            lane that is neither in `lanes` nor in `failures` was not touched.
        lost: the numbers of further instances whose state is gone, because their worker is gone.
    """

    obs: Column | Stacked
    rewards: Column
    terminated: Column
    truncated: Column
    infos: Sequence[Mapping[str, Any]] | Mapping[str, Column]
    saved: Sequence[bytes]
    lanes: Sequence[int] | None = None
    failures: Mapping[int, BaseException] = {}
    lost: Sequence[int] = ()

    def some(
        self,
        places: Sequence[int],
        lanes: Sequence[int] | None = None,
        failures: Mapping[int, BaseException] | None = None,
    ) -> Outcomes:
        """Return some of the lanes that the columns have."""
        columns = [_some(column, places) for column in self[:6]]
        obs, rewards, terminated, truncated, infos, saved = columns
        return Outcomes(
            obs, rewards, terminated, truncated, infos, saved, lanes, failures or {}, self.lost
        )


class Counts(NamedTuple):
    """The counts of all instances of an environment together.

    Attributes:
        instances: the number of live instances.
        calls: the number of calls from programs.
        resets, steps: the number of resets and of steps.
        processes: the ids of the processes that run instances, with `workers="process"`.
    """

    instances: int
    calls: int
    resets: int
    steps: int
    processes: list[int]


OF_LANES = Outcomes._fields[:6]
"""The fields with an entry for each lane."""

Method = Callable[..., Any]
"""A method of a fleet, taken from its class."""


class Fleet(abc.ABC):
    """Instances, numbered from 0.

    A call names each instance at most once.

    Attributes:
        takes_columns: whether a call gives `numbers` as an array, and the actions of a step as one
            value with the structure of the action space, whose leaves are arrays with a leading
            axis. Otherwise both are lists.
        prepares: whether an instance that ended is made ready for a reset meanwhile, so that the
            next episode should start in another instance.
    """

    takes_columns: ClassVar[bool] = False
    prepares: ClassVar[bool] = False

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that run instances, in order; empty if this process does."""
        return []

    @abc.abstractmethod
    def grow(self, count: int) -> None:
        """Add `count` instances."""

    @abc.abstractmethod
    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        """Start an episode in each instance; the outcomes have no rewards, flags or infos."""

    @abc.abstractmethod
    def step(self, numbers: Sequence[int], actions: Any) -> Outcomes:
        """Advance each instance by one step; all actions lie in the space."""

    @abc.abstractmethod
    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        """Put instances into saved states; raise what the first failing one raises."""

    @abc.abstractmethod
    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        """Set the params of n instances, float32[n, P]; raise what the first failing one raises."""

    @abc.abstractmethod
    def render(self, number: int) -> Any:
        """Return the picture of an instance: uint8[H, W, 3]."""

    @abc.abstractmethod
    def replace(self, number: int) -> None:
        """Replace an instance whose state is unknown by a new one."""

    def replace_all(
        self, numbers: Sequence[int], failures: Mapping[int, BaseException]
    ) -> list[int]:
        """Replace the instances of the lanes that failed; return the instances lost by that."""
        lost: list[int] = []
        for lane, error in failures.items():
            try:
                self.replace(numbers[lane])
            except Exception as another:  # the next reset raises it again
                error.add_note(f"It could not be replaced: {another!r}")
                lost += getattr(another, "lost", ())
        return lost

    @abc.abstractmethod
    def close(self) -> None:
        """Free all instances. It may be called repeatedly."""


class SerialFleet(Fleet):
    """A fleet that runs instances in this process, one after another.

    Args:
        construct: a function that makes one instance.
        first: the first instance.
        saves: whether to save each instance after each reset and step.
    """

    def __init__(self, construct: Callable[[], Instance], first: Instance, *, saves: bool) -> None:
        self._construct, self._saves = construct, saves
        self._instances = [first]

    def grow(self, count: int) -> None:
        self._instances += [self._construct() for _ in range(count)]

    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        obs: list[Any] = []
        saved: list[bytes] = []

        def reset_all() -> None:
            for number, seed in zip(numbers, seeds, strict=True):
                instance = self._instances[number]
                obs.append(instance.reset(seed))
                if self._saves:
                    saved.append(instance.save())

        try:
            admitting(reset_all)
        except BaseException as error:
            done = self._done(obs, saved, numbers)
            failures = {done: error}
            self.replace_all(numbers, failures)
            return Outcomes(obs[:done], (), (), (), (), saved[:done], range(done), failures)
        return Outcomes(obs, (), (), (), (), saved)

    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        instances = [self._instances[number] for number in numbers]
        steps: list[Any] = []
        saved: list[bytes] = []

        def step_all() -> None:  # every step of every environment goes through this
            for instance, action in zip(instances, actions, strict=True):
                steps.append(instance.step(action))
                if self._saves:
                    saved.append(instance.save())

        stopped: BaseException | None = None
        try:
            admitting(step_all)
        except BaseException as error:
            stopped = error
        if stopped is None:
            try:
                obs, rewards, terminated, truncated, infos = zip(*steps, strict=True)
            except (TypeError, ValueError):  # an instance returned something else than five values
                pass
            else:
                return Outcomes(obs, rewards, terminated, truncated, infos, saved)
        return self._those_that_are(steps, saved, numbers, stopped)

    def _those_that_are(
        self,
        steps: Sequence[Any],
        saved: Sequence[bytes],
        numbers: Sequence[int],
        stopped: BaseException | None,
    ) -> Outcomes:
        """Return the outcomes of a call in which a step raised or returned something else."""
        done = len(steps) if stopped is None else self._done(steps, saved, numbers)
        lanes = [lane for lane in range(done) if _is_step(steps[lane])]
        failures: dict[int, BaseException] = {
            lane: TypeError(f"a step must return five values, not {steps[lane]!r:.100}")
            for lane in set(range(done)).difference(lanes)
        }
        if stopped is not None:
            failures[done] = stopped
        self.replace_all(numbers, failures)
        kept = [saved[lane] for lane in lanes] if self._saves else ()
        columns: Any = zip(*[steps[lane] for lane in lanes], strict=True) if lanes else [()] * 5
        obs, rewards, terminated, truncated, infos = columns
        return Outcomes(obs, rewards, terminated, truncated, infos, kept, lanes, failures)

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        for number, each, seen in zip(numbers, saved, obs, strict=True):
            self._instances[number].restore(each, seen)

    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        for number, row in zip(numbers, values, strict=True):
            self._instances[number].set_params(row)

    def render(self, number: int) -> Any:
        return self._instances[number].render()

    def replace(self, number: int) -> None:
        with contextlib.suppress(Exception):  # its state is unknown, so `close` may raise anything
            self._instances[number].close()
        self._instances[number] = self._construct()

    def close(self) -> None:
        for instance in self._instances:
            instance.close()
        self._instances.clear()

    def _done(self, made: Sequence[Any], saved: Sequence[bytes], numbers: Sequence[int]) -> int:
        """Return how many lanes finished before an exception.

        An interrupt may come after all lanes have finished. The last lane counts as the one that
        failed then.
        """
        return min(len(saved) if self._saves else len(made), len(numbers) - 1)


def _is_step(step: Any) -> bool:
    return isinstance(step, tuple) and len(step) == 5


def named_error(
    name: str, slots: Sequence[int], states: Sequence[int], action: Sequence[Any], error: Any
) -> HostEnvError:
    """Return an error that names the environment, the instances, the states and the action."""
    parts = []
    if slots:
        parts.append(f"instance {', '.join(map(str, slots))}")
    held = [state for state in states if state >= 0]  # a reset has no state before it
    if held:
        parts.append(f"state {', '.join(map(str, held))}")
    if action:
        parts.append(f"action {', '.join(str(leaf.tolist()) for leaf in action)}")
    where = f": {', '.join(parts)}" if parts else ""
    return HostEnvError(f"{name}{where}: {type(error).__name__}: {error}")
