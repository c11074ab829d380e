"""The registry of suites, as data; this module imports no suite."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from envhub._foreign import blaming
from envhub.errors import (
    DuplicateSuiteError,
    EnvHubError,
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
        "bsuite": "envhub.adapters.bsuite:SUITE",
        "craftax": "envhub.adapters.craftax:SUITE",
        "crafter": "envhub.adapters.crafter:SUITE",
        "dm_control": "envhub.adapters.dm_control:SUITE",
        "envpool": "envhub.adapters.envpool:SUITE",
        "gymnasium": "envhub.adapters.gymnasium:SUITE",
        "gymnax": "envhub.adapters.gymnax:SUITE",
        "highway": "envhub.adapters.plugins:HIGHWAY",
        "jaxmarl": "envhub.adapters.jaxmarl:SUITE",
        "jumanji": "envhub.adapters.jumanji:SUITE",
        "kinetix": "envhub.adapters.kinetix:SUITE",
        "minigrid": "envhub.adapters.plugins:MINIGRID",
        "navix": "envhub.adapters.navix:SUITE",
        "octax": "envhub.adapters.octax:SUITE",
        "ogbench": "envhub.adapters.plugins:OGBENCH",
        "pgx": "envhub.adapters.pgx:SUITE",
        "playground": "envhub.adapters.playground:SUITE",
        "popgym": "envhub.adapters.plugins:POPGYM",
        "pufferlib": "envhub.adapters.pufferlib:SUITE",
        "xminigrid": "envhub.adapters.xminigrid:SUITE",
    }
)
"""Suite name to the place of the object that describes it."""

INTERFACES: Mapping[str, str] = MappingProxyType({"dm_env": "envhub.host.dm_env:INTERFACE"})
"""What `envhub.wrap` takes beside the suites: interfaces of environments without ids."""

_registered: dict[str, str | Suite] = {}
_named: set[tuple[str, str]] = set()  # the problems of which a warning was shown


def register(name: str, suite: str | Suite) -> None:
    """Add a suite of your own, for this process only.

    A package that should always be found declares an entry point in the group `envhub.suites`
    instead: the suite's name, and the place of its `Suite` object.

    Args:
        name: the id prefix.
        suite: a `Suite`, or the place of one, as `"package.module:ATTRIBUTE"`.

    Raises:
        InvalidEnvIdError: if the name cannot be part of an id, or differs from the suite's own
            name.
        DuplicateSuiteError: if another suite already has that name.

    Examples:
        >>> register("mine", "my_package.my_module:SUITE")
        >>> "mine" in envhub.suites()
        True
        >>> envhub.unregister("mine")
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidEnvIdError(f"a suite's name must be a Python identifier, got {name!r}.")
    if not isinstance(suite, (str, Suite)):
        raise TypeError(f"expected a Suite or 'package.module:ATTRIBUTE', got {suite!r}.")
    places, refused = _claims()
    taken = places.get(name) or refused.get(name) or INTERFACES.get(name)
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
    """Remove a suite that `register` added; built-in and installed suites stay.

    Raises:
        UnknownSuiteError: if `register` did not add that name.

    Examples:
        >>> envhub.register("mine", "my_package.my_module:SUITE")
        >>> unregister("mine")
        >>> "mine" in envhub.suites()
        False
    """
    if name not in _registered:
        raise UnknownSuiteError(
            f"{name!r} was not added by envhub.register. Registered suites: {sorted(_registered)}."
        )
    del _registered[name]


def is_lasting(name: str) -> bool:
    """Tell whether other processes find the suite too; a suite added by `register` is not found."""
    return name not in _registered


def suites() -> list[str]:
    """Return the names of all suites, sorted, including suites that are not installed.

    An installed package that claims another suite's name is left out, with a warning.

    Examples:
        >>> {"brax", "gymnasium", "gymnax"} <= set(suites())
        True
    """
    places, refused = _claims()
    for name, problem in refused.items():
        leave_out(name, problem)
    return sorted(places)


def refused_claims() -> dict[str, str]:
    """Return the names that installed packages claim in vain, and the reasons."""
    return _claims()[1]


def leave_out(name: str, problem: str) -> None:
    """Warn, once per process, about a suite that is left out so that the others work."""
    if (name, problem) in _named:
        return
    _named.add((name, problem))
    level, frame, passed = 1, sys._getframe(0), ("envhub", "contextlib")
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in passed:
        level, frame = level + 1, frame.f_back
    warnings.warn(f"the suite {name!r} is left out: {problem}", stacklevel=level)


@contextlib.contextmanager
def sparing_others(name: str) -> Iterator[None]:
    """Go on with the other suites if this one fails, and warn about it once."""
    try:
        with blaming("its description"):
            yield
    except EnvHubError as error:
        leave_out(name, str(error))


def get(name: str) -> Suite:
    """Return the description of a suite.

    Raises:
        UnknownSuiteError: if there is no such suite; the message names the nearest and all suites.
        DuplicateSuiteError: if several installed packages claim the name.
        MissingDependencyError: if a third party's description cannot be imported.
    """
    # The installed packages are scanned for entry points only if the name is not known otherwise,
    # because the scan takes milliseconds.
    place = BUILTIN.get(name) or _registered.get(name)
    if place is None:
        places, refused = _claims()
        place = places.get(name)
        if place is None and name in refused:
            raise DuplicateSuiteError(refused[name])
        place = place or INTERFACES.get(name)
    if place is None:
        raise UnknownSuiteError(
            f"there is no suite {name!r}.{did_you_mean(name, suites())} "
            f"The suites are: {', '.join(suites())}."
        )
    return place if isinstance(place, Suite) else _load(name, place)


def _claims() -> tuple[dict[str, str | Suite], dict[str, str]]:
    """Return the places of the suites by name, and the reasons for refused claims of packages."""
    ours: Mapping[str, str | Suite] = {**BUILTIN, **_registered}
    places, refused = dict(ours), {}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        other = places.setdefault(point.name, point.value)
        if other != point.value:
            refused[point.name] = (
                f"the installed entry point {point.value!r} claims the suite name {point.name!r}, "
                f"which is taken by {other!r}; uninstall one of them."
            )
    # The order in which packages are found is arbitrary, so neither gets the name.
    return {name: places[name] for name in places if name in ours or name not in refused}, refused


def _load(name: str, place: str) -> Suite:
    module, _, attribute = place.partition(":")
    with blaming(f"the suite {name!r} is registered at {place!r}, and loading that"):
        suite = getattr(importlib.import_module(module), attribute or "SUITE")
    if not isinstance(suite, Suite):
        raise MissingDependencyError(f"{place!r} is not a Suite but {suite!r}.")
    _check_name(name, suite)
    return suite


def _check_name(name: str, suite: Suite) -> None:
    if suite.name != name:
        raise InvalidEnvIdError(f"the suite registered as {name!r} calls itself {suite.name!r}.")
