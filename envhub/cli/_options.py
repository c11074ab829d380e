"""Arguments and options that several commands take."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

EnvId = Annotated[str, typer.Argument(metavar="ID", help="The environment: suite::Name.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="A keyword of make; repeatable."),
]
MOST = 2**31 - 1  # that JAX counts without 64 bits
Steps = Annotated[int, typer.Option(min=1, max=MOST, help="Steps in each environment.")]
NumEnvs = Annotated[int, typer.Option(min=1, max=MOST, help="Number of environments in the batch.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed for all random numbers.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON to stdout.")]


def parse(options: Iterable[str]) -> dict[str, Any]:
    """Parse `key=value` pairs; a value is a Python literal, or otherwise plain text."""
    parsed = {}
    for pair in options:
        key, separator, text = pair.partition("=")
        if not (separator and key.isidentifier()):
            raise typer.BadParameter(f"expected KEY=VALUE, got {pair!r}", param_hint="--option")
        try:
            parsed[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError):
            parsed[key] = text
    return parsed


def check_folder(out: Path) -> None:
    """Refuse an output file in a folder that does not exist, before any work is done."""
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(out.parent)!r}", param_hint="--out")
