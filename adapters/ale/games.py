"""The two ways in which a game is played: as Gymnasium's id, and as agents usually see it."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub import spaces
from envhub.host import InstanceStep

from .facts import FIRE, NOOP
from .instances import AleInstance
from .shrinking import shrinking


class RawInstance(AleInstance):
    """`ale_py.AtariEnv`: what the last of the skipped frames shows."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        kind = self.settings.obs_type
        self._shape = {
            "rgb": (*self.screen_shape, 3),
            "grayscale": self.screen_shape,
            "ram": (self.emulator.getRAMSize(),),
        }[kind]
        self.observation_space = spaces.Box(0, 255, self._shape, np.uint8)

    def reset(self, seed: int) -> Any:
        self._rng = np.random.default_rng(seed)
        self.start()
        self._started_at = 0
        return self._observe()

    def step(self, action: Any) -> InstanceStep:
        code, reward = self.actions[action], 0.0
        for left in range(self.settings.frameskip, 0, -1):
            if left == min(2, self.settings.frameskip):
                self.mark()
            reward += self.play(code)
            terminated = self.emulator.game_over()
            truncated = self.is_truncated
            if terminated or truncated:
                break
        return InstanceStep(self._observe(), reward, terminated, truncated, self.info)

    def _observe(self) -> Any:
        obs = np.empty(self._shape, np.uint8)
        self.screen(self.settings.obs_type, obs)
        return obs


class PreprocessedInstance(AleInstance):
    """`AtariVectorEnv`, to the bit: the last two frames pooled, shrunk and stacked."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        s = self.settings
        depth = () if s.grayscale else (3,)
        self._kind = "grayscale" if s.grayscale else "rgb"
        self._shape = (s.stack_num, s.img_height, s.img_width, *depth)
        self.observation_space = spaces.Box(0, 255, self._shape, np.uint8)
        self._shrink = shrinking(self.screen_shape, (s.img_height, s.img_width))
        # What the last frame of a step shows, pooled at its end; and the last but one.
        self._frames = [np.zeros((*self.screen_shape, *depth), np.uint8) for _ in range(2)]
        self._stack = np.zeros(self._shape, np.uint8)
        self.fires = s.use_fire_reset and FIRE in self.actions

    def reset(self, seed: int) -> Any:
        self._rng = np.random.default_rng(seed)
        count = number_of_noops(self.settings, self._rng)
        self._begin()
        for _ in range(count):
            _, _, terminated, truncated, _ = self._advance(NOOP)
            if terminated or truncated:
                self._begin()
                break
        return self._stack

    def step(self, action: Any) -> InstanceStep:
        return self._advance(self.actions[action])

    def _begin(self) -> None:
        self.start()
        if self.fires:
            self.play(FIRE)
        self._started_at = self.emulator.getEpisodeFrameNumber()
        self.screen(self._kind, self._frames[0])
        self._frames[1].fill(0)
        self._stack = np.zeros(self._shape, np.uint8)
        self._push()

    def _advance(self, code: int) -> InstanceStep:
        s, emulator = self.settings, self.emulator
        reward, lives = 0.0, emulator.lives()
        for left in range(s.frameskip, 0, -1):
            if left == min(2, s.frameskip):
                self.mark()
            reward += self.play(code)
            lost_a_life = 0 < emulator.lives() < lives
            terminated = emulator.game_over() or (s.episodic_life and lost_a_life)
            truncated = self.is_truncated
            if terminated or truncated:
                break  # before it is seen: the last observation of an episode shows older frames
            self.see(left)
        self._push()
        if s.reward_clipping:
            reward = max(-1.0, min(1.0, reward))
        return InstanceStep(
            self._stack, reward, terminated, truncated and not terminated, self.info
        )

    def see(self, left: int) -> None:
        if left <= 2:
            self.screen(self._kind, self._frames[left - 1])

    def recall(self, obs: Any, frames: int) -> None:
        if frames == 0:
            self.screen(self._kind, self._frames[0])
        if frames < 2:
            self._frames[1].fill(0)
        self._pool()
        self._stack = obs

    def _pool(self) -> None:
        if self.settings.maxpool:
            np.maximum(self._frames[0], self._frames[1], out=self._frames[0])

    def _push(self) -> None:
        self._pool()
        stack = np.empty(self._shape, np.uint8)
        stack[:-1] = self._stack[1:]
        stack[-1] = self._shrink(self._frames[0])
        self._stack = stack


def number_of_noops(settings: Any, rng: np.random.Generator) -> int:
    """How many steps without an action an episode begins with: fewer than `noop_max` frames."""
    return int(rng.integers(max(settings.noop_max, 1))) // int(settings.frameskip)
