"""What the other interfaces have no form for."""

from __future__ import annotations

from typing import Any

from envhub.environment import Environment
from envhub.errors import InvalidOptionError
from envhub.wrappers.autoreset import AutoReset


def check_one_agent(env: Any, target: str) -> None:
    """Refuse several agents.

    Raises:
        InvalidOptionError: naming what was found and what fits.
    """
    if env.num_agents > 1:
        raise InvalidOptionError(
            f"{target} takes environments of one agent, and {env} has {env.num_agents}."
        )


def check_one_episode(env: Any, target: str) -> None:
    """Refuse all but one environment of one agent that ends where its episode ends.

    Raises:
        InvalidOptionError: naming what was found and what fits.
    """
    if not isinstance(env, Environment):
        raise InvalidOptionError(
            f"{target} takes one environment, as envhub.make gives it, and not {env!r}. "
            "For a batch there is to_gymnasium_vec."
        )
    check_one_agent(env, target)
    if env.find(AutoReset):
        raise InvalidOptionError(
            f"{target} takes {env} without its AutoReset: who drives the result resets it."
        )


def check_reset_options(options: Any, *known: str) -> None:
    """Refuse options of a `reset` that would be dropped.

    Raises:
        InvalidOptionError: if there are any but those that are known.
    """
    unknown = sorted(set(options or ()) - set(known), key=str)
    if unknown:
        raise InvalidOptionError(
            f"reset cannot take the options {', '.join(map(repr, unknown))}: those of Gymnasium's "
            "environments are given once, envhub.make(…, reset_options={…})."
        )
