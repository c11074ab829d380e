"""Facts that several commands report."""

import dataclasses
import platform
from collections.abc import Mapping
from typing import Any

from envhub import __version__, _versions, hub
from envhub.suite import Suite

Facts = dict[str, Any]


def find(env_id: str) -> tuple[Suite, str]:
    """Return the suite of an id, and the name in the suite."""
    return hub.find(env_id, {})[:2]


def gap_facts(suite: Suite, name: str, options: Mapping[str, Any]) -> Facts | None:
    """Return the known reason why an environment does not run, if there is one."""
    gap = suite.gap(name, options)
    return dataclasses.asdict(gap) if gap else None


def needs_facts(suite: Suite, name: str) -> dict[str, str]:
    """Map each flag that is false by default to the keyword of `make` that makes it true."""
    return {
        flag: ", ".join(f"{key}={value!r}" for key, value in options.items())
        for flag, options in suite.needs(name).items()
    }


def version_facts() -> dict[str, str | None]:
    """Return the versions of the packages that every environment needs."""
    found = {name: _versions.installed_version(name) for name in ("jax", "jaxlib", "numpy")}
    return {"python": platform.python_version(), "envhub": __version__, **found}


def error_facts(error: Exception) -> dict[str, str]:
    """Return the type and the message of an error."""
    return {"type": type(error).__name__, "message": str(error)}
