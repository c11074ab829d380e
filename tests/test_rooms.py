"""The rooms of the code: none of them is crowded, and each shows its public names."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import envhub
import envhub.multi
import envhub.testing
from envhub._moved import MOVED
from envhub.testing.subject import Subject

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


def test_what_is_called_otherwise_still_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="CHECKS_BY_COLUMN"):
        assert envhub.testing.COLUMNS is envhub.testing.CHECKS_BY_COLUMN
    with pytest.warns(DeprecationWarning, match="SpaceFacts"):
        assert envhub.multi.Facts is envhub.multi.SpaceFacts
    with pytest.warns(DeprecationWarning, match="options") as record:
        spec = envhub.EnvSpec("a::B-v0", "a", "B-v0", kwargs={"size": 3})
    assert record[0].filename == __file__
    assert spec == envhub.EnvSpec("a::B-v0", "a", "B-v0", options={"size": 3})
    assert spec.kwargs == {"size": 3}
    assert importlib.import_module("envhub.testing.probes").Subject is Subject


def test_the_table_of_renamed_names_is_true() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    table = text.split("### Renamed")[1].split("###")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")][1:]
    old, new = (" ".join(cells) for cells in zip(*rows, strict=True))
    assert [module for module in MOVED if f"`{module}" not in old] == []
    for name in re.findall(r"`(envhub\.[A-Za-z_.]+)`", new):
        module, _, own = name.rpartition(".")
        assert hasattr(importlib.import_module(module), own) or importlib.import_module(name)


def test_what_has_moved_hides_nothing() -> None:
    assert inspect.isfunction(envhub.capabilities)
    assert inspect.isfunction(envhub.rollout)
    assert not hasattr(importlib.import_module("envhub.probes"), "nothing")
