"""Whether what is restored continues as before: tried over whole episodes, in used instances."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from envhub.host.copies import Copies
from envhub.host.instance import Instance, InstanceStep, has_ended
from envhub.host.repeats import other_global_generators
from envhub.host.sampling import legal_action
from envhub.host.trials import OverdueError
from envhub.host.values import Actions, Observations

EPISODES, POINTS, STEPS_AFTER = 4, 12, 100
RESETS = 50  # of the instance that follows, because an instance may change with its episodes
LEAST = 10  # steps of the first walks, however long they take
ENOUGH = 2.0  # seconds by `Clock`, after which what was tried decides
IDLE = 4  # times as long by the wall clock, where instances wait
LONGEST = 1000  # steps of an episode that is recorded
SEEDED = 0.4  # the part of the time for the episodes


class DiffersError(Exception):
    """What was restored did not continue as before."""


class Coverage(NamedTuple):
    """What a proof has tried.

    Attributes:
        points: the states that were restored.
        episodes: the episodes that they are of.
        longest: the number of the last step that was compared.
        size: the most bytes that a snapshot took.
    """

    points: int
    episodes: int
    longest: int
    size: int

    def __str__(self) -> str:
        return (
            f"{self.points} states of {self.episodes} episodes, as far as step {self.longest:,}, "
            "continued the same way"
        )


class Episode(NamedTuple):
    """An episode as it was played first.

    Attributes:
        number: which one.
        actions: the actions.
        shown: what each step showed, as bytes.
        saved: by step, what the instance saved there, and the observation.
    """

    number: int
    actions: list[Any]
    shown: list[bytes]
    saved: dict[int, tuple[bytes, Any]]


class Clock:
    """The processor time of this process, in seconds, so that the load of others decides no proof.

    Instances that wait take none. So a quarter of the wall clock's time counts, if that is more.
    """

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def __call__(self) -> float:
        passed = time.monotonic() - self._wall
        return max(time.process_time() - self._cpu, passed / IDLE)


class Walker:
    """Plays instances of one environment, and compares.

    Args:
        actions, observations: those of the environment.
        due: when `OverdueError` is raised, by the wall clock.
        longest: the most steps of an episode.
    """

    def __init__(
        self,
        actions: Actions,
        observations: Observations,
        due: float = math.inf,
        longest: int = LONGEST,
    ) -> None:
        self._actions, self._observations, self._due = actions, observations, due
        self._longest = min(longest, LONGEST)
        self._now = Clock()

    def prove(self, one: Instance, other: Instance) -> Coverage:
        """Record episodes of one instance, and continue states of them in both by turns.

        Raises:
            DiffersError: if what a state led to differs.
            OverdueError: if that takes too long.
        """
        with other_global_generators() as shuffle:
            return self._prove(one, other, shuffle)

    def prove_copies(self, one: Instance, other: Instance, copies: Copies, few: int) -> bool:
        """Continue copies of instances to the end of an episode, as replays of it went.

        Args:
            one: an instance.
            other: another one, with which it shares the copies.
            copies: the cache that they share.
            few: the steps of a log from which on a copy is made.

        Returns:
            Whether copies were made, and all continued the same way in time.

        Raises:
            DiffersError: if one does not.
        """
        with other_global_generators() as shuffle:
            until = self._now() + SEEDED * ENOUGH
            late = until + ENOUGH
            episodes = self._episodes(one, until, shuffle)
            episode = max(episodes, key=lambda each: len(each.actions))
            points = [point for point in sorted(episode.saved) if point >= few]
            lengths = [LONGEST, *[STEPS_AFTER] * POINTS]
            for tried, (point, length) in enumerate(zip(points, lengths, strict=False)):
                if tried and self._now() > late:
                    break
                other.restore(*episode.saved[point])  # which makes the copy
                one.reset(EPISODES)
                shuffle()
                walks = [self._follow(each, episode, point, length) for each in (one, other)]
                for _ in itertools.zip_longest(*walks):
                    if not tried and self._now() > late:
                        return False
        return bool(points and copies)

    def _prove(self, one: Instance, other: Instance, shuffle: Callable[[], None]) -> Coverage:
        until = self._now() + SEEDED * ENOUGH
        episodes = self._episodes(one, until, shuffle)
        used = self._now() + ENOUGH / 10
        for number in range(RESETS):
            if self._now() < used:
                other.reset(number)
        self.record(other, EPISODES, min(until, used + ENOUGH / 10))
        return self.compare(one, other, episodes, shuffle)

    def _episodes(
        self, instance: Instance, until: float, shuffle: Callable[[], None]
    ) -> list[Episode]:
        episodes = [self.record(instance, 0, until)]
        while len(episodes) < EPISODES and self._now() < until:
            shuffle()
            episodes.append(self.record(instance, len(episodes), until))
        return episodes

    def record(self, instance: Instance, number: int, until: float) -> Episode:
        """Play an episode, and save some of its states: at the start, and at even distances."""
        rng = np.random.default_rng(number)
        obs, infos = instance.reset(number), list[Any]()
        episode = Episode(number, [], [], {})
        stride = 1
        for step in range(self._longest):
            if step % stride == 0:
                seen = self._observations.values(self._observations.columns([obs]))[0]
                episode.saved[step] = instance.save(), copy.deepcopy(seen)
                if len(episode.saved) > 2 * POINTS // EPISODES:
                    stride *= 2
                    for each in [each for each in episode.saved if each % stride]:
                        del episode.saved[each]
            action = legal_action(rng, self._actions, instance, obs, infos)
            episode.actions.append(copy.deepcopy(action))
            shown, taken = self._step(instance, action)
            obs, infos = taken.obs, [taken.info]
            episode.shown.append(shown)
            if has_ended(taken) or (self._now() > until and step >= LEAST):
                break
        return episode

    def compare(
        self,
        one: Instance,
        other: Instance,
        episodes: list[Episode],
        shuffle: Callable[[], None],
    ) -> Coverage:
        """Continue states of episodes in two instances by turns, until there was enough."""
        every = [(episode, point) for episode in episodes for point in sorted(episode.saved)]
        chosen = [every[at] for at in np.linspace(0, len(every) - 1, POINTS).astype(int)]
        longest = max(episodes, key=lambda episode: len(episode.actions))
        walks = [(other, longest, 0, LONGEST), (one, *chosen[-1], STEPS_AFTER)]
        for number, (episode, point) in enumerate(reversed(chosen[:-1])):
            walks.append(((one, other)[number % 2 == 0], episode, point, STEPS_AFTER))
        seen: set[tuple[int, int]] = set()
        last = 0
        for number in range(0, len(walks), 2):
            if number and self._now() > ENOUGH:
                break
            shuffle()
            pair = walks[number : number + 2]
            reached = [self._follow(*walk) for walk in pair]
            for steps in itertools.zip_longest(*reached, fillvalue=0):
                last = max(last, *steps)
                if last >= LEAST and self._now() > ENOUGH:
                    break
            seen |= {(episode.number, point) for _, episode, point, _ in pair}
        sizes = [len(saved) for each in episodes for saved, _ in each.saved.values()]
        return Coverage(len(seen), len({number for number, _ in seen}), last, max(sizes))

    def _follow(
        self, instance: Instance, episode: Episode, point: int, length: int
    ) -> Iterator[int]:
        """Restore a state and repeat what followed; gives the number of each step."""
        instance.restore(*episode.saved[point])
        for step in range(point, min(point + length, len(episode.actions))):
            shown, _ = self._step(instance, copy.deepcopy(episode.actions[step]))
            if shown != episode.shown[step]:
                raise DiffersError(f"restored at step {point:,}, it differs at step {step + 1:,}")
            yield step + 1

    def _step(self, instance: Instance, action: Any) -> tuple[bytes, InstanceStep]:
        if time.monotonic() > self._due:
            raise OverdueError
        step = InstanceStep(*instance.step(action))
        return bits_of(step, self._observations), step


def bits_of(step: InstanceStep, observations: Observations) -> bytes:
    """Return what a step shows, bit for bit, without its `info`."""
    outcome = np.array([step.reward, step.terminated, step.truncated], np.float64)
    seen = observations.to_bytes(observations.columns([step.obs]))
    return bytes(seen.tobytes() + outcome.tobytes())
