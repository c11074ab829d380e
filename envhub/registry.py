"""The suites that there are, as data; nothing here imports one."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from types import MappingProxyType

from envhub.errors import (
    DuplicateSuiteError,
    InvalidEnvIdError,
    MissingDependencyError,
    UnknownSuiteError,
    did_you_mean,
)
from envhub.suite import Suite

ENTRY_POINT_GROUP = "envhub.suites"

BUILTIN: Mapping[str, str] = MappingProxyType(
    {
        "ale": "envhub.adapters.ale:SUITE",
        "brax": "envhub.adapters.brax:SUITE",
        "craftax": "envhub.adapters.craftax:SUITE",
        "gymnasium": "envhub.adapters.gymnasium:SUITE",
        "gymnax": "envhub.adapters.gymnax:SUITE",
        "jumanji": "envhub.adapters.jumanji:SUITE",
        "navix": "envhub.adapters.navix:SUITE",
        "pufferlib": "envhub.adapters.pufferlib:SUITE",
    }
)
"""Suite name to the place of the object that describes it."""

_registered: dict[str, str | Suite] = {}


def register(name: str, suite: str | Suite) -> None:
    """Add a suite of your own for this process.

    A package that should always be found declares an entry point in the group `envhub.suites`
    instead: the suite's name, and where its `Suite` object is.

    Args:
        name: the id prefix.
        suite: a `Suite`, or where one is, as `"package.module:ATTRIBUTE"`.

    Raises:
        InvalidEnvIdError: if the name cannot be part of an id, or is not what the suite calls
            itself.
        DuplicateSuiteError: if something else has that name already.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidEnvIdError(f"a suite's name is a Python identifier, got {name!r}.")
    if not isinstance(suite, (str, Suite)):
        raise TypeError(f"expected a Suite or 'package.module:ATTRIBUTE', got {suite!r}.")
    taken = _places().get(name)
    if taken is not None and taken != suite:
        raise DuplicateSuiteError(
            f"the suite name {name!r} is taken by {taken!r}; choose another, or call "
            f"envhub.unregister({name!r}) if you registered it."
        )
    if isinstance(suite, Suite):
        _check_name(name, suite)
    if taken is None:
        _registered[name] = suite


def unregister(name: str) -> None:
    """Remove a suite that `register` added; built-in and installed ones stay.

    Raises:
        UnknownSuiteError: if `register` has not added that name.
    """
    if name not in _registered:
        raise UnknownSuiteError(
            f"{name!r} was not added by envhub.register; these were: {sorted(_registered)}."
        )
    del _registered[name]


def is_lasting(name: str) -> bool:
    """Whether another process finds the suite too, which one of `register` alone is not."""
    return name not in _registered


def suites() -> list[str]:
    """The names of all suites, sorted, whether their packages are installed or not."""
    return sorted(_places())


def get(name: str) -> Suite:
    """The description of a suite.

    Raises:
        UnknownSuiteError: naming the nearest suites, and all of them.
        MissingDependencyError: if a third party's description cannot be imported.
    """
    # Scanning the installed packages for entry points takes milliseconds: only for names that are
    # not known without.
    place = BUILTIN.get(name) or _registered.get(name) or _places().get(name)
    if place is None:
        raise UnknownSuiteError(
            f"there is no suite {name!r}.{did_you_mean(name, suites())} "
            f"The suites are: {', '.join(suites())}."
        )
    return place if isinstance(place, Suite) else _load(name, place)


def _places() -> dict[str, str | Suite]:
    places: dict[str, str | Suite] = {**BUILTIN, **_registered}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if places.setdefault(point.name, point.value) != point.value:
            raise DuplicateSuiteError(
                f"the installed entry point {point.value!r} claims the suite name {point.name!r}, "
                f"which is taken by {places[point.name]!r}; uninstall one of them."
            )
    return places


def _load(name: str, place: str) -> Suite:
    module, _, attribute = place.partition(":")
    try:
        suite = getattr(importlib.import_module(module), attribute or "SUITE")
    except (ImportError, AttributeError) as error:
        raise MissingDependencyError(
            f"the suite {name!r} is registered at {place!r}, which cannot be loaded: {error}"
        ) from error
    if not isinstance(suite, Suite):
        raise MissingDependencyError(f"{place!r} is not a Suite but {suite!r}.")
    _check_name(name, suite)
    return suite


def _check_name(name: str, suite: Suite) -> None:
    if suite.name != name:
        raise InvalidEnvIdError(f"the suite registered as {name!r} calls itself {suite.name!r}.")
