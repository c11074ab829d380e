"""The documents show only what runs, and link only to what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from envhub import wrappers
from envhub.cli import app
from envhub.wrappers.inside_autoreset import InsideAutoReset

from .conftest import REPOSITORY

DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
]
WITH_CODE = [path for path in DOCUMENTS if "```python" in path.read_text()]


@pytest.mark.parametrize("document", WITH_CODE, ids=lambda path: path.name)
def test_every_block_of_python_runs(document: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(document), "exec"), names)
    if document.name == "README.md":
        assert names["rewards"].shape == (64, 50)  # type: ignore[attr-defined]


def test_the_commands_of_the_readme_run() -> None:
    commands = re.findall(r"`envhub ([^`]+)`", (REPOSITORY / "README.md").read_text())
    assert len(commands) >= 4
    for command in commands:
        # Fewer steps than the reader would want; the command is otherwise the one shown.
        words = ["20" if word in ("1000", "64") else word for word in shlex.split(command)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"envhub {command}: {done.output}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def wrapper_rows() -> list[str]:
    """The table of docs/wrappers.md, from the first sentences of the docstrings."""
    rows = []
    for name in wrappers.__all__:
        kind = getattr(wrappers, name)
        side = "inside" if issubclass(kind, InsideAutoReset) else "either side"
        side = "outside" if kind.spans_episodes else side
        side = "" if kind is wrappers.AutoReset else side
        first = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        rows.append(f"| `{name}` | {first} | {side} |")
    return rows


def test_the_table_of_wrappers_is_that_of_their_docstrings() -> None:
    table = (REPOSITORY / "docs" / "wrappers.md").read_text().splitlines()
    assert [line for line in table if line.startswith("| `")] == wrapper_rows()


@pytest.mark.parametrize("name", wrappers.__all__)
def test_a_docstring_of_a_wrapper_says_what_happens_at_the_end(name: str) -> None:
    text = getattr(wrappers, name).__doc__
    assert "episode" in text or "game" in text
