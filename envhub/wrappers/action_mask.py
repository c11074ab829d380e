"""Masks of legal actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.wrappers._inside_autoreset import InsideAutoReset
from envhub.wrappers._options import check_function, check_text, or_none

Mask = Callable[[Any, Any, Any], Any]


class ActionMask(InsideAutoReset):
    """Adds a mask of the legal actions to the observation, also after a reset.

    Observations are `{"observation": …, "action_mask": bool[n]}`, where `n` is the number of
    actions. If the suite's own object has a method `action_mask(observation)` and observations are
    `Discrete`, this method gives the mask; otherwise pass `mask_fn`.

    If the `info` of a step has the mask, `info_key` names the entry. A reset has no `info`, so
    after a reset the mask still comes from the suite's own method or from `mask_fn`.

    The final observation of an episode has the mask of its own state.

    Args:
        env: the environment.
        mask_fn: a function from an observation, the state of `env` and params to bool[n], in
            `jax.numpy`.
        info_key: the name of the entry of `info` that is the mask after a step.

    Raises:
        InvalidOptionError: if there is neither a method of the suite nor a `mask_fn`, `mask_fn`
            returns something else, `info` has no such entry of n numbers, actions are not
            `Discrete`, or there are several agents; and the errors of `InsideAutoReset`.

    Examples:
        >>> def legal(obs, state, params):
        ...     return jnp.array([obs[0] > -2, obs[0] < 2])
        >>> env, params = envhub.make("gymnax::CartPole-v1", wrappers=[ActionMask(mask_fn=legal)])
        >>> env.reset(jax.random.key(0), params)[0]["action_mask"].tolist()
        [True, True]
    """

    reason = "the last observation of an episode has a mask of its own"

    checks = {"mask_fn": or_none(check_function), "info_key": or_none(check_text)}  # noqa: RUF012

    def __init__(
        self, env: Environment, mask_fn: Mask | None = None, info_key: str | None = None
    ) -> None:
        super().__init__(env)
        space = env.action_space(env.default_params)
        if not isinstance(space, spaces.Discrete) or env.num_agents > 1:
            raise InvalidOptionError(
                f"ActionMask takes the Discrete actions of one agent; {env} has {space}."
            )
        self.num_actions = space.n
        self._mask = mask_fn or _suites_own(env)
        found = jax.eval_shape(self._mask, *env.reset_shapes, env.default_params)
        if getattr(found, "shape", None) != (space.n,):
            raise InvalidOptionError(f"mask_fn must return bool[{space.n}]; it returned {found}.")
        self._info_key = info_key
        if info_key is not None:
            self._check_info()

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        return _shown(obs, self._mask(obs, state, params)), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state, action, params)
        if self._info_key is None:
            mask = self._mask(result.obs, result.state, params)
        else:
            mask = result.info[self._info_key]
        return result._replace(obs=_shown(result.obs, mask))

    def observation_space(self, params: Any = None) -> spaces.Space:
        mask = spaces.Box(False, True, (self.num_actions,), np.bool_)
        return spaces.Dict({"observation": self.env.observation_space(params), "action_mask": mask})

    def _check_info(self) -> None:
        env = self.env
        given = jax.random.key(0), env.reset_shapes[1], env._actions.sample(jax.random.key(0))
        info = jax.eval_shape(env.step, *given, env.default_params).info
        shape = getattr(info.get(self._info_key), "shape", None)
        if shape != (self.num_actions,):
            raise InvalidOptionError(
                f"info of {env} has no mask bool[{self.num_actions}] under the name "
                f"{self._info_key!r}: it has {info}."
            )


def _shown(obs: Any, mask: Any) -> dict[str, Any]:
    return {"observation": obs, "action_mask": mask.astype(bool)}


def _suites_own(env: Environment) -> Mask:
    """Return the mask for each observation, from the suite's own function, as a table.

    Such suites have the mask in the `info` of a step, but a reset here has no `info`.

    Raises:
        InvalidOptionError: if the suite has no such function.
    """
    space = env.observation_space(env.default_params)
    mask_of = getattr(env.unwrapped, "action_mask", None)
    if not callable(mask_of) or not isinstance(space, spaces.Discrete):
        raise InvalidOptionError(
            f"{env} does not say which actions are legal, as one whose own object has a method "
            "action_mask(observation) and whose observations are Discrete does. Give mask_fn=, a "
            "function of observation, state and params."
        )
    first = space.start
    table = np.stack([mask_of(obs) for obs in range(first, first + space.n)]).astype(bool)
    return lambda obs, state, params: jnp.asarray(table)[obs - first]
