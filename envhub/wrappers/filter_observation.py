"""Selected parts of observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envhub import spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.spaces._trees import leaves_of
from envhub.wrappers._by_name import each_agent, each_space
from envhub.wrappers._observation import ObservationWrapper


def _check_keys(name: str, keys: Any) -> None:
    # A string is a sequence of its letters, and not meant so.
    is_list = isinstance(keys, list | tuple) and all(type(key) in (str, int) for key in keys)
    if not is_list or not 0 < len(set(keys)) == len(keys):
        raise InvalidOptionError(
            f"{name} must be a list of names, or of numbers, each once, got {keys!r}."
        )


class FilterObservation(ObservationWrapper):
    """Keeps some entries of a `Dict`, or some elements of a `Tuple` in the given order.

    The kept parts are unchanged. Where observations hold agents by name, the parts are those of
    each agent. The final observation of an episode, also in
    `info["final_obs"]`, is changed like any other.

    Args:
        env: the environment.
        filter_keys: the parts to keep: names of a `Dict`, indices of a `Tuple`.

    Raises:
        InvalidOptionError: if a name or index does not exist or is repeated, `filter_keys` is
            empty, or observations are neither a `Dict` nor a `Tuple`.

    Examples:
        >>> wrappers = [FilterObservation(filter_keys=["grid"])]
        >>> env, params = envhub.make("jumanji::Snake-v1", wrappers=wrappers)
        >>> list(env.env.observation_space()), list(env.observation_space())
        (['action_mask', 'grid', 'step_count'], ['grid'])
    """

    checks = {"filter_keys": _check_keys}  # noqa: RUF012

    def __init__(self, env: Environment, filter_keys: Sequence[str | int]) -> None:
        self.filter_keys = tuple(filter_keys)
        space = env.observation_space(env.default_params)
        each_agent(env, self._check_parts, space)
        super().__init__(env)
        if not any(leaf.dtype.kind == "f" for leaf in leaves_of(self.observation_space())):
            reason = f"filter_keys={list(filter_keys)} selects no floats"
            self.capabilities = env.capabilities.without(differentiable=reason)

    def observation(self, obs: Any) -> Any:
        return each_agent(self, self._kept, obs)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return each_space(self, self._kept, self.env.observation_space(params))

    def _check_parts(self, space: spaces.Space) -> None:
        if not isinstance(space, spaces.Dict | spaces.Tuple):
            raise InvalidOptionError(
                f"FilterObservation needs Dict or Tuple observations; got {space}."
                " MaskObservation keeps elements of an array."
            )
        known = list(space) if isinstance(space, spaces.Dict) else list(range(len(space)))
        if any(key not in known for key in self.filter_keys):
            raise InvalidOptionError(
                f"filter_keys must be a list of some of {known}, each once, got "
                f"{list(self.filter_keys)}."
            )

    def _kept(self, obs: Any) -> Any:
        """Return the kept parts of one observation, or their space."""
        if isinstance(obs, Mapping):
            kept = {str(key): obs[key] for key in self.filter_keys}
            return spaces.Dict(kept) if isinstance(obs, spaces.Dict) else kept
        parts = tuple(obs[key] for key in self.filter_keys)
        return spaces.Tuple(parts) if isinstance(obs, spaces.Tuple) else parts
