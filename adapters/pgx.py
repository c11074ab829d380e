"""pgx 2.6.0: board games, card games and MinAtar, in JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._nonempty import NonEmpty
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.suite import Gap, Suite, in_x64_mode, keywords

# As pgx's documentation groups them.
FAMILIES = {
    "board": "animal_shogi backgammon chess connect_four gardner_chess go_9x9 go_19x19 hex "
    "othello shogi tic_tac_toe",
    "cards": "kuhn_poker leduc_holdem sparrow_mahjong",
    "puzzle": "2048",
    "MinAtar": "minatar-asterix minatar-breakout minatar-freeway minatar-seaquest "
    "minatar-space_invaders",
}
FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names.split()}
# `pgx.make` gives these to the class, whose defaults are others.
OPTIONS = {"go_9x9": {"size": 9}}
# A select, a cond or a scatter there has branches of two dtypes (2.6.0).
BROKEN_IN_X64 = """
    animal_shogi chess connect_four gardner_chess go_9x9 go_19x19 minatar-freeway shogi tic_tac_toe
""".split()


class PgxSuite(Suite):
    """pgx's games, whose step never resets."""

    name = "pgx"
    title = "board games, card games and MinAtar in JAX"
    module = "pgx"
    distribution = "pgx"
    supported = ">=2.6.0,<3"
    example = "tic_tac_toe"
    interface = "a pgx Env"
    # fmt: off
    references = (("*", "https://github.com/sotetsuk/pgx/blob/main/pgx/core.py"),)
    # fmt: on

    def known_names(self) -> Iterable[str]:
        return sorted(FAMILY_OF)

    def live_names(self) -> Iterable[str]:
        return list(self.load().available_envs())

    def options(self, name: str) -> Iterable[str]:
        accepted = set(keywords(type(self.load().make(name))))
        # The state of hex has the default size for any size (2.6.0).
        return accepted - ({"size"} if name == "hex" else set())

    def family(self, name: str) -> str:
        return FAMILY_OF.get(name, "")

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        return Capabilities.native(
            differentiable="actions are discrete.",
            has_env_params="pgx has nothing there that can change from call to call.",
            renderable="pgx draws SVG only: env.unwrapped and state.to_svg() of its own.",
        )

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if in_x64_mode() and name in BROKEN_IN_X64:
            return Gap("upstream", "pgx 2.6.0 mixes dtypes there in x64 mode; switch that off.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        own = self.load().make(name)
        if options:
            own = type(own)(**{**OPTIONS.get(name, {}), **options})
        return PgxEnvironment(own, self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load("core").Env):
            return None
        return obj.id, PgxEnvironment(obj, self.capabilities(obj.id, {}))


class PgxEnvironment(Environment):
    """A game of pgx: of turns, if several play it. The state is pgx's own.

    Observations are dicts of `observation`, `action_mask` and, if several play, `current_player`.
    """

    def __init__(self, env: Any, capabilities: Capabilities) -> None:
        super().__init__(env, None, capabilities)
        self.num_agents = env.num_players
        self.turn_based = self.num_agents > 1
        self.agents = tuple(f"player_{place}" for place in range(self.num_agents))

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state = self.unwrapped.init(key)
        return self._seen(state), NonEmpty(state)  # of asterix, one array is empty

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        # Some games draw in a step, and the others ignore the key.
        after = self.unwrapped.step(state.tree, action, key)
        return StepResult(
            obs=self._seen(after),
            state=NonEmpty(after),
            reward=after.rewards,
            terminated=jnp.broadcast_to(after.terminated, after.rewards.shape),
            truncated=jnp.broadcast_to(after.truncated, after.rewards.shape),
            info={},
        )

    def observation_space(self, params: Any = None) -> spaces.Space:
        own = jax.eval_shape(self.unwrapped.init, jax.random.key(0))
        seen: dict[str, spaces.Space] = {
            "observation": _box(own.observation),
            "action_mask": _box(own.legal_action_mask),
        }
        if self.turn_based:
            seen["current_player"] = spaces.Discrete(self.num_agents)
        return spaces.Dict(seen)

    def action_space(self, params: Any = None) -> spaces.Space:
        own = jax.eval_shape(self.unwrapped.init, jax.random.key(0))
        return spaces.Discrete(own.legal_action_mask.size)

    def _seen(self, state: Any) -> dict[str, Any]:
        seen = {"observation": state.observation, "action_mask": state.legal_action_mask}
        return {**seen, "current_player": state.current_player} if self.turn_based else seen


def _box(array: Any) -> spaces.Box:
    """pgx declares no bounds: those of the dtype."""
    if array.dtype == np.bool_:
        return spaces.Box(False, True, array.shape, np.bool_)
    if array.dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, array.shape, array.dtype)
    limits = np.iinfo(array.dtype)
    return spaces.Box(limits.min, limits.max, array.shape, array.dtype)


SUITE = PgxSuite()
