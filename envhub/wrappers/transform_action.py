"""Actions transformed by a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from envhub import spaces
from envhub._tracing import concrete_if_known
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._base import Wrapper
from envhub.wrappers._options import check_function, check_space


class TransformAction(Wrapper):
    """Applies a function to each action before the environment gets it.

    The end of an episode changes nothing.

    Args:
        env: the environment.
        func: a function from a new action to the environment's own action, in `jax.numpy`.
        action_space: the space of the new actions; by default the environment's own.

    Examples:
        >>> mirrored = TransformAction(func=lambda action: 1 - action)
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[mirrored])
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> bool(env.step(jax.random.key(1), state, 0, params).obs[1] > 0)  # 1 pushes to the right
        True
    """

    checks = {"func": check_function, "action_space": check_space}  # noqa: RUF012

    def __init__(
        self,
        env: Environment,
        func: Callable[..., Any],
        action_space: spaces.Space | None = None,
    ) -> None:
        super().__init__(env)
        self._func, self._space = func, action_space

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return self.env.step(key, state, self._own_action(action, params), params)

    def _own_action(self, action: Any, params: Any) -> Any:
        return self._func(action)

    def action_space(self, params: Any = None) -> spaces.Space:
        return self._space or self.env.action_space(params)


class BoxAction(TransformAction):
    """Computes arrays of floats from the bounds under the params of the call.

    `func` takes these bounds after the action: `func(action, low, high)`.
    """

    @classmethod
    def _box_of(cls, env: Environment, params: Any) -> spaces.Box:
        """Return the action space of an environment.

        Raises:
            InvalidOptionError: if it is not a `Box` of floats.
        """
        with concrete_if_known(params) as known:
            space = env.action_space(known)
        if not isinstance(space, spaces.Box) or space.dtype.kind != "f":
            raise InvalidOptionError(
                f"{cls.__name__} needs a Box (float) action space; got {space}."
            )
        return space

    def _own_action(self, action: Any, params: Any) -> Any:
        inner = self._box_of(self.env, params)
        return self._func(action, inner.low, inner.high)
