"""The command line: `envhub COMMAND`, each command in the module of its name.

A command computes plain facts. `--json` prints them as they are, and a `_draw…` function shows them
as text. Only these go to stdout: progress, errors and the output of suites go to stderr.
"""

from typing import Annotated

import typer

from envhub import __version__
from envhub.cli import bench, doctor, example, info, matrix, render, run, tour
from envhub.cli._noise import silence_libraries
from envhub.cli.list import list_envs

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"envhub {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """One JAX interface for every reinforcement-learning environment suite."""
    silence_libraries()


app.command("list")(list_envs)
for command in (
    info.info,
    doctor.doctor,
    example.example,
    run.run,
    bench.bench,
    render.render,
    tour.tour,
    matrix.matrix,
):
    app.command()(command)
