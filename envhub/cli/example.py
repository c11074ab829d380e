"""`envhub example`: example programs, for users without a clone of the repository."""

import ast
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

import envhub
from envhub import _distribution
from envhub.cli._answer import answer
from envhub.cli._facts import Facts
from envhub.cli._options import AsJson
from envhub.errors import did_you_mean

_PACKAGE = Path(envhub.__file__).parent
# Installed, they lie in the package; in a checkout, beside it.
FOLDER = _PACKAGE / "examples"
FOLDER = FOLDER if FOLDER.is_dir() else _PACKAGE.parent / "examples"


def example(
    name: Annotated[str | None, typer.Argument(help="An example; by default, list all.")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy it to this folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the examples, print the source of one, or copy one to this folder."""
    programs = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
    if name is None:
        if copy:
            raise typer.BadParameter("say which example to copy", param_hint="NAME")
        answer(lambda: _listed(programs), _draw_list, as_json)
        return
    if name not in programs:
        known = f"{did_you_mean(name, programs)} There are {', '.join(programs)}."
        raise typer.BadParameter(f"there is no example {name!r}.{known}", param_hint="NAME")
    source, target = (
        programs[name].read_text(encoding="utf-8"),
        _copied(programs[name]) if copy else None,
    )
    if copy or as_json:
        answer(lambda: {"name": name, "source": source, "copied_to": target}, _draw_copy, as_json)
    else:
        typer.echo(source, nl=False)  # as it is: what draws would wrap its lines


def _listed(programs: dict[str, Path]) -> Facts:
    titles = {
        name: (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition(
            "\n"
        )[0]
        for name, path in programs.items()
    }
    return {"examples": [{"name": name, "title": title} for name, title in titles.items()]}


def _copied(program: Path) -> str:
    target = Path(program.name).absolute()
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(program.read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise typer.BadParameter(f"{target} already exists", param_hint="--copy") from error
    return str(target)


def _draw_list(facts: Facts) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    for each in facts["examples"]:
        table.add_row(each["name"], each["title"])
    needed = f"Install what the examples need: {_distribution.install_command('examples')}"
    return Group(table, "", "Copy one here: envhub example NAME --copy", needed)


def _draw_copy(facts: Facts) -> RenderableType:
    return Text(f"Wrote {facts['copied_to']}. Run: python {facts['name']}.py --help")
