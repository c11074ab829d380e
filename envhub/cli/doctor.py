"""`envhub doctor`: show what works on this machine, and how to repair the rest."""

import importlib.metadata
import importlib.util
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import jax
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from envhub import _distribution, _versions, registry
from envhub._foreign import blaming
from envhub.cli._answer import answer
from envhub.cli._drawing import say_versions, sheet, watched
from envhub.cli._facts import Facts, version_facts
from envhub.cli._options import AsJson
from envhub.errors import EnvHubError
from envhub.matrix.results import load
from envhub.matrix.tested import newer_than_tested
from envhub.suite import Suite

READY, WORKS, ABSENT, BROKEN = "installed", "works", "not installed", "does not work"
_EXAMINE = """
import sys, envhub
envhub.make(sys.argv[1])
envhub.list_envs(sys.argv[1].partition("::")[0])
"""
_LIST_DEVICES = """
import os
own = os.dup(1)
os.dup2(2, 1)  # what a plug-in of JAX prints is no device
import jax
os.write(own, "\\n".join(map(str, jax.devices())).encode())
"""


def doctor(
    attempt: Annotated[
        bool, typer.Option("--try", help="Import every suite and make its example (slower).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every suite, and tell how to repair problems.

    By default it reads the installed versions. With --try it makes an environment of every suite.
    """
    facts = answer(lambda: _diagnose(attempt, as_json), _draw_doctor, as_json)
    if not any(suite["state"] in (READY, WORKS) for suite in facts["suites"]):
        raise typer.Exit(1)


def _diagnose(attempt: bool, as_json: bool) -> Facts:
    claims, names = registry.refused_claims(), registry.suites()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out has its lines below
        suites = [_read(name) for name in names]
    if attempt:
        with watched(len(suites), "trying", as_json) as report, ThreadPoolExecutor() as pool:
            for done, _ in enumerate(pool.map(_try, suites), start=1):
                report(done)
    devices, problem = _devices(as_json)
    return {
        "versions": version_facts(),
        "newer_than_tested": {
            name: {"installed": installed, "tested": tested}
            for name, (installed, tested) in newer_than_tested(load()).items()
        },
        "stranger": _distribution.stranger() or None,
        "devices": devices.splitlines(),
        "device_problem": problem,
        "suites": suites,
        "refused_claims": claims,
    }


def _devices(as_json: bool) -> tuple[str, str | None]:
    """Return JAX's devices, one per line, and the error if JAX cannot list them."""
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    if plugins or importlib.util.find_spec("libtpu"):
        # A plug-in may crash, so another process asks for the devices. Starting it takes seconds.
        with watched(1, "asking JAX for its devices", as_json):
            return _in_another_process(_LIST_DEVICES)
    try:
        return "\n".join(map(str, jax.devices())), None
    except RuntimeError as error:
        return "", str(error)


def _misfits(suite: Suite) -> list[str]:
    """Return pairs of installed packages that are known not to work together."""
    return [
        f"{one} and {other} do not fit: {reason}."
        for *pair, reason in suite.misfits
        if (one := _versions.met(pair[0])) and (other := _versions.met(pair[1]))
    ]


def _to_fetch(suite: Suite, names: Iterable[str]) -> dict[str, list[str]]:
    """Map the reasons of gaps, which have the commands that fetch files, to names."""
    found: dict[str, list[str]] = {}
    for name in names:
        gap = suite.gap(name, {})
        if gap and gap.kind == "needs_network":
            found.setdefault(gap.reason, []).append(name)
    return found


def _read(name: str) -> Facts:
    """Return facts about a suite from installed metadata; built-in suites are not imported."""
    keys = ("version", "supported", "command", "problem", "example")
    facts: Facts = {"suite": name, "state": BROKEN, **dict.fromkeys(keys)}
    facts |= {"misfits": [], "needs_network": {}}
    try:
        with blaming("its description"):
            suite = registry.get(name)
            facts["version"] = suite.installed()
            facts["supported"] = suite.supported
            facts["command"] = suite.install_command
            facts["misfits"] = _misfits(suite)
            facts["example"] = f"{name}::{suite.example}"
            if facts["version"] is None:
                facts["state"] = ABSENT
                return facts
            suite.require_installed()
            suite.require_own_files()
            # The suites of envhub have their names as data. What others list may fail, and then
            # keeps every misspelt id and `list_envs` from an answer.
            with blaming(f"the list of the names of {name}"):
                is_data = name in registry.BUILTIN
                names = list(suite.known_names() if is_data else suite.live_names())
                facts["needs_network"] = _to_fetch(suite, names)
            facts["state"] = READY
    except EnvHubError as error:
        facts["problem"] = str(error)
    return facts


def _try(facts: Facts) -> None:
    """Make an environment of a suite in its own process, so that a crash is only reported."""
    if facts["state"] != READY:
        return
    # On the CPU: processes side by side would compete for the memory of an accelerator.
    _, problem = _in_another_process(_EXAMINE, facts["example"], JAX_PLATFORMS="cpu")
    facts["state"] = BROKEN if problem else WORKS
    facts["problem"] = problem


def _in_another_process(script: str, *arguments: str, **variables: str) -> tuple[str, str | None]:
    """Run Python code in another process, and return its output and its failure, if any."""
    command = [sys.executable, "-P", "-c", script, *arguments]
    environ = {**os.environ, **variables}
    done = subprocess.run(
        command, env=environ, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if not done.returncode:
        return done.stdout, None
    code = done.returncode
    how = f"exit code {code}" if code > 0 else f"signal: {signal.strsignal(-code)}"
    *_, last_line = ["", *done.stderr.strip().splitlines()]
    return done.stdout, f"{last_line} [{how}]".strip()


def _counted(names: list[str]) -> str:
    return f"{names[0]} does" if len(names) == 1 else f"{len(names)} environments do"


def _draw_doctor(facts: Facts) -> RenderableType:
    devices = ", ".join(facts["devices"]) or facts["device_problem"]
    table = Table("suite", "version", "supported", "", box=None, pad_edge=False)
    problems = []
    for suite in facts["suites"]:
        state = suite["state"]
        row = (suite["suite"], suite["version"] or "", suite["supported"], state)
        style = {BROKEN: "red", ABSENT: "dim"}.get(state, "")
        table.add_row(*row, style=style)
        command = suite["command"]
        if state == BROKEN:
            problem = suite["problem"]
            hint = f" Run: {command}" if command and command not in problem else ""
            problems.append(Text(f"{suite['suite']}: {problem}{hint}", style))
        if state == ABSENT:
            problems.append(Text(f"{suite['suite']} is not installed: {command}", style))
    if any(suite["state"] == READY for suite in facts["suites"]):
        problems.append(Text("envhub doctor --try makes an environment of every suite."))
    problems += [Text(f"{name}: {why}", "red") for name, why in facts["refused_claims"].items()]
    for name, each in facts["newer_than_tested"].items():
        newer = f"{name} {each['installed']} is newer than anything tested: {each['tested']} was."
        problems.append(Text(newer, "yellow"))
    misfits = [each for suite in facts["suites"] for each in suite["misfits"]]
    problems += [Text(misfit, "yellow") for misfit in misfits]
    problems += [
        Text(f"{suite['suite']}: {_counted(names)} not run yet: {reason}")
        for suite in facts["suites"]
        for reason, names in suite["needs_network"].items()
    ]
    if facts["stranger"]:
        problems.append(Text(facts["stranger"], "red"))
    head = sheet({"versions": say_versions(facts["versions"]), "devices": devices})
    return Group(head, "", table, *problems)
