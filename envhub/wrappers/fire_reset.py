"""Games that begin when FIRE is pressed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub._reset_where import reset_where
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers._inside_autoreset import InsideAutoReset
from envhub.wrappers._options import or_none


def _check_action(name: str, action: Any) -> None:
    if isinstance(action, bool) or not hasattr(action, "__index__"):
        raise InvalidOptionError(f"{name}={action!r} is no integer.")


class FireReset(InsideAutoReset):
    """Presses FIRE after each reset, for Atari games that need it to start.

    The episode begins with the observation after that step; the reward of the step is dropped. If
    the step ends the episode, another episode begins without FIRE, as in Baselines. The key of the
    reset is split in three: for the reset, for the step and for the second reset.

    Environments such as `ale::breakout` already do this, unless made with `use_fire_reset=False`.
    Environments such as `ale::ALE/Breakout-v5` do not.

    Args:
        env: the environment.
        fire_action: the action to take; by default the action named FIRE.

    Raises:
        InvalidOptionError: if no action is named FIRE and `fire_action` is not given, or
            `fire_action` does not exist; and the errors of `InsideAutoReset`.

    Examples:
        >>> env, params = envhub.make("ale::ALE/Breakout-v5", wrappers=[FireReset])
        >>> env.fire_action
        1
    """

    reason = "an episode that AutoReset starts inside it begins without FIRE"

    checks = {"fire_action": or_none(_check_action)}  # noqa: RUF012

    def __init__(self, env: Environment, fire_action: int | None = None) -> None:
        super().__init__(env)
        space = env.action_space(env.default_params)
        names = action_meanings(env) if fire_action is None else []
        if fire_action is None and "FIRE" not in names:
            raise InvalidOptionError(
                f"{env} has no action called FIRE; give fire_action= if another action starts the "
                "game."
            )
        self.fire_action = names.index("FIRE") if fire_action is None else fire_action
        if not isinstance(space, spaces.Discrete) or not space.contains(self.fire_action):
            raise InvalidOptionError(f"fire_action={self.fire_action!r} is not in {space}.")

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        reset_key, fire_key, again_key = jax.random.split(key, 3)
        _, state = self.env.reset(reset_key, params)
        result = self.env.step(fire_key, state, jnp.int32(self.fire_action), params)
        fired = result.obs, result.state
        obs, state = reset_where(jnp.all(result.done), self.env.reset, again_key, params, fired)
        return obs, state


def action_meanings(env: Environment) -> list[str]:
    """Return the suite's names of the `Discrete` actions, in order; empty if it has none."""
    inner, space = env.unwrapped, env.action_space(env.default_params)
    if hasattr(inner, "get_action_meanings"):
        return list(inner.get_action_meanings())
    if not hasattr(inner, "getMinimalActionSet"):
        return []
    # An emulator: which of its sets of actions is played, it is not told.
    sets = inner.getMinimalActionSet(), inner.getLegalActionSet()
    fitting = [each for each in sets if isinstance(space, spaces.Discrete) and len(each) == space.n]
    return [action.name for action in fitting[0]] if fitting else []
