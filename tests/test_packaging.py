"""What is built and installed, and that what is written down in several places agrees."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

import tasks
from envhub import __version__, _versions, registry
from envhub._distribution import NAME
from envhub.host.parallel import actors
from tests.conformance.depth import set_of_every_name

REPOSITORY = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads(
    (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
)
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
SUITES = {name: registry.get(name) for name in registry.BUILTIN}
SUPPORTED = [f"3.{minor}" for minor in range(30)]
SUPPORTED = [python for python in SUPPORTED if _versions.admits(PROJECT["requires-python"], python)]
# Suites that `all` is without, because they bring too much, do not fit the newest versions of the
# others, or have no wheels for each Python, and the sets of their own.
APART = {
    "bsuite": "bsuite-py3.12",
    "dm_control": "dm_control-py3.12",
    "kinetix": "kinetix-py3.11",
    "ogbench": "ogbench-py3.12",
}
CONSTRAINTS = sorted(REPOSITORY.glob("constraints/*"))
# Where a package of the tree is, and what it is called once it is installed.
TREE = {"envhub": "envhub", "adapters": "envhub.adapters"}
ADAPTERS, TABLE = REPOSITORY / "adapters", "envhub.adapters.plugins"
EXAMPLES = {"envhub.examples": "examples"}  # no package: its files are data of `envhub example`
COMMAND = "_envhub_rl"  # the module where the command starts
BACKEND = "scripts/build_backend.py"

once = pytest.mark.xdist_group("packaging")


def requirement(text: str) -> tuple[str, str]:
    """A requirement's distribution and range: `"a[b]>=1"` gives `("a", ">=1")`."""
    match = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?((?:[<>=!]=?[\w.]+,?)*)", text)
    assert match, text
    return match[1], match[2]


def packages_in_the_tree() -> dict[str, str]:
    """Every folder below `envhub/` and `adapters/` that has Python files, by its package."""
    found = {}
    for top, package in TREE.items():
        for folder in {path.parent for path in (REPOSITORY / top).rglob("*.py")}:
            below = folder.relative_to(REPOSITORY / top).parts
            found[".".join([package, *below])] = str(folder.relative_to(REPOSITORY))
    return found


def files_of_the_packages() -> dict[str, Path]:
    """What must be in the wheel, by its name there."""
    files = {
        f"{package.replace('.', '/')}/{path.name}": path
        for package, folder in packages_in_the_tree().items()
        for path in (REPOSITORY / folder).iterdir()
        if path.is_file() and path.suffix != ".pyc"
    }
    shown = {f"envhub/examples/{path.name}": path for path in REPOSITORY.glob("examples/*.py")}
    return {**files, **shown, f"{COMMAND}.py": REPOSITORY / f"{COMMAND}.py"}


# The tree and what pyproject.toml says of it.


def test_every_package_of_the_tree_is_declared() -> None:
    setuptools = PYPROJECT["tool"]["setuptools"]
    assert setuptools["py-modules"] == [COMMAND]
    declared = {**packages_in_the_tree(), **EXAMPLES}
    assert sorted(setuptools["packages"]) == sorted(declared)
    assert setuptools["package-dir"] == declared
    for folder in packages_in_the_tree().values():
        assert (REPOSITORY / folder / "__init__.py").is_file()


def test_there_is_one_extra_a_suite_of_its_name() -> None:
    assert PROJECT["name"] == NAME
    others = {"all", "dev", "docs", "examples", "ray", "trainers", "video"}
    assert set(EXTRAS) == {*SUITES, *others}
    assert list(map(requirement, EXTRAS["ray"])) == [("ray", actors.SUPPORTED)]
    together = sorted({*SUITES} - {*APART})
    assert EXTRAS["all"] == [f"{NAME}[{','.join([*together, 'video'])}]"]
    assert [*tasks.users()] == [*sorted(SUITES), "video"]
    assert tasks.in_all() == [*together, "video"]


@pytest.mark.parametrize("name", SUITES)
def test_an_adapter_and_its_extra_say_the_same(name: str) -> None:
    suite = SUITES[name]
    assert suite.name == name
    own, row = f"envhub.adapters.{name}:SUITE", f"{TABLE}:{name.upper()}"
    assert registry.BUILTIN[name] == (own if has_adapter(name) else row)
    assert (suite.distribution, suite.supported) in map(requirement, EXTRAS[name])
    assert _versions.admits(suite.supported, "0") is False


def test_every_adapter_is_registered() -> None:
    rows = {name for name, place in registry.BUILTIN.items() if place.startswith(f"{TABLE}:")}
    table = importlib.import_module(TABLE)
    assert sorted(table.__all__) == sorted(name.upper() for name in rows)
    packages = {path.parent.name for path in ADAPTERS.glob("*/__init__.py")}
    modules = {path.stem for path in ADAPTERS.glob("*.py")} | packages
    assert modules - {"__init__", TABLE.rpartition(".")[2]} == set(registry.BUILTIN) - rows


def has_adapter(name: str) -> bool:
    """The others are rows of the table of what Gymnasium's registry makes."""
    return (ADAPTERS / name).exists() or (ADAPTERS / f"{name}.py").exists()


def test_the_versions_of_python_agree() -> None:
    assert len(SUPPORTED) >= 3
    assert list(tasks.PYTHONS) == SUPPORTED
    prefix = "Programming Language :: Python :: "
    named = [text.removeprefix(prefix) for text in PROJECT["classifiers"] if prefix in text]
    assert named == SUPPORTED
    oldest = SUPPORTED[0]
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    workflow = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert f"python: {json.dumps(SUPPORTED)}" in workflow
    assert f"--set {tasks.OLDEST}" in workflow


# What is built of it.


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from that."""
    source = tmp_path_factory.mktemp("build") / "source"
    for name in [*TREE, *EXAMPLES.values()]:
        shutil.copytree(
            REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in (f"{COMMAND}.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    (source / "scripts").mkdir()
    shutil.copy(REPOSITORY / BACKEND, source / BACKEND)
    run(sys.executable, "-m", "build", "--no-isolation", str(source), cwd=source.parent)
    return source / "dist"


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(
            archive.read(f"envhub_rl-{__version__}.dist-info/METADATA").decode(),
        )


@once
@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"envhub_rl-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    expected = files_of_the_packages()
    assert {"envhub/py.typed", "envhub/cli/__init__.py", "envhub/adapters/gymnax.py"} <= set(
        expected
    )
    information = f"envhub_rl-{__version__}.dist-info/"
    assert {name for name in held if not name.startswith(information)} == set(expected)
    assert all(held[name] == path.read_bytes() for name, path in expected.items())
    assert held[f"{information}licenses/LICENSE"] == (REPOSITORY / "LICENSE").read_bytes()
    entry_points = held[f"{information}entry_points.txt"].decode().split()
    assert entry_points == ["[console_scripts]", "envhub", "=", f"{COMMAND}:main"]


@once
def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata["Requires-Python"].split(",")) == set(PROJECT["requires-python"].split(","))
    provided = {name.replace("_", "-") for name in EXTRAS}  # as PEP 685 writes them
    assert set(metadata.get_all("Provides-Extra", [])) == provided
    told = [suite.install_command.partition("[")[2] for suite in SUITES.values()]
    assert {each.partition("]")[0] for each in told} < provided
    assert "# envhub" in metadata.get_payload()
    assert relative(links(metadata.get_payload())) == []
    requirements = metadata.get_all("Requires-Dist", [])
    plain = {requirement(text)[0] for text in requirements if ";" not in text}
    assert plain == {"jax", "numpy", "packaging", "typer"}
    assert len(requirements) == len(plain) + sum(map(len, EXTRAS.values()))


def links(text: Any) -> list[str]:
    """The targets of all links and pictures in Markdown, inline, by reference and in HTML."""
    forms = (r"\]\(([^)\s]+)", r"^\[[^\]]+\]:\s*(\S+)", r"(?:src|srcset|href)=[\"']([^\"']+)")
    found = [target for form in forms for target in re.findall(form, text, re.MULTILINE)]
    assert found
    return found


def relative(targets: list[str]) -> list[str]:
    return [each for each in targets if not each.startswith(("https://", "#"))]


@pytest.mark.parametrize("source", [None, "https://example.org/a"])
def test_the_readme_renders_where_there_is_no_repository(source: str | None) -> None:
    """On the package index, a relative link leads nowhere."""
    spec = importlib.util.spec_from_file_location("build_backend", REPOSITORY / BACKEND)
    assert spec
    assert spec.loader
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = backend.readme_for_the_index(text, source)
    assert relative(links(text))
    assert relative(links(shown)) == []
    picture = "](https://example.org/a/raw/HEAD/docs/figures/gallery.png)"
    assert (picture in shown) == bool(source)
    assert ("(`docs/contract.md`)" in shown) == (not source)


@once
def test_the_source_distribution_holds_the_packages(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    expected = {str(path.relative_to(REPOSITORY)) for path in files_of_the_packages().values()}
    assert expected | {"pyproject.toml", "README.md", "LICENSE", BACKEND} <= held


@once
@pytest.mark.slow
def test_the_installed_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--target", str(target), str(wheel), cwd=elsewhere)
    code = (
        "import envhub, importlib.metadata\n"
        "import envhub.adapters.gymnax, envhub.cli\n"
        "for module in (envhub, envhub.adapters, envhub.adapters.gymnax, envhub.cli):\n"
        f"    assert module.__file__.startswith({str(target)!r}), module\n"
        f"assert importlib.metadata.version({NAME!r}) == envhub.__version__\n"
        "for suite in envhub.suites():\n"
        "    print(suite, envhub.registry.get(suite).title)"
    )
    only_this = {"PYTHONPATH": str(target)}
    told = run(sys.executable, "-c", code, cwd=elsewhere, **only_this)
    assert told.splitlines() == [f"{name} {suite.title}" for name, suite in SUITES.items()]
    command = [str(target / "bin" / "envhub"), "example", "ppo"]
    assert run(*command, cwd=elsewhere, **only_this) == (REPOSITORY / "examples/ppo.py").read_text(
        encoding="utf-8"
    )
    assert "tour" in run(str(target / "bin" / "envhub"), "--help", cwd=elsewhere, **only_this)
    assert list(elsewhere.iterdir()) == []


STRANGERS = {"__init__.py": "from .api import *", "api.py": "import a_package_that_is_absent"}


@once
def test_the_strangers_distribution_is_noticed(wheel: Path, tmp_path: Path) -> None:
    """EnvHub 1.4 on the index is another project's, and has a package of our name."""
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--target", str(target), str(wheel), cwd=tmp_path)
    only_this = {"PYTHONPATH": str(target), "COLUMNS": "1000"}
    ours = (target / "envhub" / "__init__.py").read_text(encoding="utf-8")
    for name, source in STRANGERS.items():
        assert name == "__init__.py" or not (target / "envhub" / name).exists()
        (target / "envhub" / name).write_text(source, encoding="utf-8")
    for needed in (None, "a_package_that_is_absent.py"):
        if needed:
            (target / needed).touch()
        done = subprocess.run(
            [target / "bin" / "envhub", "doctor"],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, **only_this},
            encoding="utf-8",
        )
        assert done.returncode == 1
        assert done.stderr.startswith(
            "Error: the distribution 'envhub', which is another project's"
        )
        assert "pip uninstall envhub." in done.stderr
        assert f"install {NAME} again" in done.stderr
    # Ours was installed last: everything works, and would not after `pip uninstall envhub`.
    (target / "envhub" / "__init__.py").write_text(ours, encoding="utf-8")
    code = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    import envhub\n"
        "print([str(each.message) for each in caught], caught[0].filename)"
    )
    told = run(sys.executable, "-c", code, cwd=tmp_path, **only_this)
    assert "pip uninstall envhub." in told
    assert told.strip().endswith("<string>")  # it points to who imports envhub
    (target / "envhub" / "api.py").unlink()
    run(sys.executable, "-W", "error", "-c", "import envhub", cwd=tmp_path, **only_this)


# The sets of versions.


def pins_of(path: Path) -> dict[str, str]:
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    return dict(line.split("==") for line in lines)


def test_there_is_a_newest_and_an_oldest_set_for_every_python() -> None:
    expected = [f"newest-py{python}.txt" for python in SUPPORTED]
    oldest = [f"oldest-py{python}.txt" for python in SUPPORTED]
    without = [path.name for path in CONSTRAINTS if tasks.left_out(path.stem)]
    apart = [f"{own}.txt" for own in APART.values()]
    assert [path.name for path in CONSTRAINTS] == sorted([*apart, *expected, *oldest, *without])
    assert tasks.OLDEST.endswith(f"-py{SUPPORTED[0]}")
    assert tasks.set_names() == [path.stem for path in CONSTRAINTS]
    assert [tasks.newest(python) + ".txt" for python in SUPPORTED] == expected


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
class TestConstraints:
    def test_they_are_plain_pins(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.isascii()
        assert text.endswith("\n")
        lines = text.splitlines()
        pins = [line for line in lines if not line.startswith("#")]
        assert pins == sorted(pins)
        assert lines == [line for line in lines if line.startswith("#")] + pins
        for pin in pins:
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==\d[a-z0-9.]*", pin)
        assert len(pins_of(path)) == len(pins) > 50
        assert not {"envhub", "pip"} & set(pins_of(path))
        assert "://" not in text

    def test_they_pin_what_this_project_asks_for(self, path: Path) -> None:
        pins = pins_of(path)
        asked = [*PROJECT["dependencies"], *EXTRAS["dev"], *PYPROJECT["build-system"]["requires"]]
        absent = tasks.absent(path.stem)
        held = [name for name in [*SUITES, "video"] if name not in absent]
        asked += [text for name in held for text in EXTRAS[name]]
        has_all = {*absent} <= {*APART}
        assert tasks.extras(path.stem).startswith("all" if has_all else ",".join(held))
        signs = {"docs": "mkdocs", "examples": "torch", "ray": "torch", "trainers": "torchrl"}
        for extra, sign in signs.items():
            asked += EXTRAS[extra] if tasks.pins(path.stem, sign) else []
        for distribution, range_ in map(requirement, asked):
            if distribution == "pufferlib-core" and tasks.pins(path.stem, "pufferlib"):
                assert pins["pufferlib"] == "3.0.0"  # takes its place
                continue
            assert distribution in pins
            assert not range_ or _versions.admits(range_, pins[distribution]), distribution


def test_a_set_without_a_suite_has_what_that_suite_holds_back() -> None:
    """What somebody gets who installs one of the others alone is in a set."""
    without = {path: name for path in CONSTRAINTS if (name := tasks.left_out(path.stem))}
    assert set(without.values()) == {"gymnax"}
    for path, name in without.items():
        pins = pins_of(path)
        assert SUITES[name].distribution not in pins
        asked = [each for each in map(requirement, EXTRAS[name]) if each[0] in pins]
        newer = {each for each, range_ in asked if not _versions.admits(range_, pins[each])}
        assert newer == {"gymnasium", "jax"}
        # JaxMARL needs gymnax itself.
        assert {*tasks.absent(path.stem)} == {name, "jaxmarl", *APART}
        selection = tasks.tests_without(path.stem)
        assert name in selection[1::4]
        files = [word for word in selection if word.startswith("tests/")]
        assert all((REPOSITORY / file).exists() for file in files)


def test_a_suite_that_is_not_in_all_has_a_set_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[Sequence[str]] = []
    monkeypatch.setattr(tasks, "run", ran.append)
    # moviepy 1.0.3, which kinetix pins, asks for decorator before 5.
    of_kinetix = {"decorator", "flax", "jax", "jaxlib"}
    older = {"bsuite": set(), "dm_control": {"mujoco"}, "kinetix": of_kinetix, "ogbench": set()}
    for name, own in APART.items():
        assert tasks.extras(own) == f"{name},dev"
        tasks.install(tasks.ROOT, tasks.extras(own))
        # pip before 23.3, which Python 3.12.1 brings, finds no extra with an underscore.
        assert ran[-1][-1] == f".[{name.replace('_', '-')},dev]"
        assert tasks.tests_without(own)[-2:] == [
            "tests/conformance/test_contract.py",
            "tests/quirks",
        ]
        # Every name is examined there, and what all sets share has the version of the newest.
        assert set_of_every_name(name) == own
        of_python = tasks.newest(own.partition("-py")[2])
        newest = pins_of(REPOSITORY / "constraints" / f"{of_python}.txt")
        pins = pins_of(REPOSITORY / "constraints" / f"{own}.txt")
        others = {each for each in pins if each in newest and pins[each] != newest[each]}
        assert others == older[name]


def test_a_suite_that_does_not_fit_old_versions_is_not_in_their_sets() -> None:
    """Some need newer versions: EnvPool of glfw, JaxMARL of JAX, and xminigrid of tqdm.

    playground needs a newer brax. dm_control needs an older MuJoCo than the newest, and labmaze,
    which has no wheel for 3.13. kinetix needs an older jax than the newest, and has one set.
    """
    absent = {path.stem: tasks.absent(path.stem) for path in CONSTRAINTS}
    oldest = {name: found for name, found in absent.items() if name.startswith("oldest-")}
    newer = ["envpool", "jaxmarl", "kinetix", "ogbench", "playground", "xminigrid"]
    assert oldest == {
        f"oldest-py{python}": ["bsuite", *["dm_control"] * (python == "3.13"), *newer]
        for python in SUPPORTED
    }
    assert {name: found for name, found in absent.items() if name.startswith("newest-")} == {
        tasks.newest(python): [*APART] for python in SUPPORTED
    }
    assert tasks.tests_without(tasks.OLDEST) == [
        *("--without", "bsuite", "--ignore", "tests/quirks/test_bsuite.py"),
        *("--without", "envpool", "--ignore", "tests/quirks/test_envpool.py"),
        *("--without", "jaxmarl", "--ignore", "tests/quirks/test_jaxmarl.py"),
        *("--without", "kinetix", "--ignore", "tests/quirks/test_kinetix.py"),
        *("--without", "ogbench", "--ignore", "tests/quirks/test_ogbench.py"),
        *("--without", "playground", "--ignore", "tests/quirks/test_playground.py"),
        *("--without", "xminigrid", "--ignore", "tests/quirks/test_xminigrid.py"),
    ]


def test_the_oldest_set_is_at_the_lower_bounds() -> None:
    pins = pins_of(REPOSITORY / "constraints" / f"{tasks.OLDEST}.txt")
    extras = {*SUITES, "video"} - {*tasks.absent(tasks.OLDEST)}
    asked = [*PROJECT["dependencies"], *(text for name in extras for text in EXTRAS[name])]
    for distribution, range_ in map(requirement, asked):
        if range_.startswith(">="):
            bound = Version(range_.removeprefix(">=").partition(",")[0]).release
            assert Version(pins[distribution]).release[: len(bound)] == bound, distribution


# tasks.py, which makes the environments of these sets.


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A repository elsewhere, where creating and installing only write down that they ran."""
    (tmp_path / "constraints").mkdir()
    for path in (REPOSITORY / "pyproject.toml", *CONSTRAINTS):
        shutil.copy(path, tmp_path / path.relative_to(REPOSITORY))
    done: list[str] = []

    def create(python: str, directory: Path) -> None:
        done.append("create")
        (directory / "bin").mkdir(parents=True, exist_ok=True)
        (directory / "bin" / "python").touch()

    monkeypatch.setattr(tasks, "ROOT", tmp_path)
    monkeypatch.setattr(tasks, "create", create)
    monkeypatch.setattr(tasks, "install", lambda *options: done.append("install"))
    monkeypatch.setattr(tasks, "install_ocean", lambda *options: done.append("ocean"))
    monkeypatch.setattr(tasks, "install_others", lambda *options: done.append("others"))
    for path in (tasks.BUILD_OCEAN, tasks.OTHERS):
        (tmp_path / path).parent.mkdir()
        shutil.copy(REPOSITORY / path, tmp_path / path)
    monkeypatch.setattr(tasks, "find_python", lambda version: f"python{version}")
    return done


def test_an_environment_is_set_up_once(steps: list[str]) -> None:
    for _ in range(3):
        assert tasks.set_up(tasks.OLDEST) == tasks.ROOT / ".venv" / tasks.OLDEST
    assert steps == ["create", "install"]
    tasks.set_up(tasks.newest("3.12"))
    assert steps == [*["create", "install"] * 2, "ocean"]


def test_ocean_is_part_of_some_sets_and_not_of_others(steps: list[str]) -> None:
    assert {name: tasks.pins(name, "pufferlib") for name in tasks.set_names()} == {
        "bsuite-py3.12": False,
        "dm_control-py3.12": False,
        "kinetix-py3.11": False,
        "newest-py3.11": True,
        "newest-py3.12": True,
        "newest-py3.13": False,
        "oldest-py3.11": False,
        "oldest-py3.12": False,
        "oldest-py3.13": False,
        "ogbench-py3.12": False,
        "without-gymnax-py3.12": False,
    }
    name = tasks.newest("3.12")
    tasks.set_up(name)
    with (tasks.ROOT / tasks.BUILD_OCEAN).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    tasks.set_up(name)
    assert steps == ["create", "install", "ocean"] * 2


def test_other_libraries_lie_beside_one_set(steps: list[str]) -> None:
    for _ in range(2):
        tasks.set_up(tasks.WITH_OTHERS)
        with (tasks.ROOT / tasks.OTHERS).open("a", encoding="utf-8") as file:
            file.write("# changed\n")
    assert steps == ["create", "install", "others"] * 2


def test_trainers_are_installed_for_a_slow_run_of_the_set_that_has_them(steps: list[str]) -> None:
    name = tasks.newest("3.11")
    tasks.set_up(name)
    assert steps == ["create", "install", "ocean"]
    tasks.set_up(name, trains=True)
    assert steps == ["create", "install", "ocean", "install"]
    tasks.set_up(tasks.OLDEST, trains=True)
    assert steps[4:] == ["create", "install"]


@pytest.mark.parametrize("changed", ["pyproject.toml", f"constraints/{tasks.OLDEST}.txt"])
def test_a_changed_requirement_sets_up_anew(steps: list[str], changed: str) -> None:
    tasks.set_up(tasks.OLDEST)
    with (tasks.ROOT / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    tasks.set_up(tasks.OLDEST)
    assert steps == ["create", "install"] * 2


def test_a_removed_python_sets_up_anew(steps: list[str]) -> None:
    (tasks.set_up(tasks.OLDEST) / "bin" / "python").unlink()
    tasks.set_up(tasks.OLDEST)
    assert steps == ["create", "install"] * 2


def test_an_interrupted_set_up_starts_over(
    steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "install", interrupted)
        assert tasks.main(["test", "--set", tasks.OLDEST]) == 130
    tasks.set_up(tasks.OLDEST)
    assert steps == ["create", "create", "install"]


def test_a_failing_pip_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tasks, "ROOT", tmp_path)
    with pytest.raises(tasks.TaskError, match=r"exit status 1.*-m pip install.*absent\.txt$"):
        tasks.install(Path(sys.prefix), "dev", "--constraint", "absent.txt")
    assert "absent.txt" in capfd.readouterr().err


def test_a_python_that_does_not_run_is_not_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tasks, "RUNNING", "none")
    monkeypatch.setenv("PATH", f"{tmp_path / 'absent'}{os.pathsep}{tmp_path / 'shims'}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def script(folder: str, text: str) -> Path:
        path = tmp_path / folder / f"python{version}"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    script("shims", "exit 127")
    script(f"versions/{version}.98/bin", "echo 2.7")
    with pytest.raises(tasks.PythonNotFoundError, match=version):
        tasks.find_python(version)
    works = script(f"versions/{version}.97/bin", f'exec "{sys.executable}" "$@"')
    assert tasks.find_python(version) == str(works)


PYTEST = """#!/bin/sh
printf '%s\\n' "$*" >> "{root}/calls"
echo "======== 2 failed, 7 passed, 1 xfailed in 3.21s ========"
exit {status}
"""


@pytest.mark.parametrize(
    ("last", "found"),
    [
        ("===== 3 passed in 0.12s =====", "3 passed in 0.12s"),
        ("2 failed, 1 warning in 75.20s (0:01:15)", "2 failed, 1 warning in 75.20s (0:01:15)"),
        ("\x1b[32m== \x1b[1m3 passed\x1b[0m in 0.12s ==\x1b[0m", "3 passed in 0.12s"),
        ("Killed", "pytest exit 3"),
    ],
)
def test_the_counts_are_those_of_pytest(
    steps: list[str], last: str, found: str, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = tasks.set_up(tasks.OLDEST)
    script = directory / "bin" / "pytest"
    script.write_text(f"#!/bin/sh\necho 1 passed in\necho '{last}'\nexit 3\n", encoding="utf-8")
    script.chmod(0o755)
    assert tasks.run_pytest(directory, []) == (3, found)
    assert last in capfd.readouterr().out


@pytest.mark.parametrize("extent", ["--full", "--slow", None])
@pytest.mark.parametrize(("status", "word"), [(0, "passed"), (1, "FAILED")])
def test_all_sets_are_run_and_summed_up(
    steps: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int,
    word: str,
    extent: str | None,
) -> None:
    absent = next(python for python in SUPPORTED[1:] if python != tasks.RUNNING)

    def find_python(version: str) -> str:
        if version == absent:
            raise tasks.PythonNotFoundError("it is absent")
        return "python"

    def install(directory: Path, *options: str) -> None:
        for name in ("ruff", "mypy", "pytest"):
            script = PYTEST.format(root=tasks.ROOT, status=status if name == "pytest" else 0)
            (directory / "bin" / name).write_text(script, encoding="utf-8")
            (directory / "bin" / name).chmod(0o755)

    monkeypatch.setattr(tasks, "find_python", find_python)
    monkeypatch.setattr(tasks, "install", install)
    given = [extent] if extent else []
    every = ["test", *given, "--all-sets", "--discard", "--", "-k", "some"]
    assert tasks.main(every) == status
    kept = tasks.newest(tasks.RUNNING)
    assert [each.name for each in (tasks.ROOT / ".venv").iterdir()] == [kept]
    lines = capfd.readouterr().out.split("\n\n")[-1].splitlines()
    others = [python for python in SUPPORTED if python != tasks.RUNNING]
    order = [*map(tasks.newest, [tasks.RUNNING, *others]), tasks.OLDEST]
    assert [line.split()[0] for line in lines] == order
    for name, line in zip(order, lines, strict=True):
        ran = name != tasks.newest(absent)
        assert re.sub(r"\(\d+ s\)", "(0 s)", line).split(maxsplit=1)[1].strip() == (
            f"{word}   2 failed, 7 passed, 1 xfailed in 3.21s (0 s)"
            if ran
            else "not run  it is absent (0 s)"
        )
    calls = (tasks.ROOT / "calls").read_text(encoding="utf-8").splitlines()
    of_versions = " ".join(f"tests/{path}" for path in tasks.OF_VERSIONS)
    workers = "-n 2 --dist loadgroup --max-worker-restart 0 --color=no"
    present = [name for name in order if name != tasks.newest(absent)]
    default, *rest = (" ".join([*tasks.tests_without(name), "-k some"]) for name in present)
    fast = [f"{workers} {of_versions} {each}" for each in rest]
    expected = [f"{workers} {extent or '--slow'} {default}", *fast]
    assert calls == ["check", "format --check", "", *expected]


def test_a_set_without_its_python_is_no_success(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def find_python(version: str) -> str:
        raise tasks.PythonNotFoundError(f"Python {version} was not found here.")

    monkeypatch.setattr(tasks, "find_python", find_python)
    assert tasks.main(["test", "--set", tasks.OLDEST]) == 1
    assert "not run" in capfd.readouterr().out
    assert tasks.main(["tour"]) == 1
    assert "not found" in capfd.readouterr().err


def test_the_matrix_is_of_one_set_or_of_all_whose_python_is_here(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    absent = next(python for python in SUPPORTED if python != tasks.RUNNING)

    def find_python(version: str) -> str:
        if version == absent:
            raise tasks.PythonNotFoundError("it is absent")
        return "python"

    ran: list[Sequence[str]] = []
    monkeypatch.setattr(tasks, "find_python", find_python)
    monkeypatch.setattr(tasks, "_status", lambda command: ran.append(command) or 0)
    module = ["-m", "tests.conformance.matrix", "--set"]
    assert tasks.main(["matrix", "--all", "--suite", "gymnax", "--", "-k", "Cart"]) == 0
    name = tasks.newest(tasks.RUNNING)
    arguments = ["--all", "--suite", "gymnax", "-k", "Cart"]
    assert [command[1:] for command in ran] == [[*module, name, *arguments]]
    assert ran[0][0] == str(tasks.ROOT / ".venv" / name / "bin" / "python")
    ran.clear()
    assert tasks.main(["matrix", "--all-sets"]) == 0
    here = [name for name in tasks.set_names() if not name.endswith(absent)]
    assert [command[-1] for command in ran] == here
    assert f"{tasks.newest(absent)}: not run: it is absent" in capfd.readouterr().out
    assert tasks.main(["matrix", "--set", tasks.newest(absent)]) == 1
    ran.clear()
    assert tasks.main(["matrix", "--check"]) == 0
    envhub = tasks.tool(tasks.ROOT / ".venv" / name, "envhub")
    assert ran == [[envhub, "matrix", "--check"]]


def test_the_weekly_matrix_covers_every_set_and_opens_no_door() -> None:
    text = (REPOSITORY / ".github" / "workflows" / "matrix.yml").read_text(encoding="utf-8")
    assert re.findall(r"set: ([\w.-]+),", text) == sorted(tasks.set_names())
    for name, python in re.findall(r'set: ([\w.-]+), python: "([\d.]+)"', text):
        assert name.endswith(f"-py{python}")
    assert "\npermissions:\n  contents: read\n" in text
    assert "secrets" not in text
    assert text.count("permissions") == 1
    assert "\n  schedule:\n" in text
    tasks_of_it = re.findall(r"run: python tasks\.py (\w+)", text)
    # A week's releases are in the newest sets, and in what each extra gives.
    assert tasks_of_it == ["extras", "constraints", "matrix"]
    assert f"python: {json.dumps(SUPPORTED)}" in text


def test_the_weekly_random_input_prints_its_seed() -> None:
    text = (REPOSITORY / ".github" / "workflows" / "fuzz.yml").read_text(encoding="utf-8")
    assert "\n  schedule:\n" in text
    assert 'echo "To repeat: --hypothesis-profile=random --hypothesis-seed=$seed"' in text
    assert '--hypothesis-profile=random --hypothesis-seed="$seed"' in text
    assert "\npermissions:\n  contents: read\n" in text


@pytest.mark.parametrize(
    "arguments",
    [[], ["tests"], ["test", "--set", "no-such-set"], ["test", "--python", "3.9"]],
)
def test_an_unknown_task_or_set_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        tasks.main(arguments)
    assert caught.value.code == 2


def test_no_file_of_the_repository_is_a_link() -> None:
    """PufferLib links its `resources` into the working directory; that was committed once."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip(reason="this is no checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--stage"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout.splitlines()
    assert len(listed) > 400
    assert not [line for line in listed if line.startswith("120000")]


def test_ci_runs_everything() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    everything = [
        "python3 tasks.py test --all-sets --discard || status=$?",
        "python3 tasks.py matrix --check || status=$?",
        "python3 tasks.py extras --here --extra gymnax --extra ale || status=$?",
        'exit "$status"',
    ]
    assert text.splitlines()[-4:] == everything
