"""What a piece of source says, and all that it uses, as text that only a change of meaning changes.

The text of a definition has no layout, comment, docstring, annotation or name of a local. A
parameter keeps its name only if something in the closure passes it by keyword. The closure of some
definitions has every definition that these name, transitively, in the modules that are traced. A
method counts once the closure has an attribute of that name, so a check that never asks for whole
episodes does not depend on how they are played, or if somebody outside calls it. Nothing is
imported or run for this.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from envhub.matrix._normalised import Normalised, says_nothing, stored

Place = tuple[str, str]
"""A module, and a name in it: `("envhub.testing.probes", "forkable")`, or `"Class.method"`."""


@dataclasses.dataclass
class Module:
    """The statements of a module by the names that they bind; imports by alias.

    Attributes:
        bound: statements by name.
        imports: alias to module and name; no name for a module itself.
        loose: statements that bind nothing, which count wherever the module is used.
    """

    bound: dict[str, list[ast.stmt]] = dataclasses.field(default_factory=dict)
    imports: dict[str, Place] = dataclasses.field(default_factory=dict)
    loose: list[ast.stmt] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Closure:
    """The texts of a closure.

    Attributes:
        texts: what counts for everything.
        entries: the entries of tables by the name that they are about, see `Sources.closure`.
    """

    texts: tuple[str, ...]
    entries: tuple[tuple[str, str], ...] = ()


def read(module: str) -> str | None:
    """Return the source of a module without importing it; `None` if there is none."""
    place = _place_of(module)
    return place.read_text(encoding="utf-8") if place else None


def _place_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    if file:
        return Path(file) if file.endswith(".py") else None
    parent, _, own = module.rpartition(".")
    above = _place_of(parent) if parent else None
    if above is None or above.name != "__init__.py":
        return None
    places = (above.parent / own / "__init__.py", above.parent / f"{own}.py")
    return next((place for place in places if place.exists()), None)


class Sources:
    """Modules whose definitions are traced.

    Args:
        is_traced: tells whether a module is followed into.
        text_of: a function from a module to its source.
        is_called: tells of a class and a member whether somebody outside of the closure calls it,
            so that it counts although nothing in the closure asks for it; by default none.
        left_out: the names of members that do not count.
    """

    def __init__(
        self,
        is_traced: Callable[[str], bool],
        text_of: Callable[[str], str | None] = read,
        is_called: Callable[[Place, str], bool] = lambda cls, member: False,
        left_out: Collection[str] = (),
    ) -> None:
        self._is_traced, self._text_of = is_traced, text_of
        self.is_called, self.left_out = is_called, left_out
        self.module = functools.cache(self._parse)

    def closure(
        self,
        roots: Iterable[Place],
        cut: Collection[Place] = (),
        names: Collection[str] = frozenset(),
    ) -> Closure:
        """Return what these definitions say and use.

        Args:
            roots: where to begin.
            cut: places that are not followed, such as a table of all checks.
            names: names of environments. Where a table has an entry for one of them, the entry
                counts for that name alone.
        """
        return _Walk(self, frozenset(cut), frozenset(names)).closure(roots)

    def resolve(self, module: str, name: str) -> Place | None:
        """Return the place that a dotted name stands for in a module, if it is traced."""
        first, _, rest = name.partition(".")
        found = self.module(module)
        if found is None or (first not in found.bound and first not in found.imports):
            return None
        if first in found.bound:
            return module, first
        target, own = found.imports[first]
        inner = f"{target}.{own}" if own else target
        if self._has(inner):
            # A module that is named without a part of it counts as a whole.
            return self.resolve(inner, rest) if rest else (inner, "*")
        return self.resolve(target, own) if own and self._has(target) else None

    def _has(self, module: str) -> bool:
        return self._is_traced(module) and self.module(module) is not None

    def _parse(self, module: str) -> Module | None:
        text = self._text_of(module)
        if text is None:
            return None
        found, tree, package = Module(), ast.parse(text), _package_of(module)
        for statement in tree.body:
            if not says_nothing(statement):
                _sort_in(found, statement, statement, package)
        return found


def _package_of(module: str) -> str:
    place = _place_of(module)
    is_package = place is not None and place.name == "__init__.py"
    return module if is_package else module.rpartition(".")[0]


def _sort_in(found: Module, statement: ast.stmt, whole: ast.stmt, package: str) -> None:
    """Put a statement of a module where it belongs; `whole` is what it is a part of."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        found.imports.update(imported(statement, package))
        return
    names = list(_names_of(statement))
    for name in names:
        found.bound.setdefault(name, []).append(whole)
    inner = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.stmt)]
    handlers = [part for each in getattr(statement, "handlers", []) for part in each.body]
    is_compound = not names and (inner or handlers)
    for part in [*inner, *handlers] if is_compound else []:
        _sort_in(found, part, whole, package)
    if not names and not is_compound:
        found.loose.append(whole)


def _names_of(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from stored(target)


def imported(statement: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, Place]]:
    """Yield alias and place of all that a statement imports into a module of this package."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            name = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or name, (name, "")
        return
    above = package.split(".")[: len(package.split(".")) - max(statement.level - 1, 0)]
    base = ".".join([*above, *filter(None, [statement.module])])
    module = base if statement.level else statement.module or ""
    for alias in statement.names:
        yield alias.asname or alias.name, (module, alias.name)


class _Walk:
    """One walk from the roots to all that they use."""

    def __init__(self, sources: Sources, cut: frozenset[Place], names: frozenset[str]) -> None:
        self._sources, self._cut, self._names = sources, cut, names
        self._reached: set[Place] = set()
        self._waiting: list[Place] = []
        self._texts: list[str] = []
        self._entries: list[tuple[str, str]] = []
        self._attributes: set[str] = set()
        self._keywords: set[str] = set()
        self._members: dict[str, list[tuple[str, ast.stmt]]] = {}  # of classes, not yet asked for
        self._modules: set[str] = set()

    def closure(self, roots: Iterable[Place]) -> Closure:
        for module, name in roots:
            cls, _, member = name.partition(".")
            self._go_to((module, cls))
            self._attributes |= {member} - {""}
        while self._waiting or self._asked_for():
            while self._waiting:
                self._visit(self._waiting.pop())
        texts = [self._with_parameters(text) for text in self._texts]
        entries = [(name, self._with_parameters(text)) for name, text in self._entries]
        return Closure(tuple(sorted(set(texts))), tuple(sorted(set(entries))))

    def _go_to(self, place: Place | None) -> None:
        if place and place not in self._reached and place not in self._cut:
            self._reached.add(place)
            self._waiting.append(place)

    def _visit(self, place: Place) -> None:
        module, name = place
        found = self._sources.module(module)
        assert found is not None
        if module not in self._modules:
            self._modules.add(module)
            for statement in found.loose:
                self._take(module, statement)
        if name == "*":
            for each in found.bound:
                self._go_to((module, each))
            return
        for statement in found.bound.get(name, ()):
            if isinstance(statement, ast.ClassDef):
                self._take_class(module, statement)
            else:
                self._take(module, statement, table=name)

    def _take_class(self, module: str, statement: ast.ClassDef) -> None:
        """Take what always counts of a class; its other members count once they are asked for."""
        place, sources, always = (module, statement.name), self._sources, list[ast.stmt]()
        for part in statement.body:
            names = [] if _is_field(part) else list(_names_of(part))
            if not names or names[0].startswith("__"):
                always.append(part)
                continue
            for name in names:
                if name in sources.left_out:
                    continue
                if sources.is_called(place, name):
                    self._attributes.add(name)
                self._members.setdefault(name, []).append((module, part))
        head = ast.ClassDef(**{**dict(ast.iter_fields(statement)), "body": always})
        self._take(module, head)

    def _asked_for(self) -> bool:
        """Take the members whose names occur as attributes; tell whether there were any."""
        asked = [name for name in self._members if name in self._attributes]
        for name in asked:
            for module, part in self._members.pop(name):
                self._take(module, part)
        return bool(asked)

    def _take(self, module: str, statement: ast.stmt, table: str = "") -> None:
        said = Normalised(self._names if table else frozenset())
        self._texts.append(said.text_of(statement))
        self._entries += [(about, f"{table}: {text}") for about, text in said.entries]
        self._attributes |= said.attributes
        self._keywords |= said.keywords
        for each in said.imports:
            for _, (target, own) in imported(each, _package_of(module)):
                self._go_to(self._imported(target, own))
        for name in said.names:
            found = self._sources.resolve(module, name)
            self._go_to(found)
            if found is None or found[1] != name.rpartition(".")[2]:
                self._attributes |= set(name.split(".")[1:])
        for text in said.strings:
            self._follow(text, module)

    def _imported(self, module: str, name: str) -> Place | None:
        has = self._sources._has
        if name and has(f"{module}.{name}"):
            return f"{module}.{name}", "*"
        return self._sources.resolve(module, name) if name and has(module) else None

    def _follow(self, text: str, module: str) -> None:
        """Follow what a string names: `"module:function"`, a package to run, or a file of data."""
        if text.endswith(".json"):
            self._take_data(module, text)
            return
        named = re.fullmatch(r"([\w.]+):(\w+)", text)
        if named and self._sources._has(named.group(1)):
            self._go_to(self._sources.resolve(*named.groups()))
        elif re.fullmatch(r"\w+(\.\w+)+", text) and self._sources._has(f"{text}.__main__"):
            self._go_to((f"{text}.__main__", "*"))

    def _take_data(self, module: str, file: str) -> None:
        """Take a file beside a module, which is a table like those in the source."""
        place = _place_of(module)
        path = place and place.with_name(file)
        if path and path.exists() and (module, file) not in self._reached:
            self._reached.add((module, file))
            data = ast.parse(path.read_text(encoding="utf-8")).body[0]
            self._take(module, data, table=file)

    def _with_parameters(self, text: str) -> str:
        def name(match: re.Match[str]) -> str:
            return match.group(1) if match.group(1) in self._keywords else ""

        return re.sub("\0(\\w+)\0", name, text)


def _is_field(part: Any) -> bool:
    """Tell whether a statement of a class is a field of a dataclass."""
    return isinstance(part, ast.AnnAssign) and "ClassVar" not in ast.dump(part.annotation)
