"""One statement as text: without layout, comments, docstrings, annotations and names of locals.

The text is the same on every version of Python, which `ast.dump` is not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

IGNORED = {"ctx", "type_comment", "type_params", "kind", "lineno"}
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Normalised:
    """The text of statements, and what occurs in them.

    Args:
        table_of: names whose entries in literal tables are taken out of the text.

    Attributes:
        names: global names, with the attributes asked of them: `"probes.forkable"`.
        attributes: names of attributes of anything else.
        keywords: what may name a parameter: keywords of calls, and strings like them.
        strings: constants.
        imports: imports inside functions.
        entries: what was taken out of tables, by name.
    """

    def __init__(self, table_of: frozenset[str] = frozenset()) -> None:
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.keywords: set[str] = set()
        self.strings: set[str] = set()
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self.entries: list[tuple[str, str]] = []
        self._table_of = table_of
        self._scopes: list[dict[str, str]] = []
        self._inside: list[str] = []  # the keys of the table around

    def text_of(self, node: Any) -> str:
        """Return the text of a node, a list of nodes, or a plain value."""
        if isinstance(node, list):
            kept = [part for part in node if not says_nothing(part)]
            return f"[{','.join(map(self.text_of, kept))}]"
        if not isinstance(node, ast.AST):
            return repr(node)
        special = getattr(self, f"_{type(node).__name__}", None)
        if special:
            text: str = special(node)
            return text
        if isinstance(node, COMPREHENSIONS):
            return self._comprehension(node)
        return self._plain(node)

    def _plain(self, node: ast.AST, without: Iterable[str] = ()) -> str:
        parts = [
            f"{field}={self.text_of(value)}"
            for field, value in ast.iter_fields(node)
            if field not in IGNORED and field not in without and value not in (None, [])
        ]
        return f"{type(node).__name__}({','.join(parts)})"

    # Names

    def _Name(self, node: ast.Name) -> str:  # noqa: N802 (the names of the nodes)
        found = self._local(node.id)
        if found is None:
            self.names.add(node.id)
        return found or node.id

    def _Attribute(self, node: ast.Attribute) -> str:  # noqa: N802
        parts, base = [node.attr], node.value
        while isinstance(base, ast.Attribute):
            parts, base = [base.attr, *parts], base.value
        if isinstance(base, ast.Name) and self._local(base.id) is None:
            self.names.add(".".join([base.id, *parts]))
            return ".".join([base.id, *parts])
        self.attributes |= set(parts)
        return ".".join([self.text_of(base), *parts])

    def _local(self, name: str) -> str | None:
        """Return what a local is called here: its place in the order of its function's locals."""
        for depth, scope in enumerate(reversed(self._scopes)):
            if name in scope:
                level = len(self._scopes) - depth
                scope[name] = scope[name] or f"_{level}_{sum(map(bool, scope.values()))}"
                return scope[name]
        return None

    # What has names of its own

    def _FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:  # noqa: N802
        name = self._local(node.name) or node.name
        return f"{name}{self.text_of(node.decorator_list)}{self._function(node)}"

    _AsyncFunctionDef = _FunctionDef

    def _Lambda(self, node: ast.Lambda) -> str:  # noqa: N802
        return f"lambda{self._function(node)}"

    def _function(self, node: Function) -> str:
        given = node.args
        defaults = self.text_of([*given.defaults, *filter(None, given.kw_defaults)])
        every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
        body = node.body if isinstance(node.body, list) else [node.body]
        parameters = [each.arg for each in every if each]
        self._scopes.append(dict.fromkeys([*parameters, *_bound(body)], ""))
        kinds = (given.posonlyargs, given.args, [given.vararg], given.kwonlyargs, [given.kwarg])
        heads = ";".join(
            ",".join(f"{self._local(each.arg)}\0{each.arg}\0" for each in kind if each)
            for kind in kinds
        )
        number = len(list(filter(None, given.kw_defaults)))
        text = f"({heads},{number},{defaults}){self.text_of(body)}"
        self._scopes.pop()
        return f"{type(node).__name__}{text}"

    def _comprehension(self, node: Any) -> str:
        outer = self.text_of(node.generators[0].iter)
        bound = [name for each in node.generators for name in stored(each.target)]
        self._scopes.append(dict.fromkeys(bound, ""))
        inner = [[self.text_of(each.target), self.text_of(each.iter) if index else "",
                  self.text_of(each.ifs), each.is_async]
                 for index, each in enumerate(node.generators)]  # fmt: skip
        made = self._plain(node, without=["generators"])
        self._scopes.pop()
        return f"{made}{outer}{inner}"

    def _ClassDef(self, node: ast.ClassDef) -> str:  # noqa: N802
        head = [self.text_of(part) for part in (node.decorator_list, node.bases, node.keywords)]
        return f"class {self._local(node.name) or node.name}{head}{self.text_of(node.body)}"

    def _ExceptHandler(self, node: ast.ExceptHandler) -> str:  # noqa: N802
        name = node.name and self._local(node.name)
        return f"except {self.text_of(node.type)} {name} {self.text_of(node.body)}"

    def _AnnAssign(self, node: ast.AnnAssign) -> str:  # noqa: N802
        if node.value is None and self._scopes:
            return ""
        if node.value is None:
            return f"{self.text_of(node.target)}:{ast.unparse(node.annotation)}"
        return f"Assign(targets=[{self.text_of(node.target)}],value={self.text_of(node.value)})"

    def _Import(self, node: ast.Import | ast.ImportFrom) -> str:  # noqa: N802
        self.imports.append(node)
        return self._plain(node)

    _ImportFrom = _Import

    def _keyword(self, node: ast.keyword) -> str:
        self.keywords |= {node.arg} if node.arg else set()
        return self._plain(node)

    # Constants and tables

    def _Constant(self, node: ast.Constant) -> str:  # noqa: N802
        if not isinstance(node.value, str):
            return repr(node.value)
        self.strings.add(node.value)
        self.keywords |= {node.value} if node.value.isidentifier() else set()
        words = node.value.split()
        if len(words) > 1 and self._table_of.intersection(words):
            return repr([word for word in words if not self._is_entry(word)])
        return repr(node.value)

    def _JoinedStr(self, node: ast.JoinedStr) -> str:  # noqa: N802
        # Python 3.12 ends a format with an empty text.
        parts: list[Any] = [part for part in node.values if getattr(part, "value", "") != ""]
        return f"f{self.text_of(parts)}"

    def _Dict(self, node: ast.Dict) -> str:  # noqa: N802
        kept = []
        for key, value in zip(node.keys, node.values, strict=True):
            self._inside.append(_text(key))
            said = self.text_of(value)
            self._inside.pop()
            if not self._is_entry(_text(key), said):
                kept.append(f"{self.text_of(key)}:{said}")
        return f"{{{','.join(kept)}}}"

    def _elements(self, node: ast.List | ast.Tuple | ast.Set) -> str:
        kept = [self.text_of(each) for each in node.elts if not self._is_entry(_text(each))]
        return f"{type(node).__name__}[{','.join(kept)}]"

    _List = _Tuple = _Set = _elements

    def _is_entry(self, name: str, said: str = "") -> bool:
        """Tell whether a name has an entry of its own; keep what is said of it, and where."""
        if name not in self._table_of:
            return False
        self.entries.append((name, f"{'/'.join(self._inside)}: {said}"))
        return True


def says_nothing(statement: ast.AST) -> bool:
    """Tell whether a statement is a docstring, of a definition or below an attribute, or `pass`."""
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def _text(node: ast.AST | None) -> str:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else ""  # type: ignore[union-attr]


def stored(target: ast.AST) -> Iterator[str]:
    """Yield the names that an assignment to this target binds."""
    for each in ast.walk(target):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id


def _bound(body: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the names that a function's own statements bind, but for imports."""
    declared = {name for part in body for each in ast.walk(part)
                if isinstance(each, (ast.Global, ast.Nonlocal)) for name in each.names}  # fmt: skip
    for part in body:
        yield from (name for name in _bound_in(part) if name not in declared)


def _bound_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, (*COMPREHENSIONS, ast.Lambda)):
        # Of these, only what `:=` binds is the function's.
        for each in ast.walk(node):
            if isinstance(each, ast.NamedExpr):
                yield from stored(each.target)
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    for child in ast.iter_child_nodes(node):
        yield from _bound_in(child)
