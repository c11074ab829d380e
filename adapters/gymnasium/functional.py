"""What Gymnasium has written in JAX, which needs no callback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from envhub import spaces
from envhub._headless import no_sound
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.params import Rule, computed
from envhub.wrappers.time_limit import Counted

from .facts import ASKED_BY_PYTHON

# What Gymnasium computes once, for the defaults; the second is the sum, not the product (to 1.4).
DERIVED: dict[str, dict[str, Rule]] = {
    "CartPoleParams": {
        "total_mass": ({"masscart", "masspole"}, lambda own: own.masscart + own.masspole),
        "polemass_length": ({"masspole", "length"}, lambda own: own.masspole + own.length),
    }
}


class FunctionalEnvironment(Environment):
    """A functional core of Gymnasium, called as its own `FunctionalJaxEnv` calls it.

    That is: every function of a call gets the call's key, which Gymnasium splits off its own.
    """

    def __init__(self, unwrapped: Any, limit: int | None, capabilities: Capabilities) -> None:
        super().__init__(unwrapped, unwrapped.get_default_params(), capabilities)
        self.max_episode_steps = None if limit == -1 else limit

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        core, given = self.unwrapped, _given(params)
        state = core.initial(key, **given)
        obs = core.observation(state, key, **given)
        if hasattr(state, "fallen"):
            # CliffWalking starts with a bool[] and goes on with a bool[1] (gymnasium 1.0 to 1.3).
            state = state._replace(fallen=jnp.zeros(1, bool))
        return obs, Counted(state, jnp.int32(0))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        core, given = self.unwrapped, _given(params)
        after = core.transition(state.env, action, key, **given)
        steps = state.steps + 1
        is_limited = self.max_episode_steps is not None
        return StepResult(
            obs=core.observation(after, key, **given),
            state=Counted(after, steps),
            reward=self._reward((state.env, action, after, key), params),
            terminated=core.terminal(after, key, **given),
            truncated=steps >= self.max_episode_steps if is_limited else jnp.bool_(False),
            info=core.transition_info(state.env, action, after, **given),
        )

    def limit(self, params: Any) -> Any:
        return self.max_episode_steps

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.from_gymnasium(self.unwrapped.observation_space)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.from_gymnasium(self.unwrapped.action_space)

    def derived_params(self, params: Any, changed: set[str]) -> dict[str, Any]:
        return computed(DERIVED.get(type(params).__name__, {}), params, changed)

    def render_env(self, state: Any, params: Any) -> Any:
        with no_sound():
            # Its `render_close` is left out: it ends pygame for everybody else in the process.
            screen = self.unwrapped.render_init(**_screen(params))
            return self.unwrapped.render_image(state.env, screen, **_given(params))[1]

    def _reward(self, transition: Sequence[Any], params: Any) -> Any:
        def reward(params: Any) -> Any:
            return self.unwrapped.reward(*transition, **_given(params))

        return _for_both(ASKED_BY_PYTHON.get(type(self.unwrapped).__name__, ()), reward, params)


def _given(params: Any) -> dict[str, Any]:
    """Params as a keyword; none for CliffWalking, where some functions take the key for them."""
    return {} if params is None else {"params": params}


def _for_both(flags: Sequence[str], function: Callable[[Any], Any], params: Any) -> Any:
    """The function under each value of these flags, of which those in force are chosen."""
    if not flags:
        return function(params)
    flag, *others = flags
    no, yes = (
        _for_both(others, function, params.replace(**{flag: value})) for value in (False, True)
    )
    return jnp.where(getattr(params, flag), yes, no)


def _screen(params: Any) -> dict[str, int]:
    """A screen as large as the picture: Pendulum's, 500x500, gets 600x400 (gymnasium 1.3)."""
    names = ("screen_width", "screen_height")
    if hasattr(params, "screen_dim"):
        return dict.fromkeys(names, int(params.screen_dim))
    return {name: int(getattr(params, name)) for name in names if hasattr(params, name)}
