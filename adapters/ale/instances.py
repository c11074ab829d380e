"""One emulator, and its state as bytes."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from envhub import spaces
from envhub.errors import InvalidStateError
from envhub.host import Instance
from envhub.host.plain import GENERATOR_SIZE, dump_generator, load_generator

from .consoles import Console
from .facts import NOOP


class Start(NamedTuple):
    """The console after its reset: what decides all that follows, and what it shows.

    Bytes, because nanobind complains at the end of the process of every `ALEState` that is left.
    """

    state: bytes
    screens: dict[str, np.ndarray[Any, Any]]


SCREENS = {"rgb": "getScreenRGB", "grayscale": "getScreenGrayscale", "ram": "getRAM"}


# The same for every instance of a game in a mode, and costly: loading a ROM takes 80 ms.
_starts: dict[tuple[str, int, int], Start] = {}


NOTHING = 0xFF


class AleInstance(Instance):
    """One emulator.

    Its own sticky actions are off: its generator can be seeded only by loading the ROM again, and
    would double the size of a snapshot. A generator of NumPy's, seeded at reset, decides instead.

    A state of the emulator has no screen, which the next max-pooling and `render` need. So a
    snapshot is taken two frames before the end of a step, and restoring it plays these frames
    again.
    """

    COUNTERS = struct.Struct("<qB")  # the frame at which the episode started, the last action

    def __init__(self, rom: str, settings: Any, *, is_forkable: bool, is_leaky: bool) -> None:
        import ale_py

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.emulator = ale_py.ALEInterface()
        self.emulator.setFloat("repeat_action_probability", 0.0)
        self.emulator.setInt("random_seed", 0)
        self.emulator.loadROM(rom)
        self.settings = settings
        initial = self.emulator.cloneState()
        self.mode, self.difficulty = initial.getCurrentMode(), initial.getDifficulty()
        self._initial = (self.mode, self.difficulty)
        # Backgammon starts in a difficulty that it does not offer.
        self.modes = sorted({*self.emulator.getAvailableModes(), self.mode})
        difficulties = {*self.emulator.getAvailableDifficulties(), self.difficulty}
        self.difficulties = sorted(difficulties)
        wanted = "getLegalActionSet" if settings.full_action_space else "getMinimalActionSet"
        self.actions = [action.value for action in getattr(self.emulator, wanted)()]
        self.action_space = spaces.Discrete(len(self.actions))
        self.screen_shape = self.emulator.getScreenDims()
        self._load_state, self.rom = ale_py.ALEState, rom
        self._is_forkable, self._is_leaky = is_forkable, is_leaky
        self._sticky = float(settings.repeat_action_probability)
        self._rng = np.random.default_rng(0)
        self.last = NOOP  # the action of the last frame
        self._started_at = 0
        self._shown: Start | None = None  # until a frame is played, which draws the screen
        # A state of the emulator, and the actions of the frames since.
        self._mark: Any = None
        self._since: list[int] = []
        self._longest = settings.frameskip + 2
        self._console = Console(self._start(*self._initial).state) if is_forkable else None

    @property
    def unwrapped(self) -> Any:
        return self.emulator

    @property
    def episode_limit(self) -> int:  # type: ignore[override]
        """ALE counts frames, those of a reset too: an episode may end earlier."""
        frames, skipped = self.settings.max_num_frames_per_episode, self.settings.frameskip
        return -(-int(frames) // int(skipped))

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        mode, difficulty, sticky = values.tolist()
        self.mode = min(self.modes, key=lambda offered: abs(offered - mode))
        self.difficulty = min(self.difficulties, key=lambda offered: abs(offered - difficulty))
        self._sticky = sticky

    # Playing.

    def start(self) -> None:
        """Put the console where its reset leaves it."""
        start = self._start(self.mode, self.difficulty)
        if self._is_leaky:
            self.load(self.mode, self.difficulty)
        else:
            self.emulator.restoreState(self._load_state(start.state))
        self._shown, self.last = start, NOOP
        self.mark()

    def play(self, action: int) -> float:
        """Play one frame, in which the action may stick; give the reward."""
        if self._sticky and self._rng.random() < self._sticky:
            action = self.last
        self.last = action
        self._shown = None
        self._since.append(action)
        reward: float = self.emulator.act(action)
        return reward

    def mark(self) -> None:
        """Take a snapshot of the emulator here."""
        if self._is_forkable:
            self._mark = self.emulator.cloneState()
        self._since = []

    def screen(self, kind: str, out: np.ndarray[Any, Any]) -> None:
        """Read the screen, or what else there is to see."""
        if self._shown:
            out[:] = self._shown.screens[kind]
        else:
            getattr(self.emulator, SCREENS[kind])(out)

    @property
    def is_truncated(self) -> bool:
        """Whether the frames of the episode are used up."""
        elapsed: int = self.emulator.getEpisodeFrameNumber() - self._started_at
        most: int = self.settings.max_num_frames_per_episode
        return elapsed >= most

    @property
    def info(self) -> dict[str, Any]:
        """ALE's."""
        return {
            "lives": self.emulator.lives(),
            "frame_number": self.emulator.getFrameNumber(),
            "episode_frame_number": self.emulator.getEpisodeFrameNumber(),
        }

    def _start(self, mode: int, difficulty: int) -> Start:
        key = (self.rom, mode, difficulty)
        if key not in _starts:
            self.load(mode, difficulty)
            screens = {kind: getattr(self.emulator, read)() for kind, read in SCREENS.items()}
            _starts[key] = Start(self.emulator.cloneState().serialize(), screens)
        return _starts[key]

    def load(self, mode: int, difficulty: int) -> None:
        """Start the game anew in a mode and a difficulty."""
        # `reset_game` alone starts elsewhere in a used emulator: it goes on counting cycles.
        self.emulator.loadROM(self.rom)
        if mode != self._initial[0]:
            self.emulator.setMode(mode)
        if difficulty != self._initial[1]:
            self.emulator.setDifficulty(difficulty)
        self.emulator.reset_game()

    # Snapshots.

    def save(self) -> bytes:
        counters = self.COUNTERS.pack(self._started_at, self.last)
        since = bytes(self._since).ljust(self._longest, bytes([NOTHING]))
        assert self._console is not None
        state = self._console.shorten(self._mark.serialize())
        # In klax the length varies by a byte, and a snapshot is to have room for any.
        padding = bytes(-len(state) % 256)
        return b"".join([counters, since, dump_generator(self._rng), state, padding])

    def restore(self, saved: bytes, obs: Any) -> None:
        end = self.COUNTERS.size + self._longest
        assert self._console is not None
        console = self._console.lengthen(saved[end + GENERATOR_SIZE :])
        since = saved[self.COUNTERS.size : end].rstrip(bytes([NOTHING]))
        mode, difficulty = self._check(console, since)
        self._started_at, last = self.COUNTERS.unpack_from(saved)
        load_generator(self._rng, saved[end : end + GENERATOR_SIZE])
        self._mark = self._load_state(console)
        # Without a frame since, the mark is where the console starts.
        self._shown = None if since else self._start(mode, difficulty)
        self._since = list(since)
        self.emulator.restoreState(self._mark)
        for left, action in zip(range(len(since), 0, -1), since, strict=True):
            self.emulator.act(action)
            self.see(left)
        self.last = last
        self.recall(obs, frames=len(since))

    def _check(self, console: bytes, since: bytes) -> tuple[int, int]:
        """The mode and difficulty of a console, after the frames were found to be playable."""
        assert self._console is not None
        mode, difficulty = self._console.check(console)
        is_offered = mode in self.modes and difficulty in self.difficulties
        if not is_offered or not {NOOP, *self.actions}.issuperset(since):
            raise InvalidStateError(
                "the snapshot holds a mode, a difficulty or an action that this game does not have."
            )
        return mode, difficulty

    def see(self, left: int) -> None:
        """Note what a frame shows, the last but `left - 1` of a step."""

    def recall(self, obs: Any, frames: int) -> None:
        """After that many frames were played again, put back what `step` keeps."""

    def render(self) -> Any:
        picture = np.empty((*self.screen_shape, 3), np.uint8)
        self.screen("rgb", picture)
        return picture

    def close(self) -> None:
        self._mark = None
