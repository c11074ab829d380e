"""The command line: `envhub list`, `info`, `doctor`, `run`, `render`, `tour` and `matrix`.

Each command works out plain facts, which `--json` prints and a `_draw_…` function shows. Nothing
else goes to stdout: progress, errors and whatever a suite prints go to stderr.
"""

import ast
import contextlib
import dataclasses
import enum
import inspect
import itertools
import json
import math
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer
from rich.console import Console, Group, RenderableType
from rich.progress import Progress
from rich.table import Table

from envhub import __version__, hub, registry, versions, video
from envhub.capabilities import FLAGS
from envhub.environment import Environment
from envhub.errors import EnvHubError, UnavailableEnvError
from envhub.matrix.command import matrix
from envhub.random_policy import Rollout
from envhub.suite import Suite

Facts = dict[str, Any]


class Policy(enum.StrEnum):
    """What chooses the actions of `envhub render`."""

    random = "random"


_MAKE = "import sys, envhub; envhub.make(sys.argv[1])"
_LIST_DEVICES = "import jax; print(*jax.devices(), sep='\\n')"

app = typer.Typer(
    help="Every reinforcement-learning environment suite behind one line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command()(matrix)

EnvId = Annotated[str, typer.Argument(metavar="ID", help="suite::Name")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="A keyword for make; repeatable."),
]
Steps = Annotated[int, typer.Option(min=1, help="Steps in each environment.")]
NumEnvs = Annotated[int, typer.Option(min=1, help="Environments side by side.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides all that is random.")]
Out = Annotated[
    Path,
    typer.Option(dir_okay=False, help="The file: .mp4, .gif, or .png for the first frame alone."),
]
Fps = Annotated[
    float | None, typer.Option(min=0.1, help="Frames a second; by default the environment's own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")]


def _with_flag_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put one option pair a capability in the place of a command's `**flags`."""
    signature = inspect.signature(command)
    *parameters, _ = signature.parameters.values()
    for flag in FLAGS:
        name = flag.replace("_", "-")
        option = typer.Option(f"--{name}/--no-{name}", help=f"Only with, or without, {flag}.")
        annotation = Annotated[bool | None, option]
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(flag, kind, default=None, annotation=annotation))
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


@app.command("list")
@_with_flag_options
def list_envs(
    suite: Annotated[str | None, typer.Argument(help="One suite; by default all.")] = None,
    as_json: AsJson = False,
    **flags: bool | None,
) -> None:
    """List environments and what each can do."""
    wanted = {flag: value for flag, value in flags.items() if value is not None}
    facts = _answer(lambda: _catalogue(suite, wanted), _draw_list, as_json)
    if not as_json:
        for problem in facts["unusable"]:
            typer.echo(problem["message"], err=True)


@app.command()
def info(env_id: EnvId, option: Options = None, as_json: AsJson = False) -> None:
    """Describe one environment: spaces, params, capabilities, keywords, versions."""
    options = _parse(option or [])
    _answer(lambda: _describe(env_id, options), _draw_info, as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Try every suite, and say how to repair those that do not work."""
    facts = _answer(_diagnose, _draw_doctor, as_json)
    if not any(suite["works"] for suite in facts["suites"]):
        raise typer.Exit(1)


@app.command()
def run(
    env_id: EnvId,
    *,
    steps: Steps = 1000,
    num_envs: NumEnvs = 16,
    seed: Seed = 0,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Run a random policy in one environment, and measure it."""
    options = _parse(option or [])

    def measure() -> Facts:
        env, params = hub.make(env_id, **options)
        rollout = Rollout(env, params, steps=steps, num_envs=num_envs, seed=seed)
        interrupted = False
        try:
            with _progress(as_json) as progress:
                _roll_out(rollout, env_id, progress)
        except KeyboardInterrupt:
            interrupted = True
        return {"id": env_id, "seed": seed, "interrupted": interrupted, **rollout.report()}

    if _answer(measure, _draw_run, as_json)["interrupted"]:
        raise typer.Exit(130)


@app.command()
def render(
    env_id: EnvId,
    *,
    out: Out,
    policy: Annotated[Policy, typer.Option(help="What chooses the actions.")] = Policy.random,
    steps: Annotated[int, typer.Option(min=1, help="Steps at most.")] = 500,
    seed: Seed = 0,
    fps: Fps = None,
    option: Options = None,
    as_json: AsJson = False,
) -> None:
    """Draw one episode, and write it as a video or picture."""
    options = _parse(option or [])
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(out.parent)!r}", param_hint="--out")

    def draw() -> Facts:
        file_format = out.suffix.lower().removeprefix(".")
        video.require(file_format)  # now, and not after an episode
        env, params = hub.make(env_id, **options)
        rate = fps or getattr(env.unwrapped, "metadata", {}).get("render_fps") or 30.0
        with _progress(as_json) as progress:
            is_picture = file_format == "png"
            frames, facts = _film(env, params, steps, seed, is_picture, progress)
        video.write(out, frames, rate)
        facts |= {"path": str(out), "frames": len(frames), "fps": rate}
        return {"id": env_id, "policy": policy.value, "seed": seed, **facts}

    _answer(draw, _draw_render, as_json)


@app.command()
def tour(steps: Steps = 1000, num_envs: NumEnvs = 16, as_json: AsJson = False) -> None:
    """Run one environment of every suite, and compare them."""

    def visit_all() -> Facts:
        with _progress(as_json) as progress:
            stops = [_visit(name, steps, num_envs, progress) for name in registry.suites()]
        return {"stops": stops}

    facts = _answer(visit_all, _draw_tour, as_json)
    states = {stop["state"] for stop in facts["stops"]}
    if "failed" in states or "ran" not in states:
        raise typer.Exit(1)


def _answer(
    work_out: Callable[[], Facts], draw: Callable[[Facts], RenderableType], as_json: bool
) -> Facts:
    """Work out facts and print them; an error of envhub becomes one message, and exit code 1."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            facts = work_out()
    except EnvHubError as error:
        if as_json:
            _print_json({"error": _error(error)})
        else:
            typer.secho(f"Error: {error}", fg="red", err=True)
        raise typer.Exit(1) from error
    if as_json:
        _print_json(facts)
    else:
        _console().print(draw(facts))
    return facts


def _catalogue(suite: str | None, flags: Mapping[str, bool]) -> Facts:
    ids: list[str] = []
    unusable = []
    for name in registry.suites() if suite is None else [suite]:
        try:
            ids += hub.list_envs(name, **flags)
        except ImportError as error:
            if suite is not None:
                raise
            unusable.append({"suite": name, **_error(error)})
    return {"count": len(ids), "environments": [*map(_entry, ids)], "unusable": unusable}


def _entry(env_id: str) -> Facts:
    suite, name = _find(env_id)
    flags = suite.capabilities(name, {}).as_dict()
    return {"id": env_id, "capabilities": flags, "gap": _gap(suite, name, {})}


def _draw_list(facts: Facts) -> RenderableType:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column(no_wrap=True)
    for flag in FLAGS:
        table.add_column("\n".join(flag.replace("_", " ")), vertical="bottom")
    gaps = []
    for entry in facts["environments"]:
        label, gap = entry["id"], entry["gap"]
        if gap:
            gaps.append(f"{label} ({gap['kind']}): {gap['reason']}")
            label += f" ({gap['kind']})"
        table.add_row(label, *map(_mark, entry["capabilities"].values()))
    return Group(table, "", *gaps, f"environments: {facts['count']}")


def _describe(env_id: str, options: Mapping[str, Any]) -> Facts:
    suite, name = _find(env_id)
    capabilities, gap = suite.capabilities(name, options), _gap(suite, name, options)
    # An environment that cannot be made because of its gap is described as far as it is known.
    made: Facts = dict.fromkeys(("observation_space", "action_space", "params", "keywords"))
    try:
        env, params = hub.make(env_id, **options)
    except UnavailableEnvError:
        if not gap:
            raise
    else:
        fields = dataclasses.fields(params) if params is not None else ()
        values = {field.name: getattr(params, field.name) for field in fields}
        made = {
            "observation_space": str(env.observation_space(params)),
            "action_space": str(env.action_space(params)),
            "params": values,
            "keywords": sorted({*suite.options(name), *values}),
        }
    return {
        "id": env_id,
        **made,
        "capabilities": capabilities.as_dict(),
        "reasons": dict(capabilities.reasons),
        "gap": gap,
        "versions": {suite.distribution: suite.installed(), **_versions()},
    }


def _draw_info(facts: Facts) -> RenderableType:
    gap, params, reasons = facts["gap"] or {}, facts["params"] or {}, facts["reasons"]
    flags = []
    for flag, value in facts["capabilities"].items():
        why = reasons.get(flag)  # a gap, which is shown below, may be the reason of every flag
        told = f": {why}" if why and why != gap.get("reason") else ""
        flags.append(f"{_mark(value)} {flag}{told}")
    return _sheet(
        {
            "id": facts["id"],
            "observations": facts["observation_space"],
            "actions": facts["action_space"],
            "params": "\n".join(f"{key} = {value}" for key, value in params.items()),
            "keywords": ", ".join(facts["keywords"] or []),
            "capabilities": "\n".join(flags),
            "gap": f"{gap['kind']}: {gap['reason']}" if gap else None,
            "versions": _say_versions(facts["versions"]),
        }
    )


def _diagnose() -> Facts:
    with ThreadPoolExecutor() as pool:
        suites = list(pool.map(_examine, registry.suites()))
    devices, problem = _in_another_process(_LIST_DEVICES)
    return {
        "versions": _versions(),
        "devices": devices.splitlines(),
        "device_problem": problem,
        "suites": suites,
    }


def _examine(name: str) -> Facts:
    """Try one suite in a process of its own, so that a crash is reported and not suffered."""
    facts: Facts = {"suite": name, **dict.fromkeys(("version", "supported", "command", "problem"))}
    try:
        suite = registry.get(name)
        facts |= {
            "version": suite.installed(),
            "supported": suite.supported,
            "command": suite.install_command,
        }
        suite.require_installed()
        # On the CPU: processes side by side would compete for the memory of an accelerator.
        example = f"{name}::{suite.example}"
        _, facts["problem"] = _in_another_process(_MAKE, example, JAX_PLATFORMS="cpu")
    except ImportError as error:
        facts["problem"] = str(error)
    return {**facts, "works": not facts["problem"]}


def _in_another_process(script: str, *arguments: str, **variables: str) -> tuple[str, str | None]:
    """What Python code prints in another process, and how it failed if it did."""
    command = [sys.executable, "-P", "-c", script, *arguments]
    environ = {**os.environ, **variables}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if not done.returncode:
        return done.stdout, None
    code = done.returncode
    how = f"exit code {code}" if code > 0 else f"signal: {signal.strsignal(-code)}"
    *_, last_line = ["", *done.stderr.strip().splitlines()]
    return done.stdout, f"{last_line} [{how}]".strip()


def _draw_doctor(facts: Facts) -> RenderableType:
    devices = ", ".join(facts["devices"]) or facts["device_problem"]
    table = Table("suite", "version", "supported", "", box=None, pad_edge=False)
    problems = []
    for suite in facts["suites"]:
        state = "works" if suite["works"] else "does not work"
        table.add_row(suite["suite"], suite["version"] or "absent", suite["supported"], state)
        if not suite["works"]:
            problem, command = suite["problem"], suite["command"]
            hint = f" Run: {command}" if command and command not in problem else ""
            problems.append(f"{suite['suite']}: {problem}{hint}")
    head = _sheet({"versions": _say_versions(facts["versions"]), "devices": devices})
    return Group(head, "", table, *problems)


def _draw_run(facts: Facts) -> RenderableType:
    ended = f"{facts['terminated']} by termination, {facts['truncated']} by truncation"
    return _sheet(
        {
            "id": facts["id"],
            "steps": f"{facts['steps']} in each of {facts['num_envs']}"
            + (" (interrupted)" if facts["interrupted"] else ""),
            "episodes": f"{facts['episodes']} finished: {ended}",
            "return": _say_spread(facts["return"]),
            "length": _say_spread(facts["length"]),
            "compile s": _say(facts["compile_seconds"]),
            "steps/s": _say(facts["steps_per_second"]),
        }
    )


def _film(
    env: Environment, params: Any, steps: int, seed: int, is_picture: bool, progress: Progress
) -> tuple[list[np.ndarray], Facts]:
    """The frames of one episode, or its first alone, and how the episode went."""
    task = progress.add_task("drawing", total=steps)
    space = env.action_space(params)
    key, reset_key = jax.random.split(jax.random.key(seed))
    _, state = env.reset(reset_key, params)
    frames = [env.render(state, params)]
    total: Any = 0.0
    for taken in range(1, steps + 1):
        key, action_key, step_key = jax.random.split(key, 3)
        action = space.sample(action_key)
        _, state, reward, terminated, truncated, _ = env.step(step_key, state, action, params)
        total = total + np.asarray(reward, np.float64)
        if not is_picture:
            frames.append(env.render(state, params))
        progress.update(task, completed=taken)
        if np.all(terminated | truncated):
            break
    ends = {"terminated": np.asarray(terminated), "truncated": np.asarray(truncated)}
    return frames, {"steps": taken, "return": total, **ends}


def _draw_render(facts: Facts) -> RenderableType:
    ends = [name for name in ("terminated", "truncated") if np.any(facts[name])]
    return _sheet(
        {
            "id": facts["id"],
            "path": facts["path"],
            "frames": f"{facts['frames']}, {_say(facts['fps'])} a second",
            "steps": f"{facts['steps']}, {' and '.join(ends) or 'not the whole episode'}",
            "return": ", ".join(map(_say, np.ravel(facts["return"]))),
        }
    )


def _visit(name: str, steps: int, num_envs: int, progress: Progress) -> Facts:
    """One stop of the tour; `state` is "ran", "missing" or "failed"."""
    keys = ("id", "version", "capabilities", "measured", "command", "error")
    stop: Facts = {"suite": name, "state": "failed", **dict.fromkeys(keys)}
    try:
        suite = registry.get(name)
        env_id, version = f"{name}::{suite.example}", suite.installed()
        stop |= {"id": env_id, "version": version, "command": suite.install_command}
        if version is None:
            return {**stop, "state": "missing"}
        env, params = hub.make(env_id)
        rollout = Rollout(env, params, steps=steps, num_envs=num_envs, seed=0)
        _roll_out(rollout, env_id, progress)
    except Exception as error:  # whatever a suite raises, the tour goes on
        return {**stop, "error": _error(error)}
    flags = env.capabilities.as_dict()
    return {**stop, "state": "ran", "capabilities": flags, "measured": rollout.report()}


def _draw_tour(facts: Facts) -> RenderableType:
    stops = facts["stops"]
    table = Table(box=None, pad_edge=False)
    for title in ["", *(stop["suite"] for stop in stops)]:
        table.add_column(title, overflow="fold")
    labels = ["environment", "version", "", *FLAGS, "episodes", "mean return", "steps/s"]
    for row in itertools.zip_longest(labels, *map(_column, stops), fillvalue=""):
        table.add_row(*row)
    notes = []
    for stop in stops:
        if stop["state"] == "missing":
            notes.append(f"{stop['suite']} is missing. Run: {stop['command']}")
        if stop["state"] == "failed":
            error = stop["error"]
            notes.append(f"{stop['suite']} failed with {error['type']}: {error['message']}")
    return Group(table, *notes)


def _column(stop: Facts) -> list[str]:
    """The cells of one suite in the table of the tour, from the top."""
    _, _, name = (stop["id"] or "").partition("::")
    head = [name, stop["version"] or "", stop["state"]]
    if stop["state"] != "ran":
        return head
    measured = stop["measured"]
    numbers = [measured["episodes"], measured["return"]["mean"], measured["steps_per_second"]]
    return [*head, *map(_mark, stop["capabilities"].values()), *map(_say, numbers)]


def _roll_out(rollout: Rollout, title: str, progress: Progress) -> None:
    task = progress.add_task(title, total=rollout.steps)
    for taken in rollout:
        progress.update(task, completed=taken)


def _parse(options: Iterable[str]) -> dict[str, Any]:
    """`key=value` pairs, each value a Python literal or else the text itself."""
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


def _find(env_id: str) -> tuple[Suite, str]:
    suite_name, name = hub.parse_id(env_id)
    suite = registry.get(suite_name)
    return suite, suite.resolve(name)


def _gap(suite: Suite, name: str, options: Mapping[str, Any]) -> Facts | None:
    gap = suite.gap(name, options)
    return dataclasses.asdict(gap) if gap else None


def _versions() -> dict[str, str | None]:
    found = {name: versions.installed_version(name) for name in ("jax", "jaxlib", "numpy")}
    return {"python": platform.python_version(), "envhub": __version__, **found}


def _error(error: Exception) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error)}


def _print_json(facts: Facts) -> None:
    typer.echo(json.dumps(_jsonable(facts), indent=2, allow_nan=False))


def _jsonable(value: Any) -> Any:
    """The value with arrays as lists, and as text what JSON has no word for, such as infinity."""
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _jsonable(np.asarray(value).tolist())
    is_plain = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if value is None or is_plain else str(value)


def _console(stderr: bool = False) -> Console:
    # Messages hold brackets, such as envhub[brax], that are no markup.
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def _progress(as_json: bool) -> Progress:
    console = _console(stderr=True)
    return Progress(console=console, disable=as_json or not console.is_terminal)


def _sheet(rows: Mapping[str, str | None]) -> Table:
    """Labels and what they stand for, without those that stand for nothing."""
    sheet = Table(box=None, show_header=False, pad_edge=False)
    for label, text in rows.items():
        if text:
            sheet.add_row(label, text)
    return sheet


def _mark(value: bool) -> str:
    return "✓" if value else "·"


def _say(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _say_spread(spread: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {_say(value)}" for name, value in spread.items())


def _say_versions(found: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
