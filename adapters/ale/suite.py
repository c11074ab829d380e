"""The Arcade Learning Environment as a suite."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from envhub.environment import Environment
from envhub.flags import FLAGS, Claim
from envhub.host import BRIDGE_OPTIONS, HostSuite
from envhub.host.options import asks_for_replay

from .facts import GAMES, LEAK, LEAKY, STEADY, game_of
from .games import PreprocessedInstance, RawInstance
from .instances import AleInstance
from .settings import INSTEAD, LACKS, Preprocessed, engine_of, kind_of, params_of, settings_of
from .vector import VectorFleet


class AleSuite(HostSuite):
    """The Arcade Learning Environment.

    `ale::pong`, or `ale::Pong`, is the game as agents usually see it: four gray frames of 84x84.
    `ale::ALE/Pong-v5` is Gymnasium's id: the colour screen, and sticky actions.
    """

    name = "ale"
    title = "Atari 2600 games of the Arcade Learning Environment"
    module = "ale_py"
    distribution = "ale-py"
    relies_on = ("gymnasium",)
    # 0.11 has the same games, and cannot turn a state of the emulator into bytes.
    supported = ">=0.12,<1"
    example = "pong"
    limit_counts = 4  # frames
    enabling = ({"engine": "python"}, {"forkable": True})

    def known_names(self) -> Iterable[str]:
        return GAMES  # those that the package does not ship have no settings in the emulator

    def resolve(self, name: str) -> str:
        game = game_of(name)
        if game in GAMES:
            return name if name.startswith("ALE/") else game
        return super().resolve(name)

    def options(self, name: str) -> Iterable[str]:
        own = [field.name for field in dataclasses.fields(kind_of(name))]
        return [*own, "mode", "difficulty", "engine", *BRIDGE_OPTIONS]

    def family(self, name: str) -> str:
        return "Atari"

    def families(self) -> Mapping[str, str]:
        return dict.fromkeys(GAMES, "Atari")

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        return [{}, {"engine": "python"}]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        # It counts the frames of a reset too, and those of no-ops are drawn.
        is_plain = not name.startswith("ALE/") and options.get("noop_max") != 0
        return None if is_plain else "max_num_frames_per_episode"

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        can_be_forked: Claim = LEAK if game_of(name) in LEAKY else True
        everything: dict[str, Claim] = {**dict.fromkeys(FLAGS, True), "forkable": can_be_forked}
        if engine_of(name, options) == "python":
            return everything
        if can_be_forked is True:
            can_be_forked = f"{LACKS} save a state; {INSTEAD}, or forkable=True."
        return {
            **everything,
            "forkable": can_be_forked,
            "has_env_params": f"{LACKS} change its settings; {INSTEAD}.",
            "renderable": f"{LACKS} show the screen; {INSTEAD}.",
        }

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        is_python = engine_of(name, options) == "python"
        return is_python or f"{LACKS} save a state; {INSTEAD}, or forkable=True."

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], AleInstance]:
        can_be_saved = self.claims(name, options)["forkable"] is True
        is_saved = (
            can_be_saved
            and options.get("forkable") is not False
            and not asks_for_replay(options, can_be_saved)
        )
        settings, game = settings_of(kind_of(name), options), game_of(name)
        return functools.partial(
            PreprocessedInstance if isinstance(settings, Preprocessed) else RawInstance,
            str(self.load("roms").get_rom_path(game)),
            settings,
            is_forkable=is_saved,
            is_leaky=game in LEAKY,
        )

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        construct = self.instances(name, options)
        first: Any = self.trial(name, options).first(construct)
        claims = self.claims(name, options)
        if engine_of(name, options) == "vector":
            fleet = VectorFleet(first, is_steady=game_of(name) in STEADY)
            return self.environment(name, construct, first, options, claims=claims, fleet=fleet)
        first.default_params = params_of(first, options)
        # A snapshot fits whichever way the engine was chosen.
        others = {key: options[key] for key in options if key != "engine"}
        return self.environment(name, construct, first, others, claims=claims)


SUITE = AleSuite()
