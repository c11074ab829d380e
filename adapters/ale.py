"""ale-py 0.12 and newer: Atari 2600 games, each instance an emulator of its own."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities, Claim
from envhub.host import BRIDGE_OPTIONS, Instance, InstanceStep, host_capabilities
from envhub.host.fleet import Fleet, Outcomes
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

# Where ALE's own reset always leads to the same state, but for a generator that only resets draw
# from. Elsewhere it leaves the chip's timer as that generator has it, and often memory as it was,
# and a game may draw its own random numbers from those; this is what 250 resets after random play
# were found to do (ale-py 0.12.1).
STEADY = """
    air_raid amidar asterix atlantis atlantis2 basic_math battle_zone blackjack bowling breakout
    carnival casino centipede defender donkey_kong double_dunk et flag_capture frogger gopher
    jamesbond journey_escape keystone_kapers king_kong koolaid lost_luggage mr_do ms_pacman
    name_this_game othello pacman pong qbert road_runner robotank skiing space_invaders tetris
    tic_tac_toe_3d trondead turmoil video_checkers video_chess video_pinball wizard_of_wor
    word_zapper
""".split()

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

ENGINES = ("vector", "python")
ONLY_PYTHON = ("mode", "difficulty", "workers")
LACKS, INSTEAD = "ALE's vector engine cannot", "make it with engine='python'"


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
    limit_counts = 4  # frames

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

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        return [{}, {"engine": "python"}]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        # It counts the frames of a reset too, and those of no-ops are drawn.
        is_plain = not name.startswith("ALE/") and options.get("noop_max") != 0
        return None if is_plain else "max_num_frames_per_episode"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        can_be_forked: Claim = LEAK if _game(name) in LEAKY else True
        if _engine(name, options) == "python":
            return host_capabilities(options, can_be_forked)
        saves = f"{LACKS} save a state; {INSTEAD}, or forkable=True."
        return host_capabilities(
            options,
            saves if can_be_forked is True else can_be_forked,
            has_env_params=f"{LACKS} change its settings; {INSTEAD}.",
            renderable=f"{LACKS} show the screen; {INSTEAD}.",
        )

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        from envhub.host.environment import HostEnvironment

        engine = _engine(name, options)
        game = _game(name)
        settings = _settings(_kind(name), options)
        capabilities = self.capabilities(name, options)
        kind = PreprocessedInstance if isinstance(settings, Preprocessed) else RawInstance
        rom = str(self.load("roms").get_rom_path(game))
        construct = functools.partial(
            kind,
            rom,
            settings,
            is_forkable=capabilities.forkable,
            is_leaky=game in LEAKY,
        )
        first: Any = construct()
        fleet = default_params = None
        if engine == "vector":
            fleet = VectorFleet(rom, first, is_steady=game in STEADY)
        else:
            default_params = _params(settings, options, first)
        return HostEnvironment(
            f"ale::{name}",
            construct,
            first,
            unwrapped=first.emulator,
            observation_space=first.observation_space,
            action_space=spaces.Discrete(len(first.actions)),
            capabilities=capabilities,
            default_params=default_params,
            # A snapshot fits whichever way the engine was chosen.
            options={key: options[key] for key in options if key != "engine"},
            version=self.require_installed(),
            fleet=fleet,
        )


def _game(name: str) -> str:
    """The ROM's name, whichever way a game is called."""
    if name.startswith("ALE/") and name.endswith("-v5"):
        return GAME_OF.get(name[4:-3], "")
    return GAME_OF.get(name, name)


def _kind(name: str) -> type[Settings]:
    return Raw if name.startswith("ALE/") else Preprocessed


def _engine(name: str, options: Mapping[str, Any]) -> str:
    """Which engine runs the environment that the options make.

    Raises:
        InvalidOptionError: if there is no such engine, or it cannot do what is asked.
    """
    asked = options.get("engine")
    if asked not in (None, *ENGINES):
        raise InvalidOptionError(f"engine={asked!r}: there are {' and '.join(map(repr, ENGINES))}.")
    needs = [option for option in ONLY_PYTHON if options.get(option) is not None]
    if name.startswith("ALE/"):
        needs.append(f"the name {name}, which shows the screen as it is,")
    if asked == "vector" and needs:
        raise InvalidOptionError(f"{needs[0]} needs engine='python'; {LACKS} do that.")
    if asked:
        return str(asked)
    return "python" if needs or options.get("forkable") is True else "vector"


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


def _params(settings: Settings, options: Mapping[str, Any], first: AleInstance) -> AleParams:
    return AleParams(
        mode=_among("mode", options.get("mode"), first.modes, first.mode),
        difficulty=_among(
            "difficulty", options.get("difficulty"), first.difficulties, first.difficulty
        ),
        repeat_action_probability=np.float32(settings.repeat_action_probability),
    )


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

    def __init__(self, rom: str, settings: Any, *, is_forkable: bool, is_leaky: bool) -> None:
        ale_py = SUITE.load()
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
        self.fires = s.use_fire_reset and FIRE in self.actions

    @property
    def observation_space(self) -> spaces.Space:
        return spaces.Box(0, 255, self._shape, np.uint8)

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


class VectorFleet(Fleet):
    """Emulators of ALE's vector engine, in C++, each in a thread of its own.

    An `ALEVectorInterface` steps all of its environments or none. So each of these has one
    environment, and what is sent to several of them is done at the same time.

    It cannot be put into a state: an episode starts with its own reset where that is `STEADY`, and
    elsewhere, or where ALE's generator decides about sticky actions, with loading the ROM, which
    takes 90 ms. What can be known before the seed is begins as soon as an episode has ended. The
    no-ops are steps, because how many frames ALE plays in a reset is its own generator's choice.

    Args:
        rom: the path of the game.
        example: an instance of the other engine with the same settings.
        is_steady: whether the game is one of `STEADY`.
    """

    def __init__(self, rom: str, example: PreprocessedInstance, *, is_steady: bool) -> None:
        from concurrent import futures  # a millisecond, which `capabilities` does not need

        s = example.settings
        self._construct = functools.partial(
            # Without gymnasium 1.1 ale_py does not pass it on.
            SUITE.load("_ale_py").ALEVectorInterface,
            rom,
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
        self._engines: list[Any] = [None]  # made when they are needed
        self._starting: dict[int, Any] = {}  # futures of first observations
        self._helpers = futures.ThreadPoolExecutor(os.cpu_count())

    def grow(self, count: int) -> None:
        self._engines += [None] * count

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
        entries = [self._entries(info["lives"], info["episode_frame_number"]) for info in infos]
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
        self._engines[number] = None

    def close(self) -> None:
        self._helpers.shutdown(cancel_futures=True)
        self._starting.clear()
        self._engines.clear()

    def _begin(self, number: int, seed: int) -> None:
        self._starting[number] = self._helpers.submit(self._start, number, seed)

    def _start(self, number: int, seed: int) -> Any:
        """Bring an engine to the start of the game; without sticky actions that is always one."""
        engine, needs_loading = self._engines[number], not self._is_steady
        if engine is None:
            engine = self._engines[number] = self._construct()
            needs_loading = False
        # Any seed makes it load the ROM, and -1 is none.
        seed = seed if self._is_sticky else 0 if needs_loading else -1
        obs, _ = engine.reset([0], [seed])
        return obs

    def _play(self, numbers: Sequence[int], codes: Sequence[int]) -> list[Any]:
        """Advance engines at the same time: observations, rewards, two flags and `info`, of each.

        Their actions are numbered as the game's legal ones, which are nearly always all there are.
        An action that it does not know, which nothing here sends, would make `recv` wait for ever.
        """
        engines = [self._engines[number] for number in numbers]
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

    def _entries(self, lives: Any, frames: Any) -> dict[str, Any]:
        """What `AleInstance.info` says; ALE's own count of all frames goes on over resets."""
        frame = int(frames[0])
        return {
            "lives": int(lives[0]),
            "frame_number": frame + self._played_before,
            "episode_frame_number": frame,
        }

    def _failed(self, numbers: Sequence[int], error: BaseException) -> Outcomes:
        """What to say of a call that was interrupted: nobody knows what the engines did."""
        for number in numbers:
            self.replace(number)
        failures = dict.fromkeys(range(len(numbers)), error)
        return Outcomes((), (), (), (), (), (), lanes=(), failures=failures)


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
