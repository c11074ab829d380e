"""docs/examples.md, from the docstrings of the examples and the figures that they drew.

    python -m tests.examples_page

writes it anew.
"""

from __future__ import annotations

import ast
from pathlib import Path

from .conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "examples.md"
FIGURES = REPOSITORY / "docs" / "figures"
HEAD = """\
# Examples

Each example is one file in `examples/`. The file says what it shows, and the tests run a short form
of it. `envhub example NAME --copy` writes an example into the current folder, without a clone.
"""


def examples() -> list[Path]:
    return sorted((REPOSITORY / "examples").glob("*.py"))


def text() -> str:
    return "\n".join([HEAD, *map(section, examples())])


def section(example: Path) -> str:
    docstring = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))) or ""
    lines = [f"## {example.name}", "", docstring, ""]
    for figure in sorted(FIGURES.glob(f"{example.stem}*")):
        lines += [f"![What {example.name} draws](figures/{figure.name})", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
