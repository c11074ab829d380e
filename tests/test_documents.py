"""The documents show only what runs, and link only to what is there."""

from __future__ import annotations

import contextlib
import html
import importlib.util
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import envhub
from envhub import _catalogue, errors, export, host, registry, spaces, testing, wrappers
from envhub._distribution import NAME
from envhub.cli import app
from envhub.flags import FLAGS
from envhub.wrappers._inside_autoreset import InsideAutoReset

from . import examples_page, notebook_page, suite_pages
from .conftest import REPOSITORY
from .packages import needed

DOCS = REPOSITORY / "docs"
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
]
README = REPOSITORY / "README.md"
A_PACKAGE = DOCS / "add_a_suite.md"
FAQ = DOCS / "faq.md"
COMING_FROM = DOCS / "coming_from.md"
TRAINERS = DOCS / "trainers.md"  # see test_trainers.py
SCALING = DOCS / "scaling.md"  # see test_ray.py in host
FENCE = re.compile(r"^ *```(\w*)([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def blocks(document: Path, language: str) -> list[str]:
    """Those without a title, which is for what other libraries need, see test_coming_from.py."""
    found = FENCE.findall(document.read_text(encoding="utf-8"))
    return [code for name, rest, code in found if name == language and not rest]


def named(document: Path) -> str:
    return str(document.relative_to(REPOSITORY))


WITH_CODE = [path for path in DOCUMENTS if blocks(path, "python") and path != A_PACKAGE]


@pytest.mark.parametrize("document", WITH_CODE, ids=named)
@pytest.mark.slow
def test_every_block_of_python_runs(document: Path) -> None:
    if document.parent.name == "suites" and document.stem in registry.BUILTIN:
        needed(registry.get(document.stem).module)
    names: dict[str, object] = {}
    for block in blocks(document, "python"):
        exec(compile(block, str(document), "exec"), names)
    if document == README:
        assert names["rewards"].shape == (64, 50)  # type: ignore[attr-defined]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_no_block_of_python_is_called_otherwise(document: Path) -> None:
    found = FENCE.findall(document.read_text(encoding="utf-8"))
    assert {name for name, *_ in found if "py" in name} <= {"python"}
    if document not in (COMING_FROM, SCALING, TRAINERS):
        assert not any(rest for _, rest, _ in found)


@pytest.mark.slow
def test_the_package_that_adds_a_suite_is_installed_and_runs(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    project, target = tmp_path / "project", tmp_path / "installed"
    project.mkdir()
    for block in blocks(A_PACKAGE, "python") + blocks(A_PACKAGE, "toml"):
        first, _, code = block.partition("\n")
        with (project / first.removeprefix("# ")).open("a", encoding="utf-8") as file:
            file.write(code)
    use, tests = ((project / name).rename(tmp_path / name) for name in ("use.py", "test_walks.py"))
    some = [] if pytestconfig.getoption("full") else ["-k", "forkable or limit or own"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    path = os.pathsep.join([str(target), os.environ["PYTHONPATH"]])
    for command in (
        [*pip, "--no-build-isolation", "--target", str(target), str(project)],
        [sys.executable, str(use)],
        [sys.executable, "-m", "pytest", *some, str(tests)],
    ):
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
def test_the_commands_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"`envhub ([^`]+)`", README.read_text(encoding="utf-8"))
    assert len(commands) >= 4
    for command in commands:
        # Fewer steps than the reader would want; the command is otherwise the one shown.
        words = ["20" if word in ("1000", "64") else word for word in shlex.split(command)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"envhub {command}: {done.output}"


COMMANDS = [
    line
    for path in [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
    for block in blocks(path, "bash")
    for line in block.splitlines()
    if line.startswith("envhub ")
]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=[pytest.mark.full] * command.startswith("envhub bench"))
        for command in dict.fromkeys(COMMANDS)
    ],
)
def test_the_commands_of_the_pages_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_the_readme_names_versions_that_are_compared() -> None:
    """Each peer in its table stands with this version on the page that runs both sides."""
    pins = (REPOSITORY / "constraints" / "newest-py3.12.txt").read_text(encoding="utf-8")
    compared = COMING_FROM.read_text(encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    found = set(re.findall(r"(gymnax|brax|Gymnasium|Memorax|Envrax|Stoa) (\d[\d.]*\d)", text))
    assert len(found) == 6
    for peer, version in found:
        title, pin = f'title="{peer} {version}"', f"\n{peer.lower()}=={version}\n"
        assert title in compared or (pin in pins and f"\n## {peer}\n" in compared)


WRITTEN = {
    path
    for pattern in (
        *("*.*", ".ci/*", ".github/**/*.yml", "constraints/*"),
        *("{}/**/*.py", "{}/**/*.md", "{}/**/*.html", "{}/**/*.json", "{}/**/*.txt", "{}/**/*.js"),
    )
    for folder in ("adapters", "benchmarks", "docs", "envhub", "examples", "scripts", "tests")
    for path in REPOSITORY.glob(pattern.format(folder))
    if path.is_file()
}
# An extra of `envhub`, or `envhub` behind `pip install` and its options, or as a requirement.
OF_A_STRANGER = (
    r"(?<![\w.-])envhub\[[a-z]",
    r"pip3? (?:install|download)(?: +-[\w-]+)* +[\"']?envhub(?![\w-])",
    r"dependencies *= *\[[^\]]*[\"']envhub[\"'\[<>=~]",
    r"uv (?:pip install|add)[^\n`]* [\"']?envhub(?![\w-])",
)


def strangers_in(text: str) -> list[str]:
    return [found[0] for pattern in OF_A_STRANGER for found in re.finditer(pattern, text)]


@pytest.mark.parametrize(
    ("line", "is_ours"),
    [
        ('pip install "{}-rl[all]"', True),
        ("pip install -U {}-rl", True),
        ("pip uninstall {}", True),
        ('pip install -e ".[all]"', True),
        ('pip install "{}[all]"', False),
        ("pip install --upgrade {}", False),
        ('dependencies = ["jax", "{}"]', False),
    ],
)
def test_an_install_line_of_a_stranger_is_recognised(line: str, is_ours: bool) -> None:
    assert (not strangers_in(line.format("envhub"))) == is_ours


def test_no_install_line_names_another_distribution() -> None:
    """`envhub` on the package index is another project's."""
    assert {"README.md", "ci.yml", "run", "suite.py", "results.json"} <= {p.name for p in WRITTEN}
    found = {named(path): strangers_in(path.read_text(encoding="utf-8")) for path in WRITTEN}
    assert {path: lines for path, lines in found.items() if lines} == {}
    told = [suite.install_command for suite in map(registry.get, registry.BUILTIN)]
    assert all(f'"{NAME}[' in command for command in told)


def wrapper_rows() -> list[str]:
    """The table of docs/wrappers.md, from the first sentences of the docstrings."""
    rows = []
    for name in wrappers.__all__:
        kind = getattr(wrappers, name)
        side = "inside" if issubclass(kind, InsideAutoReset) else "either side"
        side = "outside" if kind.spans_episodes else side
        side = "" if kind is wrappers.AutoReset else side
        first = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        rows.append(f"| `{name}` | {first} | {side} |")
    return rows


def test_the_table_of_wrappers_is_that_of_their_docstrings() -> None:
    table = (REPOSITORY / "docs" / "wrappers.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in table if line.startswith("| `")] == wrapper_rows()


@pytest.mark.parametrize("name", wrappers.__all__)
def test_a_docstring_of_a_wrapper_says_what_happens_at_the_end(name: str) -> None:
    text = getattr(wrappers, name).__doc__
    assert "episode" in text or "game" in text


def public_names() -> Iterator[tuple[str, str]]:
    """Each with the place where it is defined, which a module of the same name may hide."""
    for module in (envhub, export, host, spaces, testing, wrappers):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{module.__name__}.{name}", f"{getattr(value, '__module__', '')}.{name}"


def test_the_reference_has_every_public_name_once() -> None:
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")]
    entries = re.findall(r"^::: (\S+)$", "\n".join(pages), re.MULTILINE)
    assert len(entries) == len(set(entries))
    assert not [names for names in public_names() if set(names).isdisjoint(entries)]
    assert not [each for each in entries if each != "envhub.errors" and is_module(each)]


def is_module(path: str) -> bool:
    """Whether it is a module that has a file, and not an old name of one that has moved."""
    with contextlib.suppress(ModuleNotFoundError):
        spec = importlib.util.find_spec(path)
        return spec is not None and spec.origin is not None
    return False


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_a_page_of_a_suite_has_its_facts(name: str) -> None:
    suite = registry.get(name)
    text = suite_pages.page(suite).read_text(encoding="utf-8")
    assert suite_pages.between_marks(text, "facts") == suite_pages.facts(suite)
    lines = suite_pages.between_marks(text, "environments")
    rows = [re.split(r"(?<!\\)\|", line)[1] for line in lines if line[:2] == "| "][1:]
    counted = [int(each) for row in rows for each in re.findall(r": (\d+) of \d+, such as", row)]
    found = [each for row in rows for each in re.findall(r"`([^`]+)`", row)]
    listed = [each.replace(r"\|", "|") for each in found]
    names = suite_pages.newest_names(suite)
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(names)
    assert len(listed) - len(counted) + sum(counted) == len(names)


@pytest.mark.parametrize("name", registry.BUILTIN)
@pytest.mark.slow
def test_a_page_of_a_suite_has_its_options_and_params(name: str) -> None:
    suite = registry.get(name)
    reason = suite_pages.why_not_here(suite)
    if reason:
        pytest.skip(reason=reason)
    text = suite_pages.page(suite).read_text(encoding="utf-8")
    assert suite_pages.between_marks(text, "environments") == suite_pages.environments(suite)
    told = json.loads(suite_pages.PARAMS.read_text(encoding="utf-8"))["defaults"].get(name, {})
    some = {suite.example, *[*suite.known_names()][:: max(1, len(told) // 3)]}
    made = json.loads(json.dumps(suite_pages.defaults(suite, some)))  # a tuple becomes a list
    assert made == {name: told[name] for name in sorted(some & told.keys())}


@pytest.mark.full
@pytest.mark.parametrize("name", registry.BUILTIN)
def test_the_defaults_of_all_params_are_those_of_the_environments(name: str) -> None:
    suite = registry.get(name)
    reason = suite_pages.why_not_here(suite)
    if reason:
        pytest.skip(reason=reason)
    told = json.loads(suite_pages.PARAMS.read_text(encoding="utf-8"))["defaults"].get(name, {})
    assert told == json.loads(json.dumps(suite_pages.defaults(suite, suite.known_names())))


def test_each_param_has_a_meaning_in_words() -> None:
    known = json.loads(suite_pages.PARAMS.read_text(encoding="utf-8"))
    used = {
        name for suite in known["defaults"].values() for values in suite.values() for name in values
    }
    assert len(used) > 100
    assert used == set(known["meaning"])


def test_the_page_of_examples_has_them_all() -> None:
    assert examples_page.examples()
    assert examples_page.PAGE.read_text(encoding="utf-8") == examples_page.text()


def test_the_notebook_is_the_page_and_has_nothing_of_a_machine() -> None:
    written = notebook_page.NOTEBOOK.read_text(encoding="utf-8")
    assert written == notebook_page.text(), "run python -m tests.notebook_page"
    cells = json.loads(written)["cells"]
    assert not any(cell.get("outputs") for cell in cells)
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code == [block.strip() for block in blocks(notebook_page.PAGE, "python")]


@pytest.mark.full
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells, one after another, as a kernel would run them."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(notebook_page.NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert names["folder"].with_name("curve.svg").is_file()


def test_the_faq_explains_every_error() -> None:
    rows = re.findall(
        r"^\| `(\w+Error)` \| (.+) \| (.+) \|$", FAQ.read_text(encoding="utf-8"), re.M
    )
    kinds = [value for value in vars(errors).values() if inspect.isclass(value)]
    own = {each.__name__ for each in kinds if issubclass(each, errors.EnvHubError)}
    assert sorted(name for name, *_ in rows) == sorted(own - {"EnvHubError"})
    contract = (DOCS / "contract.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+Error)` \|", contract, re.M)) == own - {"EnvHubError"}


class Loaded(HTMLParser):
    """What a page loads by itself; a link that somebody follows is not that."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag != "a" and given.get("rel") != "canonical":
            self.addresses += [given[name] for name in ("src", "href", "srcset") if given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the site is built."""
    if not importlib.util.find_spec("material") or not importlib.util.find_spec("mkdocstrings"):
        pytest.skip(reason="mkdocs-material and mkdocstrings are not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=REPOSITORY, check=False, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.xdist_group("site")
@pytest.mark.slow
def test_the_site_builds_without_warnings_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(list(DOCS.rglob("*.md")))
    loaded = Loaded()
    for page in pages:
        loaded.feed(page.read_text(encoding="utf-8"))
    for sheet in site.rglob("*.css"):
        loaded.addresses += re.findall(r"url\([\"']?([^)\"']+)", sheet.read_text(encoding="utf-8"))
    assert len(loaded.addresses) > len(pages)
    assert not [each for each in loaded.addresses if re.match(r"(https?:)?//", each)]


@pytest.mark.xdist_group("site")
def test_the_reference_links_errors_and_shows_types_and_no_internal_hook(site: Path) -> None:
    text = "".join(
        page.read_text(encoding="utf-8") for page in (site / "reference").rglob("index.html")
    )

    def entries(section: str) -> list[str]:
        found = re.findall(rf">{section}:</span></p>\s*<ul>(.*?)</ul>", text, re.DOTALL)
        return [
            code
            for each in found
            for code in re.findall(r"<code>((?:(?!</code>).)*)</code>\s*\u2013", each, re.S)
        ]

    raised = [code for code in entries("Raises") if "Error" in code]
    own = {each.__name__ for each in vars(errors).values() if inspect.isclass(each)}
    shown = [(re.sub(r"<[^>]+>", "", code), "errors/#envhub.errors." in code) for code in raised]
    assert len(shown) > 60
    assert [name for name, linked in shown if (not linked and name in own) or "," in name] == []
    types = [html.unescape(re.sub(r"<[^>]+>", "", code)) for code in entries("Returns")]
    assert len(types) > 20
    assert [each for each in types if re.search(r"[a-z] (?!\|)[a-z]", each)] == []
    hooks = re.findall(r'id="[\w.]+\.(step_then_reset|step_or_reset|expect|check_params)"', text)
    assert hooks == []
    signatures = re.findall(r'doc-signature highlight"><pre>(.*?)</pre>', text, re.DOTALL)
    lines = "\n".join(re.sub(r"<[^>]+>", "", each) for each in signatures).splitlines()
    assert len(signatures) > 200
    assert max(map(len, lines)) < 90


@pytest.mark.xdist_group("site")
def test_each_environment_has_a_page_that_search_and_gallery_and_suite_lead_to(site: Path) -> None:
    known = json.loads(_catalogue.PLACE.read_text(encoding="utf-8"))
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"] for entry in index["docs"]}
    gallery = (site / "gallery" / "index.html").read_text(encoding="utf-8")
    told = json.loads(suite_pages.PARAMS.read_text(encoding="utf-8"))["defaults"]
    pictures = 0
    for suite, facts in known.items():
        options = suite_pages.OPTIONS.get(suite, {})
        of_suite = (site / "suites" / suite / "index.html").read_text(encoding="utf-8")
        assert f"environments/{suite}/" in of_suite
        for name in facts["environments"]:
            place = f"environments/{suite}/{name}/"
            text = (site / place / "index.html").read_text(encoding="utf-8")
            assert urllib.parse.quote(place) in found
            assert f"{suite}::{name}" in text
            assert all(f"<code>{flag}</code>" in text for flag in FLAGS)
            assert "Observation" in text
            params = told.get(suite, {}).get(name, {})
            is_gap = registry.get(suite).gap(name, {}) is not None
            has_params = registry.get(suite).capabilities(name, options).has_env_params
            assert params or is_gap or not has_params
            for param, value in params.items():
                assert f"<td><code>{param}</code></td>\n<td><code>{value}</code></td>" in text
            if (
                (site / place.removesuffix("/"))
                .with_name(f"{name.rpartition('/')[2]}.png")
                .is_file()
            ):
                assert f'href="../{place}"' in gallery
                pictures += 1
    assert pictures > 200
    pole = (site / "environments/gymnax/CartPole-v1/index.html").read_text(encoding="utf-8")
    for fact in ("acceleration of gravity", "500 steps by default", "one of 2 numbers", "0.0.9"):
        assert fact in pole
