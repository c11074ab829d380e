"""What importing envhub costs and touches, and what each module of the repository imports."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envhub import registry
from envhub.matrix import timing

from .processes import fresh

REPOSITORY = Path(__file__).parent.parent
PRIVATE = {"build", "dist"}
CONVERTS = "envhub/spaces/_gymnasium.py"  # from and to the spaces of Gymnasium
SUITE_MODULES = {registry.get(name).module for name in registry.BUILTIN}
ON_HOST = (
    "ale",
    "bsuite",
    "crafter",
    "dm_control",
    "envpool",
    "gymnasium",
    "highway",
    "minigrid",
    "ogbench",
    "popgym",
    "pufferlib",
)
MUST_STAY_OUT = SUITE_MODULES | {"flax", "gymnasium", "matplotlib", "mujoco", "rich", "typer"}
# What `import jax` itself may load late.
JAX_AND_NUMPY = {"jax", "jaxlib", "ml_dtypes", "numpy", "opt_einsum", "scipy"}
EXAMPLES = [f"{name}::{registry.get(name).example}" for name in registry.BUILTIN]
# An installed package has bytecode, whatever this process was told.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


def in_a_fresh_process(code: str, cwd: Path = REPOSITORY) -> Any:
    """Run code that prints one line of JSON and nothing else."""
    done = fresh(code, cwd=cwd, env=ENVIRONMENT)
    assert done.stderr == ""
    return json.loads(done.stdout)


def python_files(*folders: str) -> list[Path]:
    """The repository's own Python files; all of them if no folder is named."""
    roots = [REPOSITORY / folder for folder in folders] or [REPOSITORY]
    return [
        path
        for root in roots
        for path in sorted(root.rglob("*.py"))
        if not any(
            part in PRIVATE or part.startswith(".") for part in path.relative_to(REPOSITORY).parts
        )
    ]


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def imports(tree: ast.AST, in_functions: bool) -> Iterator[str]:
    """The top-level packages that a module imports, in its functions too or not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0] if node.level == 0 else "a relative import"
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if in_functions or not is_function:
            yield from imports(node, in_functions)


def test_the_search_for_imports_finds_what_it_should() -> None:
    module = ast.parse(
        "import a.b\n"
        "from c.d import e\n"
        "from . import f\n"
        "try:\n    import g\nexcept ImportError:\n    import h\n"
        "class C:\n    import i\n    def method(self):\n        import j\n"
        "async def k():\n    from l import m\n"
    )
    outside = ["a", "c", "a relative import", "g", "h", "i"]
    assert list(imports(module, in_functions=False)) == outside
    assert sorted(imports(module, in_functions=True)) == sorted([*outside, "j", "l"])


@pytest.mark.parametrize("path", python_files("envhub", "adapters"), ids=named)
def test_a_module_imports_only_jax_numpy_and_the_standard_library(path: Path) -> None:
    allowed = {"envhub", "jax", "numpy", *sys.stdlib_module_names}
    if named(path) == "envhub/_typing.py":
        allowed |= {"typing_extensions"}  # for those who check types
    if named(path.parent) == "envhub/cli":
        allowed |= {"rich", "typer"}
    # Adapters, whose package has another name once it is installed.
    if "adapters" in (named(path.parent), named(path.parent.parent)):
        allowed |= {"a relative import"}
    assert set(imports(ast.parse(path.read_text(encoding="utf-8")), in_functions=False)) <= allowed


@pytest.mark.parametrize("path", python_files("envhub"), ids=named)
def test_the_hub_imports_no_suite_even_in_a_function(path: Path) -> None:
    found = SUITE_MODULES & set(
        imports(ast.parse(path.read_text(encoding="utf-8")), in_functions=True)
    )
    assert found <= ({"gymnasium"} if named(path) == CONVERTS else set())


# Where the hub's code has the name of a suite all the same, and why.
NAMED = {
    "envhub/registry.py": (set(registry.BUILTIN), "the table of the suites"),
    "envhub/hub.py": ({"gymnax"}, "an id as an example, in an error"),
    "envhub/_adoption.py": ({"gymnasium"}, "an interface that is refused, with its reason"),
    "envhub/_forks.py": ({"gymnasium"}, "a class of Gymnasium's that forks, in an error"),
    "envhub/host/proof.py": ({"gymnasium"}, "Gymnasium's interface, in an error"),
    "envhub/wrappers/episodic_life.py": ({"ale"}, "ids as an example, in an error"),
    "envhub/matrix/timing.py": (set(timing.EIGHT), "the suites that a budget of time is about"),
    "envhub/spaces/__init__.py": ({"gymnasium"}, "Gymnasium's spaces, which are converted"),
    "envhub/spaces/_gymnasium.py": ({"gymnasium"}, "Gymnasium's spaces, which are converted"),
    "envhub/export/__init__.py": (
        {"brax", "gymnasium", "gymnax", "jaxmarl"},
        "interfaces to export to",
    ),
    "envhub/export/agents.py": ({"gymnasium"}, "the name of another export, in an error"),
    "envhub/export/brax.py": ({"brax"}, "the interface"),
    "envhub/export/checks.py": (
        {"gymnasium", "jaxmarl"},
        "the names of other exports, in errors",
    ),
    "envhub/export/driver.py": ({"gymnax"}, "the name of another export, in an error"),
    "envhub/export/gymnasium.py": ({"gymnasium"}, "the interface"),
    "envhub/export/gymnasium_vec.py": ({"gymnasium"}, "the interface"),
    "envhub/export/gymnax.py": ({"gymnax"}, "the interface"),
    "envhub/export/jaxmarl.py": ({"jaxmarl"}, "the interface"),
    "envhub/export/pettingzoo.py": ({"gymnasium"}, "the spaces of the interface"),
    "envhub/export/pettingzoo_aec.py": ({"gymnasium"}, "the spaces of the interface"),
    "envhub/export/sb3.py": ({"gymnasium"}, "the spaces of the interface"),
    "envhub/gym.py": ({"gymnasium"}, "the registry of Gymnasium"),
}


def suites_named(tree: ast.AST) -> set[str]:
    """The suites whose names are in code: in identifiers, and in texts that are no docstrings."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            texts.append(node.value)
        fields = ("id", "attr", "name", "arg", "module")
        texts += [str(getattr(node, field)) for field in fields if hasattr(node, field)]
    word = "|".join(registry.BUILTIN)
    return {
        found.lower()
        for text in texts
        for found in re.findall(rf"(?<![a-z])({word})(?![a-z])", text, re.IGNORECASE)
    }


def test_the_search_for_suites_finds_what_it_should() -> None:
    module = ast.parse(
        '"""brax"""\n'
        "def to_gymnax(navix):\n    'ale'\n    return navix.spec.suite == 'gymnasium'\n"
        "x = f'jumanji::{1}'\nstale = 'braxy'\n"
    )
    assert suites_named(module) == {"gymnax", "navix", "gymnasium", "jumanji"}


HUB = [path for path in python_files("envhub") if "adapters" not in path.parts]


@pytest.mark.parametrize("path", HUB, ids=named)
def test_no_module_of_the_hub_names_a_suite(path: Path) -> None:
    """What differs from suite to suite is an adapter's."""
    expected, _ = NAMED.get(named(path), (set(), ""))
    assert suites_named(ast.parse(path.read_text(encoding="utf-8"))) == expected


@pytest.mark.slow
def test_adapters_are_imported_only_as_part_of_envhub() -> None:
    files = python_files()
    assert {"adapters/gymnax.py", "envhub/registry.py", "tests/test_imports.py"} <= set(
        map(named, files)
    )
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert "adapters" not in imports(tree, in_functions=True), path
        strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert not [
            text
            for text in strings
            if isinstance(text, str) and re.fullmatch(r"adapters([.:]\w+)+", text)
        ], path


def test_documents_import_adapters_only_as_part_of_envhub() -> None:
    documents = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]
    assert REPOSITORY / "README.md" in documents
    for path in documents:
        assert not re.search(r"(from|import) adapters\b", path.read_text(encoding="utf-8")), path


def test_importing_envhub_loads_nothing_else() -> None:
    before, after = in_a_fresh_process(
        "import json, sys, jax, numpy\n"
        "before = sorted(sys.modules)\n"
        "from envhub import *\n"  # public names are loaded when they are used
        "print(json.dumps([before, sorted(sys.modules)]))"
    )
    assert "envhub.hub" in set(after) - set(before)
    assert not {"envhub.testing", "envhub.matrix", "envhub.testing.probes"} & set(after)
    added = {module.partition(".")[0] for module in set(after) - set(before)}
    assert added - sys.stdlib_module_names <= {"envhub", *JAX_AND_NUMPY}
    assert not MUST_STAY_OUT & set(after)


def test_importing_envhub_waits_for_jax_until_a_name_is_used() -> None:
    loaded = in_a_fresh_process(
        "import json, sys, envhub, envhub.host, envhub.spaces\n"
        "print(json.dumps(sorted(sys.modules.keys() & {'jax', 'envhub.hub'})))"
    )
    assert loaded == []
    assert in_a_fresh_process(
        "import json, sys, envhub\n"
        "from envhub import *\n"
        "names = [name for name in envhub.__all__ if vars(envhub)[name] is not globals()[name]]\n"
        "print(json.dumps([names, 'jax' in sys.modules, hasattr(envhub, 'nothing')]))"
    ) == [[], True, False]


def test_importing_envhub_does_nothing(tmp_path: Path) -> None:
    """No array, no device, no setting, no output, no warning and no file."""
    facts = in_a_fresh_process(
        "import json, warnings, jax, numpy\n"
        "from jax._src import xla_bridge\n"
        "before = dict(jax.config.values)\n"
        "warnings.simplefilter('error')\n"
        "filters = list(warnings.filters)\n"
        "from envhub import *\n"
        "after = dict(jax.config.values)\n"
        "print(json.dumps({\n"
        "    'backends': list(xla_bridge._backends),\n"
        "    'settings': len(before),\n"
        "    'changed': [name for name in after if after[name] != before.get(name)],\n"
        "    'filters': warnings.filters == filters,\n"
        "}))",
        cwd=tmp_path,
    )
    assert facts.pop("settings") > 20  # the comparison compared something
    assert facts == {"backends": [], "changed": [], "filters": True}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("env_id", EXAMPLES)
def test_an_import_and_the_first_question_take_few_calls(env_id: str) -> None:
    """Calls of functions, which do not depend on what else the machine does.

    `import jax` takes 900,000, and `packaging`, which the first question imports, 20,000: neither
    is counted. What these take of time is in `benchmarks/overhead.py`.
    """
    code = (
        "import json, sys, jax, numpy, packaging.specifiers\n"
        "calls = []\n"
        "def count(frame, event, argument):\n"
        "    calls[-1] += event in ('call', 'c_call')\n"
        "def counted(work):\n"
        "    calls.append(0)\n"
        "    sys.setprofile(count)\n"
        "    result = work()\n"
        "    sys.setprofile(None)\n"
        "    return result\n"
        "envhub = counted(lambda: __import__('envhub', fromlist=['*']))\n"
        f"flags = counted(lambda: envhub.capabilities({env_id!r}))\n"
        "print(json.dumps([calls, flags.jax_native, sorted(sys.modules)]))"
    )
    (of_import, of_question), jax_native, modules = in_a_fresh_process(code)
    assert jax_native != (env_id.partition("::")[0] in ON_HOST)
    assert not MUST_STAY_OUT & set(modules)
    assert 0 < of_import < 60_000
    assert 0 < of_question < 25_000  # 9,000 on the newest versions, 19,000 on the oldest


def _opens_text(call: ast.Call) -> bool:
    """Whether it reads or writes text, of a file or of another process."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    keywords = {each.arg: each.value for each in call.keywords}
    if name in ("read_text", "write_text"):
        return True
    if name == "open":  # the builtin, or a path's: others' begin with what they open
        is_method = isinstance(call.func, ast.Attribute)
        modes = [*call.args[0 if is_method else 1 :], *filter(None, [keywords.get("mode")])]
        texts = [str(getattr(mode, "value", "a path")) for mode in modes]
        return all(set(text) <= set("rwaxt+") for text in texts)
    return "text" in keywords or "universal_newlines" in keywords


@pytest.mark.parametrize(
    ("code", "is_text"),
    [
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("path.open()", True),
        ("path.open('a')", True),
        ("path.open(mode='wb')", False),
        ("Image.open(path)", False),
        ("tarfile.open(path, 'w:gz')", False),
        ("os.open(path, flags)", False),
        ("path.write_text(text)", True),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command)", False),
    ],
)
def test_the_search_for_texts_finds_what_it_should(code: str, is_text: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert _opens_text(call) == is_text


@pytest.mark.parametrize("path", python_files(), ids=named)
def test_no_text_is_in_the_encoding_of_the_machine(path: Path) -> None:
    """Under LC_ALL=C that is ASCII, and on Windows something else."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _opens_text(node)]
    for call in calls:
        assert "encoding" in [each.arg for each in call.keywords], f"line {call.lineno}"


def test_params_of_ones_own_are_a_pytree_whatever_was_imported_first() -> None:
    code = (
        "from envhub.params import params_dataclass\n"
        "@params_dataclass\n"
        "class Walk:\n"
        "    goal: float = 3.0\n"
        "import jax, json; print(json.dumps(jax.tree.leaves(Walk())))"
    )
    assert in_a_fresh_process(code) == [3.0]


def test_a_name_of_no_module_is_an_attribute_that_is_absent() -> None:
    import envhub

    assert not hasattr(envhub, "a.b")
    assert not hasattr(envhub, "nothing")
