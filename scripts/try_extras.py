"""Install each extra alone, and run the examples of its suites: what a user gets today.

    python3 tasks.py extras                                    all of them, on every Python
    python3 tasks.py extras --python 3.11 --extra gymnax       one, on one
    python3 tasks.py extras --here --extra gymnax,video        two together, on this Python
    python3 tasks.py extras --here --client tianshou           a trainer that no set can hold

The newest versions that fit each other are installed from an empty environment, pinned by nothing.
Tried are the extras of the suites, `video` and `all`, each alone, and the combinations that a
document names (`ray` beside a suite). Those for the work on envhub itself (`dev`, `docs`,
`examples`, `trainers`) are in the sets. A client is a program that `docs/trainers.md` shows with an
install command of its own: the command installs it, and the block behind the command is run. A
client that does not fit this Python, or the newest versions of what envhub needs, is `not run`,
with what pip says.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tasks

PROJECT = tomllib.loads((tasks.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
USERS = [*tasks.users()]
# Several devices are examined too; and compiling, of what runs a few times, is most of the time.
XLA_FLAGS = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
IN_A_DOCUMENT = re.compile(rf"(?:{PROJECT['name']}|[\"' ]\.)\[([\w,]+)\]")
TRAINERS = tasks.ROOT / "docs" / "trainers.md"
OF_A_CLIENT = re.compile(
    r"```bash\npip install ([^\n]+)\n```\n+```python title=\"([\w-]+) [\d.]+\"\n(.*?)```", re.DOTALL
)
NO_FIT = re.compile(
    r"^ERROR: (?:Cannot install|No matching distribution|Ignored the following).*", re.M
)
# Run elsewhere than in the checkout, whose modules must not take the place of the installed ones.
TRY = """
import sys

import jax
import numpy as np

import envhub
from envhub import registry, testing, video
from envhub.matrix import fingerprints

assert "site-packages" in envhub.__file__, envhub.__file__
found = {}
for word in sys.argv[1:]:
    if word == "video":
        for ending in ("mp4", "gif", "png"):
            video.write(f"try.{ending}", np.zeros((2, 8, 8, 3), np.uint8))
        continue
    if word == "ray":
        env, params = envhub.make("gymnasium::CartPole-v1", workers="ray", num_workers=1)
        env.step(jax.random.key(0), env.reset(jax.random.key(0), params)[1], 1, params)
        print("instances live on", env.workers)
        env.close()
        continue
    suite = registry.get(word)
    report = testing.check_id(f"{word}::{suite.example}")
    print(report, flush=True)
    report.raise_if_failed()
    found.update(fingerprints.versions(suite))
print(*(f"{name} {version}" for name, version in sorted(found.items())), sep=", ")
"""
# Behind the block of a client.
VERSIONS = """
import importlib.metadata
import sys

print(*(f"{name} {importlib.metadata.version(name)}" for name in sys.argv[1:]), sep=", ")
"""


class NoFitError(tasks.TaskError):
    """The newest versions of what is to be installed together exclude each other."""


class Trial(NamedTuple):
    """What is installed, beside the bare wheel, and then run."""

    name: str
    extras: str
    others: Sequence[str]
    code: str
    arguments: Sequence[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try what is asked for, and return the exit status."""
    options = _parser().parse_args(arguments)
    outcomes = []
    with tempfile.TemporaryDirectory() as temporary:
        wheel = build_wheel(Path(temporary))
        for version in options.python or tasks.PYTHONS:
            for trial in trials(options.extra, options.client):
                outcomes.append(attempt(wheel, trial, version))
                print(line(outcomes[-1]), flush=True)
    print("\n" + "\n".join(map(line, outcomes)))
    states = {outcome.state for outcome in outcomes}
    return int("FAILED" in states or "passed" not in states)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tasks.py extras",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--python", action="append", choices=tasks.PYTHONS, help="by default all")
    where.add_argument(
        "--here", dest="python", action="store_const", const=[tasks.RUNNING], help="this Python"
    )
    parser.add_argument(
        "--extra", action="append", type=_extras, help="such as gymnax, or gymnax,video"
    )
    parser.add_argument("--client", action="append", choices=clients(), help="such as tianshou")
    return parser


def _extras(text: str) -> str:
    unknown = set(text.split(",")) - set(EXTRAS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no extra {', '.join(unknown)}; there are {[*EXTRAS]}")
    return text


def trials(extras: Sequence[str] | None, named: Sequence[str] | None) -> list[Trial]:
    """What is asked for; all extras and all clients if nothing is."""
    if not extras and not named:
        extras, named = combinations(), [*clients()]
    return [*map(of_extras, extras or ()), *(clients()[name] for name in named or ())]


def of_extras(extras: str) -> Trial:
    """Examine the example of each suite that these extras name, and what else users install."""
    asked = tasks.in_all() if extras == "all" else extras.split(",")
    given = [each for each in asked if each in [*USERS, "ray"]]
    return Trial(extras, extras, (), TRY, given)


def clients() -> dict[str, Trial]:
    """The clients that the document shows with an install command, each with its block."""
    found = OF_A_CLIENT.findall(TRAINERS.read_text(encoding="utf-8"))
    return {
        title.lower(): of_client(title.lower(), command, code) for command, title, code in found
    }


def of_client(name: str, command: str, code: str) -> Trial:
    """Run a client's block, with what its install command installs."""
    ours, *others = shlex.split(command)
    (extras,) = re.findall(rf"^{PROJECT['name']}\[([\w,]+)\]$", ours)
    return Trial(name, extras, others, code + VERSIONS, [each.partition("[")[0] for each in others])


def combinations() -> list[str]:
    """The extras that a user installs, each alone, then several that a document names together."""
    documents = [path for part in ("", "docs/", "examples/", "benchmarks/") for path in pages(part)]
    named = {
        ",".join(sorted(found.split(",")))
        for path in documents
        for found in IN_A_DOCUMENT.findall(path.read_text(encoding="utf-8"))
    }
    return [*USERS, "all", *sorted(each for each in named if "," in each)]


def pages(folder: str) -> list[Path]:
    """The documents below a folder of the checkout; at its top, those that lie there."""
    return sorted(tasks.ROOT.glob(f"{folder}**/*.md" if folder else "*.md"))


def build_wheel(temporary: Path) -> Path:
    """Build a wheel from a copy of the checkout, which may have the remains of another build."""
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "site", "figures")
    shutil.copytree(tasks.ROOT, temporary / "source", ignore=ignored)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    tasks.run([*pip, "--wheel-dir", str(temporary), str(temporary / "source")])
    (wheel,) = temporary.glob("*.whl")
    return wheel


def attempt(wheel: Path, trial: Trial, version: str) -> tasks.Outcome:
    """Install what a trial needs into an empty environment of this Python, and run the trial."""
    name, started = f"{trial.name} py{version}", time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / "environment"
        python = tasks.tool(directory, "python")
        try:
            tasks.create(tasks.find_python(version), directory)
            if absent := [each for each in trial.extras.split(",") if not is_held(each, version)]:
                raise NoFitError(f"no set of Python {version} has {', '.join(absent)}")
            install(python, [f"{wheel}[{trial.extras.replace('_', '-')}]", *trial.others])
            detail, state = examine(python, trial, Path(temporary)), "passed"
        except (tasks.PythonNotFoundError, NoFitError) as error:
            detail, state = str(error), "not run"
        except tasks.TaskError as error:
            detail, state = str(error), "FAILED"
    return tasks.Outcome(name, state, detail, time.monotonic() - started)


def is_held(extra: str, version: str) -> bool:
    """Whether a set of this version of Python has what an extra asks for."""
    sets = [name for name in tasks.set_names() if name.endswith(f"-py{version}")]
    return extra not in USERS or any(extra not in tasks.absent(name) for name in sets)


def install(python: str, requirements: Sequence[str]) -> None:
    """Install the newest versions.

    Raises:
        NoFitError: if something that is not envhub's own cannot be installed beside the rest.
        TaskError: if installing fails otherwise.
    """
    try:
        tasks.run([python, "-m", "pip", "install", "--no-input", *requirements])
    except tasks.TaskError as error:
        if len(requirements) > 1 and (reason := NO_FIT.search(error.output)):
            raise NoFitError(f"does not install: {reason[0]}") from error
        raise


def examine(python: str, trial: Trial, folder: Path) -> str:
    """Run a trial.

    Returns:
        Its last line: the versions that decided what it did.

    Raises:
        TaskError: if anything failed.
    """
    done = subprocess.run(
        [python, "-P", "-c", trial.code, *trial.arguments],
        cwd=folder,
        env={**os.environ, "XLA_FLAGS": XLA_FLAGS},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-40:]), file=sys.stderr)
        raise tasks.TaskError(f"exit status {done.returncode}; its last lines are above")
    return done.stdout.splitlines()[-1]


def line(outcome: tasks.Outcome) -> str:
    """An outcome, as tasks.py shows it."""
    return "{:32} {:8} {} ({:.0f} s)".format(*outcome)


if __name__ == "__main__":
    sys.exit(main())
