"""The Arcade Learning Environment as a suite."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

from envhub import spaces
from envhub.environment import Environment
from envhub.flags import Capabilities, Claim
from envhub.host import BRIDGE_OPTIONS, host_capabilities
from envhub.suite import Suite

from .facts import GAMES, LEAK, LEAKY, STEADY, game_of
from .games import PreprocessedInstance, RawInstance
from .settings import INSTEAD, LACKS, Preprocessed, engine_of, kind_of, params_of, settings_of
from .vector import VectorFleet


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
        game = game_of(name)
        if game in GAMES:
            return name if name.startswith("ALE/") else game
        return super().resolve(name)

    def options(self, name: str) -> Iterable[str]:
        own = [field.name for field in dataclasses.fields(kind_of(name))]
        return [*own, "mode", "difficulty", "engine", *BRIDGE_OPTIONS]

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        return [{}, {"engine": "python"}]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        # It counts the frames of a reset too, and those of no-ops are drawn.
        is_plain = not name.startswith("ALE/") and options.get("noop_max") != 0
        return None if is_plain else "max_num_frames_per_episode"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        can_be_forked: Claim = LEAK if game_of(name) in LEAKY else True
        if engine_of(name, options) == "python":
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

        engine = engine_of(name, options)
        game = game_of(name)
        settings = settings_of(kind_of(name), options)
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
            default_params = params_of(settings, options, first)
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


SUITE = AleSuite()
