"""Who runs the instances of an environment: here one after another, elsewhere in parallel.

A fleet knows instances by number, and nothing of states: what a number stands for at the moment is
the pool's to know. NumPy only: this runs inside callbacks of compiled programs.
"""

from __future__ import annotations

import abc
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub.host.instance import Instance
from envhub.host.interrupts import admitting


class Outcomes(NamedTuple):
    """What a call to several instances gave, in columns: an entry for each lane that came through.

    Attributes:
        obs: observations, of the structure of the space.
        rewards: numbers, or an array each where there are several agents.
        terminated, truncated: flags, likewise.
        infos: the entries of `info`.
        saved: what each instance's `save` gave; empty where a fleet does not save.
        lanes: which lanes of the call these are; `None` for all of them, in order.
        failures: what the others raised; their instances have been replaced by fresh ones. A lane
            that is in neither was not touched.
        lost: the numbers of further instances whose state is gone, with their worker.
    """

    obs: Sequence[Any]
    rewards: Sequence[Any]
    terminated: Sequence[Any]
    truncated: Sequence[Any]
    infos: Sequence[Mapping[str, Any]]
    saved: Sequence[bytes]
    lanes: Sequence[int] | None = None
    failures: Mapping[int, BaseException] = {}
    lost: Sequence[int] = ()

    def at(self, place: int) -> Outcomes:
        """One of the lanes that came through."""
        part = slice(place, place + 1)
        columns: Any = (column[part] if len(column) else () for column in self[:6])
        return Outcomes(*columns)


class Fleet(abc.ABC):
    """Instances, numbered from 0.

    A call names each instance at most once.
    """

    @abc.abstractmethod
    def grow(self, count: int) -> None:
        """Add that many instances."""

    @abc.abstractmethod
    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        """Start episodes; rewards and flags of the outcomes are unused."""

    @abc.abstractmethod
    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        """Advance one step each."""

    @abc.abstractmethod
    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        """Put instances into saved states; what one of them raises is raised."""

    @abc.abstractmethod
    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        """Put params in force: a row of float32[n, P] each; what one of them raises is raised."""

    @abc.abstractmethod
    def render(self, number: int) -> Any:
        """The picture of an instance: uint8[H, W, 3]."""

    @abc.abstractmethod
    def replace(self, number: int) -> None:
        """Put a fresh instance in the place of one whose state nobody knows."""

    @abc.abstractmethod
    def close(self) -> None:
        """Free everything; idempotent."""


class SerialFleet(Fleet):
    """Instances in this process, one after another.

    Args:
        construct: makes an instance.
        first: one that is there already.
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
            return self._stopped(Outcomes(obs, (), (), (), (), saved), numbers, error)
        return Outcomes(obs, (), (), (), (), saved)

    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        instances = [self._instances[number] for number in numbers]
        steps: list[Any] = []
        saved: list[bytes] = []

        def step_all() -> None:  # every step of every environment goes through this
            if not self._saves:
                methods = [instance.step for instance in instances]
                steps.extend(map(operator.call, methods, actions))  # keeps those before an error
                return
            for instance, action in zip(instances, actions, strict=True):
                steps.append(instance.step(action))
                saved.append(instance.save())

        try:
            admitting(step_all)
        except BaseException as error:
            return self._stopped(_columns(steps, saved), numbers, error)
        return _columns(steps, saved)

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        for number, each, seen in zip(numbers, saved, obs, strict=True):
            self._instances[number].restore(each, seen)

    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        for number, row in zip(numbers, values, strict=True):
            self._instances[number].set_params(row)

    def render(self, number: int) -> Any:
        return self._instances[number].render()

    def replace(self, number: int) -> None:
        self._instances[number].close()
        self._instances[number] = self._construct()

    def close(self) -> None:
        for instance in self._instances:
            instance.close()
        self._instances.clear()

    def _stopped(
        self, outcomes: Outcomes, numbers: Sequence[int], error: BaseException
    ) -> Outcomes:
        """The outcomes of the lanes before the one that raised."""
        done = len(outcomes.saved) if self._saves else len(outcomes.obs)
        done = min(done, len(numbers) - 1)  # an interrupt may come when all are through
        self.replace(numbers[done])
        return outcomes._replace(
            **{name: getattr(outcomes, name)[:done] for name in Outcomes._fields[:6]},
            lanes=range(done),
            failures={done: error},
        )


def _columns(steps: Sequence[Any], saved: Sequence[bytes]) -> Outcomes:
    obs, rewards, terminated, truncated, infos = zip(*steps, strict=True) if steps else ((),) * 5
    return Outcomes(obs, rewards, terminated, truncated, infos, saved)
