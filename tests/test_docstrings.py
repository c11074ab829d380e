"""Every public class and function has an example that runs."""

import doctest
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import registry
from envhub.errors import EnvHubError

from .packages import needed
from .test_rooms import PACKAGES, REPOSITORY

REFERENCE = REPOSITORY / "docs" / "reference"
# What an example need not import, beside the thing itself.
GIVEN = {"envhub": envhub, "jax": jax, "jnp": jnp, "np": np}
MODULES = [*PACKAGES, "envhub.errors", "envhub.host", "envhub.limits", "envhub.params"]
# The library that an example shows, where not every set has it.
NEEDS = {
    "envhub.export.to_jaxmarl": "jaxmarl",
    "envhub.export.to_pettingzoo": "pettingzoo",
    "envhub.export.to_pettingzoo_aec": "pettingzoo",
    "envhub.export.to_sb3": "stable_baselines3",
    "envhub.export.to_stoa": "stoa",
    "envhub.export.to_torchrl": "torchrl",
}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_things() -> Iterator[tuple[str, Any]]:
    """Every public class and function, by the place where it is found first."""
    seen = set()
    for module_name, names in [*names_of_modules(), *names_in_the_reference()]:
        module = importlib.import_module(module_name)
        for name in names:
            thing = getattr(module, name)
            is_new = (inspect.isclass(thing) or inspect.isfunction(thing)) and thing not in seen
            if is_new:
                seen.add(thing)
                yield f"{module.__name__}.{name}", thing


def names_of_modules() -> Iterator[tuple[str, list[str]]]:
    for module in map(importlib.import_module, MODULES):
        yield module.__name__, getattr(module, "__all__", None) or errors_of(module)


def names_in_the_reference() -> Iterator[tuple[str, list[str]]]:
    """What the pages of `docs/reference` show, each with its module."""
    for page in sorted(REFERENCE.glob("*.md")):
        for shown in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            module, _, name = shown.rpartition(".")
            if importlib.util.find_spec(module):  # and not a class, whose example is its own
                yield module, [name]


def errors_of(module: Any) -> list[str]:
    """The names of the errors of a module that has no `__all__`."""
    return [
        name
        for name, thing in vars(module).items()
        if inspect.isclass(thing) and issubclass(thing, EnvHubError)
    ]


THINGS = dict(public_things())


def skip_what_is_not_here(text: str) -> None:
    for name in re.findall(r"\b(\w+)::", text):
        if name in registry.BUILTIN:
            try:
                registry.get(name).require_installed()
            except ImportError as reason:
                pytest.skip(reason=str(reason))


@pytest.mark.parametrize("name", THINGS)
@pytest.mark.xdist_group("docstrings")
def test_a_public_thing_has_an_example_that_runs(name: str) -> None:
    thing = THINGS[name]
    given = {**GIVEN, thing.__name__: thing}
    parsed = doctest.DocTestParser().get_doctest(thing.__doc__ or "", given, name, None, None)
    assert parsed.examples, f"the docstring of {name} has no example"
    skip_what_is_not_here(parsed.docstring or "")
    if name in NEEDS:
        needed(NEEDS[name])
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(parsed, out=said.append)
    assert not result.failed, "".join(said)


def test_the_reference_shows_nothing_private() -> None:
    shown = [f"{module}.{name}" for module, names in names_in_the_reference() for name in names]
    assert shown
    assert not [name for name in shown if "._" in name]
