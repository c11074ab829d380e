"""octax 0.1.1: games of CHIP-8, in an emulator in JAX."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._foreign import quiet
from envhub._inputs import check_positive
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.params import params_dataclass
from envhub.suite import Suite, keywords

GAMES = """
    airplane blinky brix deep filter flight_runner missile pong rocket shooting_stars spacejam
    squash submarine tank tetris ufo vertical_brix wipe_off worm
""".split()
# octax keeps the level that was made last in the game's module, and "cavern" is then that level
# (0.1.1). So every name has its level here. The wheel has no cavern4.
LEVELS = [
    *(f"cavern{level}" for level in (1, 2, 3, 5, 6)),
    *(f"space_flight{level}" for level in range(1, 11)),
    *(f"target_shooter{level}" for level in (1, 2, 3)),
]
LIMIT = "max_num_steps_per_episodes"
# Given by the game, or by the params.
NOT_OPTIONS = {
    "rom_path", "score_fn", "terminated_fn", "action_set", "startup_instructions", "custom_startup",
    "disable_delay", "render_mode", LIMIT,
}  # fmt: skip


@params_dataclass
class OctaxParams:
    """What can change from call to call.

    Attributes:
        max_num_steps_per_episodes: int32[], the step at which an episode is truncated.
    """

    max_num_steps_per_episodes: Any


class OctaxSuite(Suite):
    """octax's games, whose step never resets."""

    name = "octax"
    title = "games of CHIP-8 in JAX"
    module = "octax"
    distribution = "octax"
    relies_on = ("flax",)
    supported = ">=0.1.1,<0.2"
    example = "brix"
    interface = "an OctaxEnv"

    def known_names(self) -> Iterable[str]:
        return GAMES + LEVELS

    def options(self, name: str) -> Iterable[str]:
        return set(keywords(self.load("env").OctaxEnv)) - NOT_OPTIONS

    def family(self, name: str) -> str:
        return "CHIP-8"

    def families(self) -> Mapping[str, str]:
        return dict.fromkeys(self.known_names(), "CHIP-8")

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return LIMIT

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        return Capabilities.native(differentiable="actions are discrete.")

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        if "color_scheme" in options:  # octax looks at it when it draws (0.1.1)
            self.load("rendering").create_color_scheme(options["color_scheme"])
        check_positive("render_scale", options.get("render_scale", 1))
        env, _ = self.load("environments").create_environment(name, "rgb_array", **options)
        return self._of(env, self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load("env").OctaxEnv):
            return None
        return pathlib.Path(obj.rom_path).stem, self._of(obj, self.capabilities("", {}))

    def _of(self, env: Any, capabilities: Capabilities) -> Environment:
        return OctaxEnvironment(env, OctaxParams(getattr(env, LIMIT)), capabilities)


class OctaxEnvironment(Environment):
    """A game of CHIP-8; its state is octax's own.

    Chance in a step comes from the key in the state, as octax has it: the key given to `step` is
    not used.
    """

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state, obs, _ = self.unwrapped.reset(key)
        return obs, state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        with quiet():  # JAX warns of scatters that mix dtypes there (octax 0.1.1)
            after, obs, reward, terminated, _, info = self.unwrapped.step(state, action)
        truncated = after.time >= params.max_num_steps_per_episodes
        return StepResult(obs, after, reward, terminated, truncated, info)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(False, True, self.reset_shapes[0].shape, np.bool_)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(self.unwrapped.num_actions)

    def render_env(self, state: Any, params: Any) -> Any:
        return self.unwrapped.render(state)


SUITE = OctaxSuite()
