"""Episodes that end when a life is lost."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._base import Wrapper
from envhub.wrappers.autoreset import AutoReset


class Living(NamedTuple):
    """A state and the number of lives left, int32[]; 0 before the first step of a game."""

    env: Any
    lives: jax.Array


class EpisodicLife(Wrapper):
    """Sets `terminated` when a life is lost, while the game continues.

    Put it outside `AutoReset`: `wrappers=[AutoReset, EpisodicLife]`. `AutoReset` then starts a new
    game only when the game is over. In the step that loses a life, `obs` is both the last
    observation of that life and the first of the next, and equals `info["final_obs"]`; the next
    step plays the action that it is given. Without `AutoReset`, the game also continues after a
    lost life.

    `info["game_over"]`, bool[], is true if the game itself ended, for either reason. As in
    Baselines, the last life counts as lost only then. `RecordEpisodeStatistics` inside this wrapper
    records games, and outside it records lives. A reset does not tell the number of lives, so a
    life lost in the first step of a game is not noticed.

    Args:
        env: an environment with `info["lives"]`, such as those of `ale::`.

    Raises:
        InvalidOptionError: if there is no such entry, if an `AutoReset` inside has mode
            `"next_step"`, with which no life can continue, or if the environment itself ends when a
            life is lost.

    Examples:
        >>> env, params = envhub.make("ale::breakout", wrappers=[EpisodicLife])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> bool(env.step(jax.random.key(1), state, 0, params).info["game_over"])
        False
    """

    spans_episodes = True

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        key = jax.random.key(0)
        action = jax.eval_shape(env.action_space(env.default_params).sample, key)
        info = jax.eval_shape(env.step, key, env.reset_shapes[1], action, env.default_params).info
        if "lives" not in info or info["lives"].shape != ():
            raise InvalidOptionError(
                f"EpisodicLife needs the number info['lives'], as the environments of ale:: give "
                f"it; the info of {env} has {sorted(info)}."
            )
        inside = self.find(AutoReset)
        if inside is not None and inside.mode != "same_step":
            raise InvalidOptionError(
                f"EpisodicLife needs AutoReset(mode='same_step'). With {inside.mode!r}, an "
                "episode begins with a step that does not step the game."
            )
        if env.spec and env.spec.kwargs.get("episodic_life"):
            raise InvalidOptionError(
                "made with episodic_life=True, the game restarts after each life: leave that "
                "out, and EpisodicLife continues the game."
            )

    def inner_state(self, state: Any) -> Any:
        return state.env

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        return obs, Living(state, jnp.int32(0))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state.env, action, params)
        lives, game_over = result.info["lives"].astype(jnp.int32), jnp.all(result.done)
        # Some games go on for a while without a life, and end then.
        is_lost = (lives < state.lives) & (lives > 0)
        return result._replace(
            state=Living(result.state, jnp.where(game_over, 0, lives)),
            terminated=result.terminated | is_lost,
            info={**result.info, "game_over": game_over},
        )
