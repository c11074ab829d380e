"""The command line: `envhub COMMAND`, each command in the module of its name.

A command works out plain facts, which `--json` prints and a `_draw…` function shows. Nothing else
goes to stdout: progress, errors and whatever a suite prints go to stderr.
"""

import typer

from envhub.cli import bench, doctor, example, info, matrix, render, run, tour
from envhub.cli.list import list_envs

app = typer.Typer(
    help="Every reinforcement-learning environment suite behind one line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
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
