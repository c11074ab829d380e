"""Refuse environments that other interfaces cannot represent, and load their libraries."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from envhub.environment import Environment
from envhub.errors import InvalidOptionError, MissingDependencyError
from envhub.export.driver import Driver
from envhub.vector import VectorEnv
from envhub.wrappers.autoreset import AutoReset


def check_one_agent(env: Any, target: str) -> None:
    """Refuse several agents.

    Raises:
        InvalidOptionError: if there are several; the message names an export that fits.
    """
    if env.num_agents > 1:
        other = "to_pettingzoo_aec takes games of turns"
        if not env.turn_based:
            other = "to_pettingzoo and to_jaxmarl take several agents"
        raise InvalidOptionError(
            f"{target} needs an environment with one agent; {env} has {env.num_agents}. {other}."
        )


def check_one_episode(env: Any, target: str) -> None:
    """Refuse anything but a single environment of one agent, without automatic reset.

    Raises:
        InvalidOptionError: if it is something else; the message names what fits.
    """
    check_whole(env, target)
    check_one_agent(env, target)


def check_whole(env: Any, target: str) -> None:
    """Refuse anything but a single environment without automatic reset.

    Raises:
        InvalidOptionError: if it is something else; the message names what fits.
    """
    if not isinstance(env, Environment):
        raise InvalidOptionError(
            f"{target} needs one environment, as envhub.make returns it; got {env!r}. "
            "For a batch, use to_gymnasium_vec."
        )
    if env.find(AutoReset):
        raise InvalidOptionError(
            f"{target} needs {env} without AutoReset: the caller of the result resets it."
        )


def check_batch(venv: Any, target: str) -> None:
    """Refuse anything but a batch of environments of one agent.

    Raises:
        InvalidOptionError: if it is something else; the message names what fits.
    """
    if not isinstance(venv, VectorEnv):
        raise InvalidOptionError(
            f"{target} takes a batch, as envhub.make_vec gives it, and not {venv!r}."
        )
    check_one_agent(venv.env, target)


def load(module: str, distribution: str, target: str) -> Any:
    """Import a module of a library that is not a suite.

    Raises:
        MissingDependencyError: if the library is absent; the message has the install command.
    """
    try:
        importlib.import_module(module.partition(".")[0])
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{target} needs the package {distribution!r}, which is not installed. "
            f"Run: pip install {distribution}"
        ) from error


def check_reset(driver: Driver, target: str) -> None:
    """Refuse a step before the first reset.

    Raises:
        gymnasium.error.ResetNeeded: before the first reset.
    """
    if not driver.is_started:
        raise load("gymnasium", "gymnasium", target).error.ResetNeeded("call reset first.")


def check_reset_options(options: Any, *known: str) -> None:
    """Refuse options of a `reset` that would be ignored.

    Raises:
        InvalidOptionError: if there are unknown options, or they are not a dict.
    """
    if not isinstance(options, Mapping | None):
        raise InvalidOptionError(f"the options of reset must be a dict or None, got {options!r}.")
    unknown = sorted(set(options or ()) - set(known), key=str)
    if unknown:
        raise InvalidOptionError(
            f"reset cannot take the options {', '.join(map(repr, unknown))}: those of Gymnasium's "
            "environments are given once, envhub.make(…, reset_options={…})."
        )
