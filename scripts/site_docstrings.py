"""How the API reference reads docstrings: an extension of griffe, which `mkdocs.yml` names.

griffe takes what precedes a colon for a type under `Returns:`, and for one error under `Raises:`.
Here a description of what is returned may have a colon, and several errors may share a line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

RETURNS = re.compile(r"(^ *Returns:\n +)(?=\S)", re.MULTILINE)
RAISES = re.compile(r"(^( *)Raises:\n)((?:\2 .*(?:\n|$)|\n)+)", re.MULTILINE)
ENTRY = re.compile(
    r"^( +)(\w+Error(?:, \w+Error)*): ?((?:.*(?:\n|$))(?:\1 +\S.*(?:\n|$))*)", re.MULTILINE
)

PLACE = Path(__file__).parent.parent / "envhub" / "errors.py"
ERRORS = set(re.findall(r"^class (\w+)", PLACE.read_text(encoding="utf-8"), re.MULTILINE))


class SiteDocstrings(griffe.Extension):
    """Rewrites the docstrings of functions and classes for griffe."""

    def on_function_instance(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Called for each function that griffe reads."""
        _rewrite(func, func.returns)

    def on_class_instance(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Called for each class that griffe reads."""
        _rewrite(cls, None)


def _rewrite(what: griffe.Object, returns: Any) -> None:
    if what.docstring is None:
        return
    what.docstring.value = rewritten(what.docstring.value, returns)
    # griffe links a name that the module knows, and it need not import what it lets through.
    for name in ERRORS & set(re.findall(r"\w+Error", what.docstring.value)):
        if name not in what.module.members:
            what.module.set_member(name, griffe.Alias(name, f"envhub.errors.{name}"))


def rewritten(text: str, returns: Any) -> str:
    """A docstring with the type of what is returned, and a line and a link for each error."""
    if returns is not None:
        text = RETURNS.sub(lambda found: f"{found[1]}{returns}: ", text)
    return RAISES.sub(lambda found: found[1] + ENTRY.sub(_one_each, found[3]), text)


def _one_each(entry: re.Match[str]) -> str:
    indent, names, told = entry.groups()
    return "".join(f"{indent}{name}: {told.rstrip()}\n" for name in names.split(", "))
