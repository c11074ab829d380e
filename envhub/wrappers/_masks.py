"""The mask of legal actions in an observation, which is about the next action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envhub import spaces
from envhub._agents import MASK
from envhub.environment import Environment
from envhub.wrappers._by_name import each_agent


def with_newest_mask(env: Environment, made: Any, newest: Any) -> Any:
    """Return what a wrapper made of several observations, with the mask of the newest.

    Args:
        env: the environment, for its agents.
        made: an observation, or its space as a `Dict`.
        newest: the newest of the observations, or its space.
    """
    return each_agent(env, _with_mask_of, made, newest)


def without_mask(obs: Any) -> tuple[Any, dict[str, Any]]:
    """Return one observation, or its space, without the mask; and the mask as an entry, if any."""
    if not isinstance(obs, Mapping) or MASK not in obs:
        return obs, {}
    rest = {name: part for name, part in obs.items() if name != MASK}
    return _like(obs, rest), {MASK: obs[MASK]}


def _with_mask_of(made: Any, newest: Any) -> Any:
    mask = without_mask(newest)[1]
    return _like(made, {**made, **mask}) if mask else made


def _like(obs: Any, entries: dict[str, Any]) -> Any:
    return spaces.Dict(entries) if isinstance(obs, spaces.Dict) else entries
