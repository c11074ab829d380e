"""Set this repository up and check it, with nothing but Python and pip.

    python3 tasks.py tour            one environment of every suite, made, stepped and compared
    python3 tasks.py test            lint, types and the fast tests, on the newest versions
    python3 tasks.py test --slow                the slow tests, too
    python3 tasks.py test --all-sets            these, and the fast ones on every other Python
                                                and the oldest versions
    python3 tasks.py test --full                what takes an hour, too
    python3 tasks.py matrix          every environment examined, and compat_matrix.md written
    python3 tasks.py constraints     write a set of today's newest versions
    python3 tasks.py extras          each extra alone, installed unpinned, its example examined

A set is a file in `constraints/`; each has its virtual environment in `.venv/`, made when needed.
What follows `--` is passed on: to pytest, to `envhub tour`, or to `tests/conformance/matrix.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
OLDEST = "oldest-py3.11"
EXAMPLE = "gymnax"  # the suite that most tests use
STAMP = "set-up-complete"
BUILD_OCEAN = "scripts/build_ocean.py"
SCRIPTS = {"constraints": "scripts.write_constraints", "extras": "scripts.try_extras"}
# The extras that are no suite, and not part of a set unless it is set up with them.
NO_SUITES = ("all", "dev", "docs", "examples", "ray", "trainers", "video")
# The libraries of docs/coming_from.md, of which Envrax needs Python 3.13 and others gymnax 0.0.9.
OTHERS, OTHERS_FOLDER, WITH_OTHERS = "tests/other_libraries.txt", "others", "newest-py3.13"
LINTS = (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"])
# What the versions of Python, JAX and the suites decide: with --all-sets, what runs on a set that
# is not the default. `--set NAME` runs everything there.
OF_VERSIONS = ["conformance", "quirks", "host", "export"]
OF_VERSIONS += ["test_make.py", "test_seeding.py", "test_values.py", "test_wrap.py"]
OF_VERSIONS += ["test_coming_from.py"]


class TaskError(Exception):
    """A task that cannot go on, and why, in one line.

    Attributes:
        output: what the command that failed printed.
    """

    output = ""


class PythonNotFoundError(TaskError):
    """This machine lacks a version of Python, so a set of it cannot be run."""


class Run(NamedTuple):
    """What is tested on one set."""

    set_name: str
    extent: Sequence[str] = ()  # of pytest: `--slow` or `--full`, which need the trainers
    paths: Sequence[str] = ()


class Outcome(NamedTuple):
    """What became of one set."""

    set_name: str
    state: str  # "passed", "FAILED" or "not run": never merged
    detail: str
    seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run one task, and return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    extra: list[str] = []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, extra = arguments[:split], arguments[split + 1 :]
    if arguments and arguments[0] in SCRIPTS:
        return _status([sys.executable, "-m", SCRIPTS[arguments[0]], *arguments[1:]])
    options = _parser().parse_args(arguments)
    work = {
        "tour": lambda: _status([tool(set_up(newest(RUNNING)), "envhub"), "tour", *extra]),
        "test": lambda: test(options, extra),
        "matrix": lambda: write_matrix(options, extra),
    }[options.task]
    try:
        return work()
    except TaskError as error:
        print(f"tasks.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    tasks.add_parser("tour", help="one environment of every suite, made, stepped and compared")
    tests = tasks.add_parser("test", help="lint, types and tests")
    extent = tests.add_mutually_exclusive_group()
    extent.add_argument("--slow", action="store_true", help="the slow tests, too")
    extent.add_argument("--full", action="store_true", help="what takes an hour, too")
    where = tests.add_mutually_exclusive_group()
    where.add_argument("--python", choices=PYTHONS, help="the newest set of this Python")
    where.add_argument("--set", choices=set_names(), help="this set")
    where.add_argument(
        "--all-sets",
        action="store_true",
        help="the default set with its slow tests; on the other Pythons and on the oldest set, the "
        "fast ones that depend on versions",
    )
    tests.add_argument(
        "--discard",
        action="store_true",
        help="remove the environments of all sets but the first after their tests (3 GB each)",
    )
    matrix = tasks.add_parser("matrix", help="examine every environment; interrupted, it goes on")
    matrix.add_argument("--suite", help="one suite; by default all")
    matrix.add_argument("--all", action="store_true", help="what is up to date, too")
    matrix.add_argument(
        "--check", action="store_true", help="run nothing, and fail if a cell is out of date"
    )
    sets = matrix.add_mutually_exclusive_group()
    sets.add_argument("--set", choices=set_names(), help="this set; by default the newest")
    sets.add_argument("--all-sets", action="store_true", help="one set after another")
    tasks.add_parser("constraints", help="write a set of today's newest versions")
    tasks.add_parser("extras", help="each extra alone; extras --help says more")
    return parser


def test(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Test one set, or all of them; what could not be run is named, and is not a pass."""
    extent = ["--full"] * options.full + ["--slow"] * options.slow
    if options.all_sets:
        default = newest(RUNNING)
        others = [newest(version) for version in PYTHONS if version != RUNNING] + [OLDEST]
        runs = [Run(default, extent or ["--slow"])]
        runs += [Run(name, [], [f"tests/{path}" for path in OF_VERSIONS]) for name in others]
    else:
        runs = [Run(options.set or newest(options.python or RUNNING), extent)]
    outcomes = []
    pool = ThreadPoolExecutor(1)
    try:
        # While one set is tested, the next one is downloaded and installed.
        ready = pool.submit(set_up, runs[0].set_name, bool(runs[0].extent))
        for one, after in zip(runs, [*runs[1:], None], strict=True):
            directory = ready
            if after is not None:
                ready = pool.submit(set_up, after.set_name, bool(after.extent))
            outcomes.append(_test_set(one, extra, directory))
            say(_line(outcomes[-1]))
            if options.discard and one is not runs[0]:
                shutil.rmtree(ROOT / ".venv" / one.set_name, ignore_errors=True)
    finally:
        pool.shutdown(cancel_futures=True)
    if len(outcomes) > 1:
        print("\n" + "\n".join(map(_line, outcomes)))
    states = {outcome.state for outcome in outcomes}
    return int("FAILED" in states or "passed" not in states)


def _test_set(one: Run, extra: Sequence[str], ready: Future[Path]) -> Outcome:
    name, started = one.set_name, time.monotonic()
    try:
        directory = ready.result()
    except TaskError as error:
        state = "not run" if isinstance(error, PythonNotFoundError) else "FAILED"
        return Outcome(name, state, str(error), time.monotonic() - started)
    failed = []
    # The findings of linters do not depend on what is installed, but those of mypy do.
    for lint in LINTS if name == newest(RUNNING) else ():
        say(f"{name}: {' '.join(lint)}")
        if _status([tool(directory, lint[0]), *lint[1:]]):
            failed.append(f"{' '.join(lint)} failed")
    selection = [*one.extent, *one.paths, *tests_without(name)]
    say(" ".join([f"{name}: pytest", *selection]))
    status, summary = run_pytest(directory, [*selection, *extra])
    state = "FAILED" if failed or status else "passed"
    return Outcome(name, state, ", ".join([summary, *failed]), time.monotonic() - started)


def run_pytest(directory: Path, arguments: Sequence[str]) -> tuple[int, str]:
    """Show pytest's output as it comes; return its exit status and its last line."""
    # A crash of a worker ends the run: pytest-xdist 3.8 waits for ever for the groups it had.
    workers = ["-n", "2", "--dist", "loadgroup", "--max-worker-restart", "0"]
    command = [tool(directory, "pytest"), *workers]
    color = f"--color={'yes' if sys.stdout.isatty() else 'no'}"
    tail = b""
    with subprocess.Popen(
        [*command, color, *arguments], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), 4096):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            tail = (tail + chunk)[-10_000:]
    text = re.sub(r"\x1b\[[\d;]*m", "", tail.decode(errors="replace"))
    summaries = re.findall(r"^=* ?(\d+ \w.* in [\d.]+s.*?) ?=*$", text, re.MULTILINE)
    return process.returncode, summaries[-1] if summaries else f"pytest exit {process.returncode}"


def _line(outcome: Outcome) -> str:
    return "{:15} {:8} {} ({:.0f} s)".format(*outcome)


def newest(version: str) -> str:
    """The name of the newest set for a version of Python."""
    if version not in PYTHONS:
        raise TaskError(f"Python {version} is not supported; use one of {', '.join(PYTHONS)}.")
    return f"newest-py{version}"


def set_names() -> list[str]:
    """The sets that there are."""
    return sorted(path.stem for path in ROOT.glob("constraints/*.txt"))


def set_up(name: str, trains: bool = False) -> Path:
    """Make the virtual environment of a set, unless an up-to-date one is there.

    With `trains` it has the trainers of the examples and Ray too, if the set has them: PyTorch
    alone is larger than all the rest.

    Raises:
        PythonNotFoundError: if there is no such Python.
        TaskError: if installing fails.
    """
    directory, constraint = ROOT / ".venv" / name, ("--constraint", f"constraints/{name}.txt")
    if not _is_up_to_date(name, directory):
        _make(name, directory, constraint)
    if trains and pins(name, "torch"):
        say(f"{name}: installing what the examples and trainers need and Ray, if it is not there")
        install(directory, "examples,ray,trainers", *constraint)
    return directory


def _is_up_to_date(name: str, directory: Path) -> bool:
    stamp = directory / STAMP
    is_whole = os.path.exists(tool(directory, "python")) and stamp.exists()
    return is_whole and stamp.read_text(encoding="utf-8") == _fingerprint(name)


def _make(name: str, directory: Path, constraint: Sequence[str]) -> None:
    stamp = directory / STAMP
    python, started = find_python(name.partition("-py")[2]), time.monotonic()
    say(f"{name}: making .venv/{name} with {python}")
    stamp.unlink(missing_ok=True)
    create(python, directory)
    say(f"{name}: installing envhub and all suites (minutes, the first time)")
    install(directory, extras(name), *constraint)
    if pins(name, "pufferlib"):
        say(f"{name}: building PufferLib's Ocean")
        install_ocean(directory, *constraint)
    if name == WITH_OTHERS:
        say(f"{name}: installing {OTHERS} beside it")
        install_others(directory)
    # Written last, and removed first: an interrupted set-up has none, and starts over.
    stamp.write_text(_fingerprint(name), encoding="utf-8")
    say(f"{name}: ready after {time.monotonic() - started:.0f} s")


def create(python: str, directory: Path) -> None:
    """Make an empty virtual environment with pip, in the place of whatever is there."""
    venv = [python, "-m", "venv", "--clear", str(directory)]
    if answer([python, "-c", "import ensurepip"]) is not None:
        run(venv)
    else:  # as on a Debian without python3-venv, where the outer pip can fill it
        run([*venv, "--without-pip"])
        run([python, "-m", "pip", "--python", str(directory), "install", "pip"])


def install(directory: Path, extras: str, *options: str) -> None:
    """Install this checkout, with these extras, into a virtual environment."""
    extras = extras.replace("_", "-")  # pip before 23.3 finds no extra with an underscore
    pip = [tool(directory, "python"), "-m", "pip", "install", "--no-input"]
    run([*pip, "--progress-bar", "off", "--editable", f".[{extras}]", *options])


def extras(name: str) -> str:
    """What a set has besides envhub: its suites, tools, and those of the site if it pins them."""
    without = absent(name)
    has_all = not {*in_all()} & {*without}
    suites = "all" if has_all else ",".join(each for each in users() if each not in without)
    return f"{suites},dev" + ",docs" * pins(name, "mkdocs")


def users() -> dict[str, str]:
    """The suites, and the extra `video` behind them, each with its first distribution."""
    optional = _optional()
    every = [*sorted({*optional} - {*NO_SUITES}), "video"]
    return {each: re.split(r"[<>=!\[]", optional[each][0])[0] for each in every}


def in_all() -> list[str]:
    """Those of them that the extra `all` has: the others do not fit its newest versions."""
    return re.findall(r"\w+", _optional()["all"][0].partition("[")[2])


def _optional() -> dict[str, list[str]]:
    import tomllib  # here: an older Python gets as far as being told so

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return extras


def absent(name: str) -> list[str]:
    """The suites that a set does not pin, because they do not fit the versions that it has.

    A set that is named after a suite is of that suite alone.
    """
    every, alone = users(), name.partition("-py")[0]
    if alone in every:
        return [each for each in every if each != alone]
    return [each for each, of in every.items() if not pins(name, of) and not pins(name, each)]


def left_out(name: str) -> str:
    """The suite that holds the others back, so that a set named `without-…` is without it."""
    return name.removeprefix("without-").partition("-py")[0] if name.startswith("without-") else ""


def tests_without(name: str) -> list[str]:
    """What a set without some suites leaves out.

    Without the suite that serves as the example in most tests, that is nearly all of them.
    """
    files = ["tests/conformance/test_contract.py", "tests/quirks"] * (EXAMPLE in absent(name))
    ignored = [
        ["--without", each, "--ignore", f"tests/quirks/test_{each}.py"] for each in absent(name)
    ]
    return [*(word for words in ignored for word in words), *files]


def pins(name: str, distribution: str) -> bool:
    """Whether a set has a package; the full `pufferlib` has Ocean, which `pufferlib-core` lacks."""
    path = ROOT / "constraints" / f"{name}.txt"
    return path.exists() and f"\n{distribution}==" in path.read_text(encoding="utf-8")


def install_ocean(directory: Path, *options: str) -> None:
    """Build Ocean for a virtual environment, and install it there."""
    with tempfile.TemporaryDirectory() as out:
        script = [tool(directory, "python"), BUILD_OCEAN, "--install", "--out", out]
        run([*script, *options])


def install_others(directory: Path) -> None:
    """Put other libraries into a folder of a virtual environment, where they replace nothing."""
    pip = [tool(directory, "python"), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    run([*pip, "--no-deps", "--target", str(directory / OTHERS_FOLDER), "--requirement", OTHERS])


def write_matrix(options: argparse.Namespace, extra: Sequence[str]) -> int:
    """Examine the environments of a set, or of all of them, and write down what was found.

    A failure that was found is a cell, and no failure of this.
    """
    if options.check:
        return _status([tool(set_up(newest(RUNNING)), "envhub"), "matrix", "--check"])
    names = set_names() if options.all_sets else [options.set or newest(RUNNING)]
    arguments = ["--all"] * options.all + ["--suite", options.suite] * bool(options.suite)
    statuses = []
    for name in names:
        try:
            python = tool(set_up(name), "python")
        except PythonNotFoundError as error:
            say(f"{name}: not run: {error}")
            continue
        module = [python, "-m", "tests.conformance.matrix", "--set", name]
        statuses.append(_status([*module, *arguments, *extra]))
    return max(statuses, default=1)


def find_python(version: str) -> str:
    """A Python of this version that really runs; pyenv puts some on PATH that do not.

    Raises:
        PythonNotFoundError: if there is none.
    """
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [sys.executable] if version == RUNNING else []
    candidates += [os.path.join(directory, name) for directory in os.get_exec_path()]
    candidates += map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True))
    ask = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for path in candidates:
        if answer([path, "-c", ask]) == version:
            return path
    raise PythonNotFoundError(f"Python {version} was not found here.")


def _fingerprint(name: str) -> str:
    """Of all that decides what is installed, and where: a moved checkout starts over too."""
    digest = hashlib.sha256(str(ROOT).encode())
    decisive = ["pyproject.toml", f"constraints/{name}.txt"]
    decisive += [BUILD_OCEAN] * pins(name, "pufferlib") + [OTHERS] * (name == WITH_OTHERS)
    for path in decisive:
        digest.update((ROOT / path).read_bytes())
    return digest.hexdigest()


def tool(directory: Path, name: str) -> str:
    """A command of a virtual environment."""
    return str(directory / "bin" / name)


def run(command: Sequence[str]) -> None:
    """Run a step of the set-up, whose output matters only if it fails: with a `TaskError`."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-30:]), file=sys.stderr)
        error = TaskError(f"failed with exit status {done.returncode}: {' '.join(command)}")
        error.output = done.stdout
        raise error


def _status(command: Sequence[str]) -> int:
    sys.stdout.flush()
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def answer(command: Sequence[str]) -> str | None:
    """What a command prints, or `None` if it cannot run or fails."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def say(text: str) -> None:
    """Tell how far the task has got."""
    print(f"[tasks] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
