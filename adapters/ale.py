"""ale-py 0.12 and newer: Atari 2600 games, each instance an emulator of its own."""

from __future__ import annotations

import dataclasses
import functools
import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from envhub import spaces
from envhub.capabilities import Capabilities, Claim
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.host import BRIDGE_OPTIONS, Instance, InstanceStep, host_capabilities
from envhub.host.plain import GENERATOR_SIZE, dump_generator, load_generator
from envhub.params import params_dataclass
from envhub.suite import Suite

# Those that one player can play. ale-py ships Combat, Joust, MazeCraze and Warlords too, which are
# for two, and ends the whole process when it is asked to load one of them for one.
GAMES = """
    adventure air_raid alien amidar assault asterix asteroids atlantis atlantis2 backgammon
    bank_heist basic_math battle_zone beam_rider berzerk blackjack bowling boxing breakout carnival
    casino centipede chopper_command crazy_climber crossbow darkchambers defender demon_attack
    donkey_kong double_dunk earthworld elevator_action enduro entombed et fishing_derby flag_capture
    freeway frogger frostbite galaxian gopher gravitar hangman haunted_house hero human_cannonball
    ice_hockey jamesbond journey_escape kaboom kangaroo keystone_kapers king_kong klax koolaid krull
    kung_fu_master laser_gates lost_luggage mario_bros miniature_golf montezuma_revenge mr_do
    ms_pacman name_this_game othello pacman phoenix pitfall pitfall2 pong pooyan private_eye qbert
    riverraid road_runner robotank seaquest sir_lancelot skiing solaris space_invaders space_war
    star_gunner superman surround tennis tetris tic_tac_toe_3d time_pilot trondead turmoil tutankham
    up_n_down venture video_checkers video_chess video_cube video_pinball wizard_of_wor word_zapper
    yars_revenge zaxxon
""".split()

# A state of the emulator lacks some of what the video chip remembers and, for miniature_golf, three
# settings. In these games it shows: what was restored goes on otherwise, or shows other pictures,
# always, or once in a few hundred times; qbert even ends the process after 2000 times.
LEAKY = """
    amidar koolaid miniature_golf qbert tetris tic_tac_toe_3d trondead video_checkers yars_revenge
""".split()
LEAK = (
    "ale-py up to 0.12.1 leaves parts of the emulator out of a state, and this game shows it "
    "(Arcade-Learning-Environment #732 and #739)."
)

NOOP, FIRE = 0, 1  # in the emulator's numbering of actions


def pascal_case(game: str) -> str:
    """The name of a game in Gymnasium's ids: `MsPacman` of `ms_pacman`."""
    return game.title().replace("_", "")


GAME_OF = {pascal_case(game): game for game in GAMES}


@params_dataclass
class AleParams:
    """What may be changed of a game.

    Attributes:
        mode: int32, the variant of the game; of those that it has, the nearest is played. In force
            from the next reset on.
        difficulty: int32, the position of the console's two switches, likewise.
        repeat_action_probability: float32, of an action being ignored for a frame and the last one
            repeated (sticky actions). In force at once.
    """

    mode: Any
    difficulty: Any
    repeat_action_probability: Any


@dataclasses.dataclass(eq=False, repr=False)  # cheap to import: `capabilities` is quick
class Preprocessed:
    """The settings of the plain names: those of `ale_py.vector_env.AtariVectorEnv`.

    Not taken are its `continuous` actions, and `life_loss_info`, which calls an episode terminated
    that goes on.
    """

    img_height: int = 84
    img_width: int = 84
    grayscale: bool = True
    stack_num: int = 4
    frameskip: int = 4
    maxpool: bool = True
    noop_max: int = 30
    use_fire_reset: bool = True
    episodic_life: bool = False
    reward_clipping: bool = True
    repeat_action_probability: float = 0.0
    full_action_space: bool = False
    max_num_frames_per_episode: int = 108_000


@dataclasses.dataclass(eq=False, repr=False)  # cheap to import: `capabilities` is quick
class Raw:
    """The settings of the names `ALE/…-v5`: those of Gymnasium's ids, made of `ale_py.AtariEnv`.

    Not taken are its `continuous` actions, `sound_obs` and a range of frame skips.
    """

    obs_type: str = "rgb"
    frameskip: int = 4
    repeat_action_probability: float = 0.25
    full_action_space: bool = False
    max_num_frames_per_episode: int = 108_000


Settings = Preprocessed | Raw


class AleSuite(Suite):
    """The Arcade Learning Environment.

    `ale::pong`, or `ale::Pong`, is the game as agents usually see it: four gray frames of 84x84.
    `ale::ALE/Pong-v5` is Gymnasium's id: the colour screen, and sticky actions.
    """

    name = "ale"
    title = "Atari 2600 games of the Arcade Learning Environment"
    module = "ale_py"
    distribution = "ale-py"
    # 0.11 has the same games, and cannot turn a state of the emulator into bytes.
    supported = ">=0.12,<1"
    example = "pong"

    def known_names(self) -> Iterable[str]:
        return GAMES

    def live_names(self) -> Iterable[str]:
        return GAMES  # those that the package does not ship have no settings in the emulator

    def resolve(self, name: str) -> str:
        game = _game(name)
        if game in GAMES:
            return name if name.startswith("ALE/") else game
        return super().resolve(name)

    def options(self, name: str) -> Iterable[str]:
        own = [field.name for field in dataclasses.fields(_kind(name))]
        return [*own, "mode", "difficulty", "engine", *BRIDGE_OPTIONS]

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        can_be_forked: Claim = LEAK if _game(name) in LEAKY else True
        return host_capabilities(options, can_be_forked)

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        from envhub.host.environment import HostEnvironment

        _check_engine(options.get("engine", "python"))
        game = _game(name)
        settings = _settings(_kind(name), options)
        capabilities = self.capabilities(name, options)
        kind = PreprocessedInstance if isinstance(settings, Preprocessed) else RawInstance
        construct = functools.partial(
            kind,
            self.load(),
            str(self.load("roms").get_rom_path(game)),
            settings,
            is_forkable=capabilities.forkable,
            is_leaky=game in LEAKY,
        )
        first = construct()
        default_params = AleParams(
            mode=_among("mode", options.get("mode"), first.modes, first.mode),
            difficulty=_among(
                "difficulty", options.get("difficulty"), first.difficulties, first.difficulty
            ),
            repeat_action_probability=np.float32(settings.repeat_action_probability),
        )
        return HostEnvironment(
            f"ale::{name}",
            construct,
            first,
            unwrapped=first.emulator,
            observation_space=first.observation_space,
            action_space=spaces.Discrete(len(first.actions)),
            capabilities=capabilities,
            default_params=default_params,
            options=options,
            version=self.require_installed(),
        )


def _game(name: str) -> str:
    """The ROM's name, whichever way a game is called."""
    if name.startswith("ALE/") and name.endswith("-v5"):
        return GAME_OF.get(name[4:-3], "")
    return GAME_OF.get(name, name)


def _kind(name: str) -> type[Settings]:
    return Raw if name.startswith("ALE/") else Preprocessed


def _check_engine(engine: Any) -> None:
    if engine != "python":
        raise InvalidOptionError(
            f"engine={engine!r}: there is engine='python', one emulator an instance; ALE's vector "
            "engine is not there yet."
        )


def _settings(kind: type[Settings], options: Mapping[str, Any]) -> Any:
    """The settings that the options make.

    Raises:
        InvalidOptionError: if a value makes no sense.
    """
    settings = kind(
        **{f.name: options[f.name] for f in dataclasses.fields(kind) if f.name in options}
    )
    for field in dataclasses.fields(kind):
        value = getattr(settings, field.name)
        least = 0 if field.name == "noop_max" else 1
        is_good, wanted = {
            bool: (isinstance(value, bool), "True or False"),
            int: (type(value) is int and value >= least, f"an integer, at least {least}"),
            float: (isinstance(value, (int, float)) and 0 <= value <= 1, "between 0 and 1"),
            str: (value in SCREENS, f"one of {', '.join(SCREENS)}"),
        }[type(field.default)]
        if not is_good:
            raise InvalidOptionError(f"{field.name} is {wanted}, got {value!r}.")
    return settings


def _among(name: str, value: Any, offered: list[int], default: int) -> Any:
    if value is not None and value not in offered:
        raise InvalidOptionError(f"this game has no {name} {value!r}; it has {offered}.")
    return np.int32(default if value is None else value)


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

    def __init__(
        self, ale_py: Any, rom: str, settings: Any, *, is_forkable: bool, is_leaky: bool
    ) -> None:
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
        self.screen_shape = self.emulator.getScreenDims()
        self._load_state, self._rom = ale_py.ALEState, rom
        self._is_forkable, self._is_leaky = is_forkable, is_leaky
        self._sticky = float(settings.repeat_action_probability)
        self._rng = np.random.default_rng(0)
        self._last = NOOP  # the action of the last frame
        self._started_at = 0
        self._shown: Start | None = None  # until a frame is played, which draws the screen
        # A state of the emulator, and the actions of the frames since.
        self._mark: Any = None
        self._since: list[int] = []
        self._longest = settings.frameskip + 2

    @property
    def observation_space(self) -> spaces.Space:
        """Of what `reset` and `step` give."""
        raise NotImplementedError

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
            self._load(self.mode, self.difficulty)
        else:
            self.emulator.restoreState(self._load_state(start.state))
        self._shown, self._last = start, NOOP
        self.mark()

    def play(self, action: int) -> float:
        """Play one frame, in which the action may stick; give the reward."""
        if self._sticky and self._rng.random() < self._sticky:
            action = self._last
        self._last = action
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
        key = (self._rom, mode, difficulty)
        if key not in _starts:
            self._load(mode, difficulty)
            screens = {kind: getattr(self.emulator, read)() for kind, read in SCREENS.items()}
            _starts[key] = Start(self.emulator.cloneState().serialize(), screens)
        return _starts[key]

    def _load(self, mode: int, difficulty: int) -> None:
        # `reset_game` alone starts elsewhere in a used emulator: it goes on counting cycles.
        self.emulator.loadROM(self._rom)
        if mode != self._initial[0]:
            self.emulator.setMode(mode)
        if difficulty != self._initial[1]:
            self.emulator.setDifficulty(difficulty)
        self.emulator.reset_game()

    # Snapshots.

    def save(self) -> bytes:
        counters = self.COUNTERS.pack(self._started_at, self._last)
        since = bytes(self._since).ljust(self._longest, bytes([NOTHING]))
        state = self._mark.serialize()
        # In klax the length varies by a byte, and a snapshot is to have room for any.
        padding = bytes(-len(state) % 256)
        return b"".join([counters, since, dump_generator(self._rng), state, padding])

    def restore(self, saved: bytes, obs: Any) -> None:
        self._started_at, last = self.COUNTERS.unpack_from(saved)
        end = self.COUNTERS.size + self._longest
        since = saved[self.COUNTERS.size : end].rstrip(bytes([NOTHING]))
        load_generator(self._rng, saved[end : end + GENERATOR_SIZE])
        self._mark = self._load_state(saved[end + GENERATOR_SIZE :])
        # Without a frame since, the mark is where the console starts.
        mode, difficulty = self._mark.getCurrentMode(), self._mark.getDifficulty()
        self._shown = None if since else self._start(mode, difficulty)
        self._since = list(since)
        self.emulator.restoreState(self._mark)
        for left, action in zip(range(len(since), 0, -1), since, strict=True):
            self.emulator.act(action)
            self.see(left)
        self._last = last
        self.recall(obs, frames=len(since))

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

    @property
    def observation_space(self) -> spaces.Space:
        return spaces.Box(0, 255, self._shape, np.uint8)

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
        self._shrink = shrinking(self.screen_shape, (s.img_height, s.img_width))
        # What the last frame of a step shows, pooled at its end; and the last but one.
        self._frames = [np.zeros((*self.screen_shape, *depth), np.uint8) for _ in range(2)]
        self._stack = np.zeros(self._shape, np.uint8)
        self._fires = s.use_fire_reset and FIRE in self.actions

    @property
    def observation_space(self) -> spaces.Space:
        return spaces.Box(0, 255, self._shape, np.uint8)

    def reset(self, seed: int) -> Any:
        self._rng = np.random.default_rng(seed)
        noops = int(self._rng.integers(max(self.settings.noop_max, 1)))
        frames = [FIRE] * self._fires + [NOOP] * (noops - self._fires)
        self.start()
        for left, action in zip(range(len(frames), 0, -1), frames, strict=True):
            if left == 1:
                self.mark()
            self.play(action)
            if self.emulator.game_over():
                self.start()
        self._started_at = self.emulator.getEpisodeFrameNumber()
        self.screen(self._kind, self._frames[0])
        self._frames[1].fill(0)
        self._stack = np.zeros(self._shape, np.uint8)
        self._push()
        return self._stack

    def step(self, action: Any) -> InstanceStep:
        s, emulator = self.settings, self.emulator
        code, reward, lives = self.actions[action], 0.0, emulator.lives()
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


# OpenCV's INTER_AREA without OpenCV, equal to the bit: every sum in its order, in its precision.


def shrinking(old: tuple[int, int], new: tuple[int, int]) -> Any:
    """A function that shrinks pictures, each pixel becoming the mean of the area it covers.

    Raises:
        InvalidOptionError: if it would stretch them, which `INTER_AREA` does in another way.
    """
    if old == new:
        return lambda picture: picture
    if new[0] > old[0] or new[1] > old[1]:
        raise InvalidOptionError(f"img_height and img_width are at most {old[0]} and {old[1]}.")
    down, across = old[0] // new[0], old[1] // new[1]
    if (down * new[0], across * new[1]) == old:
        return functools.partial(_shrink_evenly, down=down, across=across)
    rows, columns = _covers(old[0], new[0]), _covers(old[1], new[1])
    return functools.partial(_shrink, rows=rows, columns=columns)


def _shrink_evenly(picture: np.ndarray[Any, Any], down: int, across: int) -> np.ndarray[Any, Any]:
    height, width, *depth = picture.shape
    blocks = picture.reshape(height // down, down, width // across, across, *depth)
    sums = blocks.sum((1, 3), np.int32)
    if (down, across) == (2, 2):
        shrunk: np.ndarray[Any, Any] = ((sums + 2) >> 2).astype(np.uint8)
        return shrunk
    share = np.float32(1) / np.float32(down * across)
    shrunk = np.rint(sums.astype(np.float32) * share).astype(np.uint8)
    return shrunk


def _shrink(picture: np.ndarray[Any, Any], rows: Any, columns: Any) -> np.ndarray[Any, Any]:
    turned = picture.swapaxes(0, 1).astype(np.float32, order="C")
    narrow = _mix(turned, *columns).swapaxes(0, 1)
    mixed = _mix(np.ascontiguousarray(narrow), *rows)
    shrunk: np.ndarray[Any, Any] = np.rint(mixed).astype(np.uint8)
    return shrunk


def _mix(lines: np.ndarray[Any, Any], chosen: Any, weights: Any) -> np.ndarray[Any, Any]:
    """Sums of some lines, weighted."""
    shape = (-1, *[1] * (lines.ndim - 1))
    mixed: np.ndarray[Any, Any] = lines[chosen[0]] * weights[0].reshape(shape)
    for each, weight in zip(chosen[1:], weights[1:], strict=True):
        mixed += lines[each] * weight.reshape(shape)
    return mixed


def _covers(old: int, new: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each of `new` lines, which of `old` lines it covers, and by what share of itself."""
    scale = old / new
    lists = []
    for line in range(new):
        start, end = line * scale, line * scale + scale
        size = min(scale, old - start)
        last = min(math.floor(end), old - 1)
        first = min(math.ceil(start), last)
        covered = [(each, 1.0 / size) for each in range(first, last)]
        if first - start > 1e-3:
            covered.insert(0, (first - 1, (first - start) / size))
        if end - last > 1e-3:
            covered.append((last, min(end - last, 1.0, size) / size))
        lists.append(covered)
    longest = max(map(len, lists))
    padded = [covered + [(0, 0.0)] * (longest - len(covered)) for covered in lists]
    chosen = np.array([[each for each, _ in covered] for covered in padded])
    weights = np.array([[weight for _, weight in covered] for covered in padded], np.float32)
    return chosen.T, weights.T


SUITE = AleSuite()
