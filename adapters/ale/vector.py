"""ALE's vector engine in C++, as a fleet."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from envhub.host.fleet import Fleet
from envhub.host.outcomes import Outcomes

from .facts import NOOP
from .games import PreprocessedInstance, number_of_noops


class VectorFleet(Fleet):
    """Emulators of ALE's vector engine, in C++, each in a thread of its own.

    An `ALEVectorInterface` steps all of its environments or none. So each of these has one
    environment, and what is sent to several of them is done at the same time.

    It cannot be put into a state: an episode starts with its own reset where that is `STEADY`, and
    elsewhere, or where ALE's generator decides about sticky actions, with loading the ROM, which
    takes 90 ms. What can be known before the seed is begins as soon as an episode has ended. The
    no-ops are steps, because how many frames ALE plays in a reset is its own generator's choice.

    Args:
        example: an instance of the other engine with the same settings.
        is_steady: whether the game is one of `STEADY`.
    """

    prepares = True

    def __init__(self, example: PreprocessedInstance, *, is_steady: bool) -> None:
        from concurrent import futures  # a millisecond, which `capabilities` does not need

        from ale_py._ale_py import ALEVectorInterface  # ale_py has it with gymnasium 1.1 only

        s = example.settings
        self._construct = functools.partial(
            ALEVectorInterface,
            example.rom,
            1,
            frame_skip=s.frameskip,
            stack_num=s.stack_num,
            img_height=s.img_height,
            img_width=s.img_width,
            grayscale=s.grayscale,
            maxpool=s.maxpool,
            noop_max=0,
            use_fire_reset=example.fires,
            episodic_life=s.episodic_life,
            reward_clipping=s.reward_clipping,
            max_episode_steps=s.max_num_frames_per_episode,
            repeat_action_probability=s.repeat_action_probability,
            full_action_space=True,  # two games have no NOOP among the others
            num_threads=1,
        )
        legal = [action.value for action in example.emulator.getLegalActionSet()]
        self._codes, self._noop = [legal.index(code) for code in example.actions], legal.index(NOOP)
        self._settings, self._is_steady = s, is_steady
        self._is_sticky = s.repeat_action_probability > 0
        example.start()
        info = example.info
        self._played_before = info["frame_number"] - info["episode_frame_number"]
        self.engines: list[Any] = [None]  # made when they are needed
        self._starting: dict[int, Any] = {}  # futures of first observations
        self._helpers = futures.ThreadPoolExecutor(os.cpu_count())

    def grow(self, count: int) -> None:
        self.engines += [None] * count

    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        try:
            for number, seed in zip(numbers, seeds, strict=True):
                if number not in self._starting:
                    self._begin(number, seed)
            obs: Any = [self._starting[number].result() for number in numbers]
            for number in numbers:
                del self._starting[number]
            self._play_noops(numbers, seeds, obs)
            obs = np.concatenate(obs)
        except BaseException as error:
            return self._failed(numbers, error)
        return Outcomes(obs, (), (), (), (), ())

    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        assert self._starting.keys().isdisjoint(numbers), "an episode that ended was stepped"
        try:
            played = self._play(numbers, [self._codes[action] for action in actions])
        except BaseException as error:
            return self._failed(numbers, error)
        *arrays, infos = zip(*played, strict=True)
        columns: Any = map(np.concatenate, arrays)
        obs, rewards, terminated, truncated = columns
        if not self._is_sticky:
            for lane in np.flatnonzero(terminated | truncated).tolist():
                self._begin(numbers[lane], 0)
        # What `AleInstance.info` says; ALE's own count of all frames goes on over resets.
        frames = np.concatenate([info["episode_frame_number"] for info in infos])
        entries = {
            "lives": np.concatenate([info["lives"] for info in infos]),
            "frame_number": frames + self._played_before,
            "episode_frame_number": frames,
        }
        return Outcomes(obs, rewards, terminated, truncated, entries, ())

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        raise NotImplementedError

    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        raise NotImplementedError

    def render(self, number: int) -> Any:
        raise NotImplementedError

    def replace(self, number: int) -> None:
        if number in self._starting:
            self._starting.pop(number).exception()  # waits
        self.engines[number] = None

    def close(self) -> None:
        self._helpers.shutdown(cancel_futures=True)
        self._starting.clear()
        self.engines.clear()

    def _begin(self, number: int, seed: int) -> None:
        self._starting[number] = self._helpers.submit(self._start, number, seed)

    def _start(self, number: int, seed: int) -> Any:
        """Bring an engine to the start of the game; without sticky actions that is always one."""
        engine, needs_loading = self.engines[number], not self._is_steady
        if engine is None:
            engine = self.engines[number] = self._construct()
            needs_loading = False
        # Any seed makes it load the ROM, and -1 is none.
        seed = seed if self._is_sticky else 0 if needs_loading else -1
        obs, _ = engine.reset([0], [seed])
        return obs

    def _play(self, numbers: Sequence[int], codes: Sequence[int]) -> list[Any]:
        """Advance engines at the same time: observations, rewards, two flags and `info`, of each.

        Their actions are numbered as the game's legal ones, which are nearly always all there are.
        An action that it does not know, which nothing here sends, would make `recv` hang.
        """
        engines = [self.engines[number] for number in numbers]
        for engine, code in zip(engines, codes, strict=True):
            engine.send([code], [1.0])
        return [engine.recv() for engine in engines]

    def _play_noops(self, numbers: Sequence[int], seeds: Sequence[int], obs: list[Any]) -> None:
        rngs = map(np.random.default_rng, seeds)
        left = [number_of_noops(self._settings, rng) for rng in rngs]
        while any(left):
            lanes = [lane for lane, count in enumerate(left) if count]
            played = self._play([numbers[lane] for lane in lanes], [self._noop] * len(lanes))
            for lane, (seen, _, terminated, truncated, _) in zip(lanes, played, strict=True):
                obs[lane] = seen
                left[lane] -= 1
                if terminated[0] or truncated[0]:
                    obs[lane] = self._start(numbers[lane], seeds[lane])
                    left[lane] = 0

    def _failed(self, numbers: Sequence[int], error: BaseException) -> Outcomes:
        """What to say of a call that was interrupted: nobody knows what the engines did."""
        for number in numbers:
            self.replace(number)
        failures = dict.fromkeys(range(len(numbers)), error)
        return Outcomes((), (), (), (), (), (), lanes=(), failures=failures)
