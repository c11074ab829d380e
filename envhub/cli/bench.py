"""`envhub bench`: steps per second of one environment or several, by the size of the batch."""

import importlib
import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import typer
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table

from envhub import hub
from envhub._speed import CALL_SECONDS, Speed
from envhub.cli._answer import answer, is_interrupted
from envhub.cli._drawing import say, say_versions, sheet, watched
from envhub.cli._facts import Facts, find, version_facts
from envhub.cli._options import MOST, AsJson, Options, Seed, check_folder, parse
from envhub.errors import InvalidOptionError, MissingDependencyError
from envhub.vector import VectorEnv

EnvIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="The environments: suite::Name.")
]
NumEnvs = Annotated[
    str, typer.Option("--num-envs", metavar="N,N,…", help="Batch sizes to measure.")
]
StepsOrTime = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST,
        help="Steps in each environment and repeat; "
        f"by default as many as fit in about {CALL_SECONDS} s.",
    ),
]
Repeats = Annotated[int, typer.Option(min=1, max=MOST, help="Measurements of each batch size.")]
Plot = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="File for a plot, .png or .svg; needs matplotlib."),
]
FORMATS = ("png", "svg")
WIDTH = 120  # letters below a plot


def bench(
    ids: EnvIds,
    *,
    num_envs: NumEnvs = "1,8,64,512",
    steps: StepsOrTime = None,
    repeats: Repeats = 5,
    seed: Seed = 0,
    out: Plot = None,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Measure steps per second for each number of environments, of several ids in turn."""
    options = {"autoreset": "same_step", **parse(option or [])}
    counts, env_ids = _parse_counts(num_envs), list(dict.fromkeys(ids))
    if out:
        check_folder(out)

    def measure() -> Facts:
        figure = _new_figure(out) if out else None  # now, and not after measuring
        machine = _machine(env_ids)
        made = {env_id: hub.make(env_id, **options) for env_id in env_ids}
        speeds = {
            count: {
                env_id: Speed(
                    VectorEnv(env, count), params, steps=steps, repeats=repeats, seed=seed
                )
                for env_id, (env, params) in made.items()
            }
            for count in counts
        }
        interrupted, error = False, None
        try:
            interrupted = is_interrupted(lambda: _measure(speeds, repeats, as_json))
        except Exception as raised:  # the largest may be too large for the memory
            if not _reports(speeds):
                raise
            error = f"{type(raised).__name__}: {raised}"
        measured = _reports(speeds)
        facts = {
            "ids": env_ids,
            "options": options,
            "seed": seed,
            "repeats": repeats,
            "interrupted": interrupted,
            "error": error,
            **machine,
            "measured": measured,
            "path": str(out) if figure and measured else None,
        }
        if facts["path"]:
            _plot(figure, facts)
        return facts

    facts = answer(measure, _draw_bench, as_json)
    if facts["interrupted"] or facts["error"]:
        raise typer.Exit(130 if facts["interrupted"] else 1)


def _parse_counts(text: str) -> list[int]:
    """Parse the numbers of environments: sorted, each once."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and len(word) < 11 and 0 < int(word) <= MOST for word in words):
        raise typer.BadParameter(
            f"expected positive integers with commas between them, such as 1,8,64; got {text!r}",
            param_hint="--num-envs",
        )
    return sorted(set(map(int, words)))


def _machine(env_ids: Sequence[str]) -> Facts:
    """Return the machine that is measured, and its present load."""
    suites = [find(env_id)[0] for env_id in env_ids]
    return {
        "versions": {
            **{suite.provider(): suite.installed() for suite in suites},
            **version_facts(),
        },
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # not on Windows
        "compilation_cache": jax.config.jax_compilation_cache_dir,  # type: ignore[attr-defined]
    }


Speeds = dict[int, dict[str, Speed]]
"""By the number of environments, and by the id."""


def _measure(speeds: Speeds, repeats: int, as_json: bool) -> None:
    with watched(len(speeds) * repeats, "", as_json) as report:
        for place, (count, of_ids) in enumerate(speeds.items()):
            report(place * repeats, f"{count} environments, compiling")
            # In turn, so that other work of the machine slows down all of them.
            for done, _ in enumerate(zip(*of_ids.values(), strict=True), 1):
                report(place * repeats + done, f"{count} environments")


def _reports(speeds: Speeds) -> list[Facts]:
    """Return what was measured so far."""
    return [
        {"id": env_id, **report}
        for of_ids in speeds.values()
        for env_id, speed in of_ids.items()
        if (report := speed.report())
    ]


def _draw_bench(facts: Facts) -> RenderableType:
    cache, autoreset = facts["compilation_cache"], facts["options"]["autoreset"]
    head = sheet(
        {
            "id": ", ".join(facts["ids"]) + (" (interrupted)" if facts["interrupted"] else ""),
            "measured": f"random actions in a compiled loop, autoreset {autoreset!r}: the median, "
            f"least and greatest of {facts['repeats']} repeats",
            "device": f"{facts['device']}, {facts['cores']} cores, load {say(facts['load'])} "
            "before it began",
            "versions": say_versions(facts["versions"]),
            "compile s": f"less where a program was found in {cache}" if cache else None,
            "path": facts["path"],
            "stopped by": facts["error"],
        }
    )
    return Group(head, "", *_bars(facts["measured"])) if facts["measured"] else head


def _bars(rows: list[Facts]) -> tuple[RenderableType, ...]:
    """Draw a table with one bar per row, and the meaning of the bars."""
    medians = [row["steps_per_second"]["median"] for row in rows]
    least = math.floor(math.log10(min(medians) / 2))  # no bar is empty
    decades = max(1, math.ceil(math.log10(max(medians))) - least)
    table, several = Table(box=None, pad_edge=False), len({row["id"] for row in rows}) > 1
    if several:
        table.add_column("id", overflow="fold")
    for title in ("environments", "steps/s", "least", "greatest", "compile s"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column()
    for row, median in zip(rows, medians, strict=True):
        spread = row["steps_per_second"]
        numbers = row["num_envs"], median, spread["min"], spread["max"], row["compile_seconds"]
        bar = Bar(decades, 0, math.log10(median) - least)
        table.add_row(*[row["id"]] * several, *map(say, numbers), bar)
    ends = say(10.0**least), say(10.0 ** (least + decades))
    return table, f"The bars are logarithmic, from {ends[0]} to {ends[1]}."


def _new_figure(out: Path) -> Any:
    """Return an empty figure of matplotlib that needs no display.

    Raises:
        InvalidOptionError: if the format is unknown.
        MissingDependencyError: if matplotlib is absent; the message has the install command.
    """
    file_format = out.suffix.lower().removeprefix(".")
    if file_format not in FORMATS:
        raise InvalidOptionError(
            f"the file format must be one of {', '.join(FORMATS)}, got {file_format!r}."
        )
    try:
        return importlib.import_module("matplotlib.figure").Figure(layout="constrained")
    except ImportError as error:
        raise MissingDependencyError(
            "plotting needs the package 'matplotlib', which cannot be imported "
            f"({error}). Run: pip install matplotlib"
        ) from error


def _plot(figure: Any, facts: Facts) -> None:
    axes = figure.subplots()
    for env_id in facts["ids"]:
        rows = [row for row in facts["measured"] if row["id"] == env_id]
        spreads = [row["steps_per_second"] for row in rows]
        medians = [spread["median"] for spread in spreads]
        below = [spread["median"] - spread["min"] for spread in spreads]
        above = [spread["max"] - spread["median"] for spread in spreads]
        counts = [row["num_envs"] for row in rows]
        axes.errorbar(counts, medians, yerr=[below, above], marker="o", capsize=4, label=env_id)
    axes.set(xscale="log", yscale="log", xlabel="environments")
    axes.set_ylabel("steps per second: median, least, greatest")
    ticks = sorted({row["num_envs"] for row in facts["measured"]})
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if len(facts["ids"]) > 1:
        axes.legend(fontsize="small")
        axes.set_title("random actions", fontsize="medium")
    else:
        axes.set_title(f"{facts['ids'][0]}, random actions", fontsize="medium")
    versions = f"{facts['device']}, {facts['cores']} cores; {say_versions(facts['versions'])}"
    figure.supxlabel(textwrap.fill(versions, WIDTH), fontsize=7)
    figure.savefig(facts["path"])
