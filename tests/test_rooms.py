"""The rooms of the code: none of them is crowded, and each shows its public names."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import envhub
from envhub._moved import MOVED

REPOSITORY = Path(__file__).parent.parent
MOST_LINES = {"file": 400, "function": 60}
PACKAGES = ["envhub", "envhub.export", "envhub.multi", "envhub.spaces", "envhub.testing"]
PACKAGES += ["envhub.gym", "envhub.video", "envhub.wrappers"]


def lengths() -> Iterator[tuple[str, str, int]]:
    """What it is, its name, and how many lines it has, its docstring and decorators included."""
    paths = [
        path for folder in ("envhub", "adapters") for path in (REPOSITORY / folder).rglob("*.py")
    ]
    for path in paths:
        if path.is_relative_to(REPOSITORY / "envhub" / "adapters"):
            continue  # the same files, in an installed copy
        name, source = path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")
        yield "file", name, len(source.splitlines())
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                yield "function", f"{name}: {node.name}", (node.end_lineno or first) - first + 1


def test_no_file_is_over_400_lines_and_no_function_over_60() -> None:
    every = list(lengths())
    assert {what for what, _, _ in every} == set(MOST_LINES)
    assert not [name for what, name, lines in every if lines > MOST_LINES[what]]


@pytest.mark.parametrize("name", PACKAGES)
def test_dir_shows_the_public_names_and_no_others(name: str) -> None:
    module = importlib.import_module(name)
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, each) for each in dir(module))
    assert not [each for each in dir(module) if each.startswith("_")]


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [(old, name, new) for old, names in MOVED.items() for name, new in names.items()],
)
def test_a_name_that_has_moved_still_works_and_warns(old: str, name: str, new: str) -> None:
    module = importlib.import_module(old)
    with pytest.warns(DeprecationWarning, match=re.escape(f"{new}.{name}.")) as record:
        thing = getattr(module, name)
    assert thing is getattr(importlib.import_module(new), name)
    assert record[0].filename == __file__


def test_what_has_moved_hides_nothing() -> None:
    assert inspect.isfunction(envhub.capabilities)
    assert inspect.isfunction(envhub.rollout)
    assert not hasattr(importlib.import_module("envhub.probes"), "nothing")
