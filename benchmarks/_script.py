"""What the scripts share: their command line, the rows that are measured, and what is shown."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from _timing import machine
from rich.console import Console
from rich.table import Table

import envhub

Facts = dict[str, Any]


def command_line(
    description: str | None, rows: Iterable[str], *, steps: int, repeats: int = 15
) -> argparse.ArgumentParser:
    """The options of every script; the numbers are defaults."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--rows", action="append", choices=list(rows), help="one; repeatable")
    parser.add_argument(
        "--steps", type=int, default=steps, help="steps of each environment in a run"
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="pairs of runs")
    parser.add_argument("--json", action="store_true", help="print JSON to stdout, nothing else")
    parser.set_defaults(all_rows=list(rows))
    return parser


def measure_rows(arguments: argparse.Namespace, compare: Callable[[str], Facts]) -> Facts:
    """The facts of each row that was asked for, but of those that cannot be made here."""
    found, skipped = {}, {}
    for name in arguments.rows or arguments.all_rows:
        print(f"{name} …", file=sys.stderr)
        try:
            found[name] = compare(name)
        except (ImportError, envhub.errors.EnvHubError) as error:
            skipped[name] = str(error)
    sizes = {"steps": arguments.steps, "repeats": arguments.repeats}
    return {**sizes, "machine": machine(), "rows": found, "skipped": skipped}


def table_of(first: str, *others: str) -> Table:
    """An empty one, of these headings."""
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def word(flag: bool | None) -> str:
    return {True: "yes", False: "no", None: "-"}[flag]


def show(facts: Facts, table: Table, note: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    console.print(note)
    for name, message in facts["skipped"].items():
        console.print(f"skipped {name}: {message}")


def finish(arguments: argparse.Namespace, facts: Facts, draw: Callable[[Facts], None]) -> None:
    """Print the facts, in the way that was asked for."""
    if arguments.json:
        print(json.dumps(facts, indent=2))
    else:
        draw(facts)
