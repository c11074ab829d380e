"""Install each extra alone, and run the examples of its suites: what a user gets today.

    python3 tasks.py extras                                    all of them, on every Python
    python3 tasks.py extras --python 3.11 --extra gymnax       one, on one
    python3 tasks.py extras --here --extra gymnax,video        two together, on this Python

The newest versions that fit each other are installed from an empty environment, pinned by nothing.
Tried are the extras of the suites, `video` and `all`, each alone, and the combinations that a
document names. Those for the work on envhub itself (`dev`, `docs`, `examples`, `trainers`) are in
the sets.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import tasks

PROJECT = tomllib.loads((tasks.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
USERS = re.findall(r"\w+", EXTRAS["all"][0].partition("[")[2])
# Several devices are examined too; and compiling, of what runs a few times, is most of the time.
XLA_FLAGS = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
IN_A_DOCUMENT = re.compile(rf"(?:{PROJECT['name']}|[\"' ]\.)\[([\w,]+)\]")
# Run elsewhere than in the checkout, whose modules must not take the place of the installed ones.
TRY = """
import sys

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
    suite = registry.get(word)
    report = testing.check_id(f"{word}::{suite.example}")
    print(report, flush=True)
    report.raise_if_failed()
    found.update(fingerprints.versions(suite))
print(*(f"{name} {version}" for name, version in sorted(found.items())), sep=", ")
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try what is asked for, and return the exit status."""
    options = _parser().parse_args(arguments)
    outcomes = []
    with tempfile.TemporaryDirectory() as temporary:
        wheel = build_wheel(Path(temporary))
        for version in options.python or tasks.PYTHONS:
            for extras in options.extra or [*combinations()]:
                outcomes.append(attempt(wheel, extras, version))
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
    return parser


def _extras(text: str) -> str:
    unknown = set(text.split(",")) - set(EXTRAS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no extra {', '.join(unknown)}; there are {[*EXTRAS]}")
    return text


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


def attempt(wheel: Path, extras: str, version: str) -> tasks.Outcome:
    """Install some extras into an empty environment of this Python, and examine their examples."""
    name, started = f"{extras} py{version}", time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / "environment"
        python = tasks.tool(directory, "python")
        try:
            tasks.create(tasks.find_python(version), directory)
            tasks.run([python, "-m", "pip", "install", "--no-input", f"{wheel}[{extras}]"])
            detail, state = examine(python, extras, Path(temporary)), "passed"
        except tasks.PythonNotFoundError as error:
            detail, state = str(error), "not run"
        except tasks.TaskError as error:
            detail, state = str(error), "FAILED"
    return tasks.Outcome(name, state, detail, time.monotonic() - started)


def examine(python: str, extras: str, folder: Path) -> str:
    """Examine the example of each suite that these extras name.

    Returns:
        The versions that decided what they did.

    Raises:
        TaskError: if anything failed.
    """
    given = USERS if extras == "all" else [each for each in extras.split(",") if each in USERS]
    done = subprocess.run(
        [python, "-P", "-c", TRY, *given],
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
