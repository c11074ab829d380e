"""Write a set of today's newest versions.

python3 tasks.py constraints                                the newest set of this Python
python3 tasks.py constraints --set without-gymnax-py3.12
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tasks


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one set, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="tasks.py constraints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    of = parser.add_mutually_exclusive_group()
    of.add_argument("--python", choices=tasks.PYTHONS, default=tasks.RUNNING)
    of.add_argument("--set", choices=[name for name in tasks.set_names() if "oldest" not in name])
    options = parser.parse_args(arguments)
    try:
        write(options.set or tasks.newest(options.python))
    except tasks.TaskError as error:
        print(f"tasks.py: {error}", file=sys.stderr)
        return 1
    return 0


def write(name: str) -> None:
    """Resolve everything of a set anew, and write what that gives."""
    python = tasks.find_python(version := name.partition("-py")[2])
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / name
        tasks.say(f"{name}: resolving the newest versions (minutes)")
        tasks.create(python, directory)
        trainers = ",examples,ray,trainers" * tasks.pins(name, "torch")
        tasks.install(directory, tasks.extras(name) + trainers)
        if tasks.pins(name, "pufferlib"):
            tasks.install_ocean(directory)
        freeze = [tasks.tool(directory, "python"), "-m", "pip", "list", "--format=freeze"]
        freeze += ["--exclude-editable"]  # a wheel of our own is in the list by its version
        frozen = tasks.answer([*freeze, "--exclude", "pip"]) or ""
    lines = sorted(map(_canonical, frozen.splitlines()))
    if not lines or not all(re.fullmatch(r"[a-z0-9-]+==[\w.!]+", line) for line in lines):
        raise tasks.TaskError(f"not all of these are plain pins: {lines}")
    header = (
        f"# The newest versions that fit each other on Python {version}, written by\n"
        f"# python3 tasks.py constraints --set {name}\n"
    )
    (tasks.ROOT / "constraints" / f"{name}.txt").write_text(
        header + "\n".join(lines) + "\n", encoding="utf-8"
    )
    tasks.say(f"wrote constraints/{name}.txt, {len(lines)} pins")


def _canonical(pin: str) -> str:
    """The package's name as pip compares it, and the version without the label of a build."""
    distribution, _, version = pin.partition("==")
    return re.sub(r"[-_.]+", "-", distribution).lower() + "==" + version.partition("+")[0]


if __name__ == "__main__":
    sys.exit(main())
