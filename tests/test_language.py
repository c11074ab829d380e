"""Documents, docstrings and messages are natural English, with one term for one thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import REPOSITORY

# Each with what to write instead; CONTRIBUTING.md has the terms.
BANNED = {
    r"told apart": "separates termination from truncation",
    r"spaces (that )?are true": "declares correct spaces",
    r"ask first, choose": "check capabilities before choosing",
    r"what can what": "capabilities by suite",
    r"^#+ (gone|still there)$": "limitations envhub removes / remaining limitations",
    r"\b(is|are) no arrays?\b": "is not an array",
    r"\benvironments? on the host\b": "callback environment",
    r"\bsuites? on the host\b": "callback environment",
    r"\bCPU suites?\b": "callback environment",
    r"\bhost bridge\b": "callback environment",
    r"never touches a state": "never invalidates a state returned earlier",
    r"waits? for ever": "hangs",
    r"cannot be \w+, for (it|they)\b": "because",
    r"\b(takes|needs|has)\b[^.;]*, and not \{": "needs X; got Y",
    r"\bis (an?|one of|from|True or False)\b[^.]*[,;] got \{": "must be",
}
DOCUMENTS = [
    path
    for pattern in ("README.md", "docs/**/*.md", "examples/*.md", "benchmarks/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
]
MODULES = [
    path
    for folder in ("envhub", "adapters", "examples")
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
]


def texts(module: Path) -> Iterator[str]:
    """The docstrings and messages of a module; what is put into a message is `{}`."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    parts = {id(each) for node in nodes if isinstance(node, ast.JoinedStr) for each in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            shown = (each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)
            yield "".join(map(str, shown))
        elif id(node) not in parts and isinstance(getattr(node, "value", None), str):
            yield node.value  # type: ignore[attr-defined]


def banned_in(text: str) -> list[str]:
    joined = re.sub(r"(?<!\n)\n(?!\n)\s*", " ", text) if "\n#" not in text else text
    return [
        f"{found[0]!r}: write {instead!r}"
        for pattern, instead in BANNED.items()
        for found in re.finditer(pattern, joined, re.IGNORECASE | re.MULTILINE)
    ]


@pytest.mark.parametrize(
    ("text", "is_banned"),
    [
        ("the actions of {} are no arrays of floats", True),
        ("## Still there", True),
        ("an environment on\n    the host", True),
        ("{} is a positive integer, got {}.", True),
        ("{} must be a positive integer, got {}.", False),
        ("a callback environment hangs", False),
    ],
)
def test_what_is_banned_is_recognised(text: str, is_banned: bool) -> None:
    assert bool(banned_in(text)) == is_banned


def test_documents_are_natural_english() -> None:
    found = {}
    for path in DOCUMENTS:
        blocks = path.read_text(encoding="utf-8").split("\n\n")
        found[str(path.relative_to(REPOSITORY))] = [
            each for block in blocks for each in banned_in(block)
        ]
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_docstrings_and_messages_are_natural_english() -> None:
    assert len(MODULES) > 150
    found = {
        str(path.relative_to(REPOSITORY)): [
            each for text in texts(path) for each in banned_in(text)
        ]
        for path in MODULES
    }
    assert {name: lines for name, lines in found.items() if lines} == {}
