"""The Python of the documents as modules, for type checkers.

A page is one namespace, in which a later block may use a name for something else. So each block is
a module, which imports what it needs from the blocks before it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path


def write(folder: Path, page: str, blocks: Sequence[str]) -> None:
    """Write the blocks of a page as modules into a folder."""
    known: dict[str, str] = {}  # by name the statement that imports it
    for number, code in enumerate(blocks):
        module, tree = f"{page}_{number}", ast.parse(code)
        imports = dict.fromkeys(known[name] for name in _needed(tree) if name in known)
        (folder / f"{module}.py").write_text("".join(imports) + code, encoding="utf-8")
        for statement in tree.body:
            is_import = isinstance(statement, ast.Import | ast.ImportFrom)
            for name in _made(statement):
                again = ast.unparse(statement) if is_import else f"from {module} import {name}"
                known[name] = f"{again}\n"


def _needed(tree: ast.Module) -> Iterator[str]:
    """The names that a block uses before it makes them."""
    made: set[str] = set()
    for statement in tree.body:
        nodes = list(ast.walk(statement))
        inside = {node.arg for node in nodes if isinstance(node, ast.arg)}
        if hasattr(statement, "body"):
            inside |= set(_stored(statement))
        for node in nodes:
            is_used = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            if is_used and node.id not in made | inside:
                yield node.id
        made |= set(_made(statement))


def _made(statement: ast.stmt) -> list[str]:
    """The names of the page that a statement makes."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    return _stored(statement)


def _stored(statement: ast.stmt) -> list[str]:
    nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return [node.id for node in nodes if isinstance(node.ctx, ast.Store)]
