"""The base of wrappers that show more of a step than its observation."""

from __future__ import annotations

import abc
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.spaces._trees import tree_of, zero_of
from envhub.wrappers._by_name import each_agent, each_space
from envhub.wrappers._inside_autoreset import InsideAutoReset
from envhub.wrappers._masks import without_mask


class AddedObservation(InsideAutoReset):
    """Adds another value of each step to its observation.

    The new observation is a `Dict`: `obs`, the inner observation; `start`, bool[] (bool[num_agents]
    where agents are the leading axis), true after the reset; and the added value, zeros after the
    reset. Where agents are held by name, each of them gets such a `Dict`. A mask of legal actions
    (`action_mask`) of the inner observation becomes an entry of the new one.
    Around another wrapper of this kind, it adds an entry to the same `Dict`. The wrapper needs no
    memory, because a step has all these values.

    Attributes:
        name: the name of the added entry.

    Raises:
        InvalidOptionError: if there already is an entry of this name; and the errors of
            `InsideAutoReset`.
    """

    name: ClassVar[str]
    reason = "no step precedes the first observation of an episode"

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        kind: Any = AddedObservation
        inside = env.find(kind)
        with jax.ensure_compile_time_eval():
            space = env.observation_space(env.default_params)
            # What is between the two may have changed the observation, which then is another one.
            self._extends = inside is not None and inside.observation_space() == space
            self._zero = jax.tree.map(zero_of, tree_of(self.added_space(env.default_params)))
        if self._extends:
            each_agent(self, self._refuse_twice, space)

    @abc.abstractmethod
    def added_space(self, params: Any) -> spaces.Space:
        """Return the space of the added value."""

    @abc.abstractmethod
    def added(self, action: Any, result: StepResult) -> Any:
        """Return the value to add after a step."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.env.reset(key, params)
        return self._shown(obs, self._zero, True), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = self.env.step(key, state, action, params)
        added = self.added(action, result)
        if not self.capabilities.differentiable:
            # The flag is about the transition, so what has no gradient there gets none here.
            added = jax.lax.stop_gradient(added)
        return result._replace(obs=self._shown(result.obs, added, False))

    def observation_space(self, params: Any = None) -> spaces.Space:
        inside, added = self.env.observation_space(params), self.added_space(params)
        return each_space(self, self._with_added, inside, added)

    @property
    def _leading(self) -> tuple[int, ...]:
        return (self.num_agents,) if self.observation_agents == "leading" else ()

    def _refuse_twice(self, space: spaces.Dict) -> None:
        if self.name in space:
            raise InvalidOptionError(
                f"{self.env} already shows {self.name!r}. Remove one {type(self).__name__}."
            )

    def _with_added(self, space: spaces.Space, added: spaces.Space) -> spaces.Space:
        if self._extends:
            assert isinstance(space, spaces.Dict)
            return spaces.Dict({**space.spaces, self.name: added})
        start = spaces.Box(False, True, self._leading, np.bool_)
        rest, mask = without_mask(space)
        return spaces.Dict({"obs": rest, "start": start, self.name: added, **mask})

    def _shown(self, obs: Any, added: Any, is_start: bool) -> Any:
        return each_agent(self, functools.partial(self._to_one, is_start), obs, added)

    def _to_one(self, is_start: bool, obs: Any, added: Any) -> dict[str, Any]:
        if self._extends:
            return {**obs, self.name: added}
        rest, mask = without_mask(obs)
        return {"obs": rest, "start": jnp.full(self._leading, is_start), self.name: added, **mask}
