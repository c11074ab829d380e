"""`envhub doctor`: what works here, and how to repair the rest."""

import os
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from envhub import _distribution, _versions, registry
from envhub.cli._answer import answer
from envhub.cli._drawing import say_versions, sheet
from envhub.cli._facts import Facts, version_facts
from envhub.cli._options import AsJson
from envhub.errors import EnvHubError
from envhub.matrix.results import load
from envhub.matrix.tested import newer_than_tested
from envhub.suite import Suite, blaming

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


def doctor(as_json: AsJson = False) -> None:
    """Try every suite, and say how to repair those that do not work."""
    facts = answer(_diagnose, _draw_doctor, as_json)
    if not any(suite["works"] for suite in facts["suites"]):
        raise typer.Exit(1)


def _diagnose() -> Facts:
    claims = registry.refused_claims()
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # what is left out has its lines below
        suites = list(pool.map(_examine, registry.suites()))
    devices, problem = _in_another_process(_LIST_DEVICES)
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


def _misfits(suite: Suite) -> list[str]:
    """Pairs of packages that are installed here and known not to work together."""
    return [
        f"{one} and {other} do not fit: {reason}."
        for *pair, reason in suite.misfits
        if (one := _versions.met(pair[0])) and (other := _versions.met(pair[1]))
    ]


def _examine(name: str) -> Facts:
    """Try one suite in a process of its own, so that a crash is reported and not suffered."""
    facts: Facts = {"suite": name, **dict.fromkeys(("version", "supported", "command", "problem"))}
    facts["misfits"] = []
    try:
        with blaming("its description"):
            suite = registry.get(name)
            facts["version"] = suite.installed()
            facts["supported"] = suite.supported
            facts["command"] = suite.install_command
            facts["misfits"] = _misfits(suite)
            suite.require_installed()
            suite.known_names()
            example = f"{name}::{suite.example}"
        # On the CPU: processes side by side would compete for the memory of an accelerator.
        _, facts["problem"] = _in_another_process(_EXAMINE, example, JAX_PLATFORMS="cpu")
    except EnvHubError as error:
        facts["problem"] = str(error)
    return {**facts, "works": not facts["problem"]}


def _in_another_process(script: str, *arguments: str, **variables: str) -> tuple[str, str | None]:
    """What Python code prints in another process, and how it failed if it did."""
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


def _draw_doctor(facts: Facts) -> RenderableType:
    devices = ", ".join(facts["devices"]) or facts["device_problem"]
    table = Table("suite", "version", "supported", "", box=None, pad_edge=False)
    problems = []
    for suite in facts["suites"]:
        state = "works" if suite["works"] else "does not work"
        row = (suite["suite"], suite["version"] or "absent", suite["supported"], state)
        # Red is what is here and broken; a suite that is absent may be so on purpose.
        is_absent = suite["supported"] and not suite["version"]
        style = "" if suite["works"] or is_absent else "red"
        table.add_row(*row, style=style)
        if not suite["works"]:
            problem, command = suite["problem"], suite["command"]
            hint = f" Run: {command}" if command and command not in problem else ""
            problems.append(Text(f"{suite['suite']}: {problem}{hint}", style))
    problems += [Text(f"{name}: {why}", "red") for name, why in facts["refused_claims"].items()]
    for name, each in facts["newer_than_tested"].items():
        newer = f"{name} {each['installed']} is newer than anything tested: {each['tested']} was."
        problems.append(Text(newer, "yellow"))
    misfits = [each for suite in facts["suites"] for each in suite["misfits"]]
    problems += [Text(misfit, "yellow") for misfit in misfits]
    if facts["stranger"]:
        problems.append(Text(facts["stranger"], "red"))
    head = sheet({"versions": say_versions(facts["versions"]), "devices": devices})
    return Group(head, "", table, *problems)
