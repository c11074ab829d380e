"""What makes a cell out of date, and what does not: real checks and adapters, changed a little."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from envhub import registry
from envhub.flags import FLAGS
from envhub.matrix import closures, fingerprints
from envhub.matrix.results import COLUMNS

from ..conftest import REPOSITORY
from ..processes import fresh

Change = tuple[str, str, str]  # module, what stands there, what stands there instead
CHECKS, PROBES = "envhub.testing.checks", "envhub.testing.probes"
EPISODES = "envhub.testing.episodes"


def with_change(*changes: Change) -> Callable[[str], str | None]:
    """The sources as they are, with these changes."""

    def text_of(module: str) -> str | None:
        text = closures.read(module)
        for where, old, new in changes:
            if where == module:
                assert text
                assert old in text, old
                text = text.replace(old, new)
        return text

    return text_of


def columns_changed(*changes: Change) -> set[str]:
    now, then = fingerprints.of_checks_here(), fingerprints.of_checks(with_change(*changes))
    return {column for column in COLUMNS if now[column] != then[column]}


BEFORE = "    before = bits(state)\n"
SAME = {
    "layout": (PROBES, BEFORE, "\n\n    before = bits(\n        state\n    )\n"),
    "a comment": (PROBES, BEFORE, "    # Why.\n    before = bits(state)  # so\n"),
    "a docstring": (PROBES, '"""Two branches from one state:', '"""Now in other words:'),
    "a local": (PROBES, "trunk", "stem"),
    "a parameter": (
        CHECKS,
        "holds: Any, otherwise: str) -> None:",
        "held: object, otherwise: str):",
    ),
    "an annotation": (PROBES, "def forkable(subject: Subject) -> None:", "def forkable(subject):"),
    "a quote": (CHECKS, '"a later step was compiled again"', "'a later step was compiled again'"),
    "advice": ("envhub.testing.remedies", "LONGER = ", "ANOTHER = 1\nLONGER = "),
}


@pytest.mark.parametrize("change", SAME.values(), ids=list(SAME))
def test_what_changes_no_meaning_changes_no_fingerprint(change: Change) -> None:
    changes = [change]
    if "held" in change[2]:
        changes += [(CHECKS, "if not holds:", "if not held:")]
    assert columns_changed(*changes) == set()


ONE_COLUMN = {
    "forkable": (PROBES, "if bits(state) != before:", "if bits(state) == before:"),
    "renderable": (PROBES, "frame.dtype != np.uint8", "frame.dtype == np.uint8"),
    "has_env_params": (PROBES, "MANY = 4000", "MANY = 4001"),
    "differentiable": (PROBES, "if is_zero:", "if not is_zero:"),
    "jax_native": (PROBES, 'if "callback" in name', 'if "callbacks" in name'),
    "ends": (CHECKS, "seen.ended[:, :LANES].any()", "seen.ended[:, :LANES].all()"),
    "steps": (CHECKS, "leaf.dtype.itemsize <= 4", "leaf.dtype.itemsize < 4"),
    "own_bits": (CHECKS, "trial.keys[1:5], trial.actions", "trial.keys[1:4], trial.actions"),
    "control_flow": (CHECKS, "jnp.where(keeps, 0, 1)", "jnp.where(keeps, 1, 0)"),
    "makes": ("envhub.testing.reports", "the gap is closed, remove it", "remove it"),
}  # fmt: skip


@pytest.mark.parametrize("column", ONE_COLUMN)
def test_a_change_of_one_check_changes_its_column_and_no_other(column: str) -> None:
    assert columns_changed(ONE_COLUMN[column]) == {column}


def test_a_change_of_what_several_checks_use_changes_those() -> None:
    whole_episodes = {"observations", "ends", "truncation", "final_obs"}
    assert columns_changed((EPISODES, "CHUNK = 50", "CHUNK = 51")) == whole_episodes
    assert columns_changed((PROBES, "LATER = 20", "LATER = 21")) == {"differentiable", "renderable"}
    elsewhere = {"reproducible", "checkpointable"}
    reading = ("envhub._descriptors", "import codecs\n", "import codecs\n\nANYTHING = 1\n")
    assert columns_changed(reading) == set()  # a constant that nothing uses
    served = (
        "envhub.testing.second_process",
        "for line in sys.stdin:",
        "for line in list(sys.stdin):",
    )
    assert columns_changed(served) == elsewhere
    judging = ("envhub.testing.reports", "if refusal and may_be_luck:", "if may_be_luck:")
    assert columns_changed(judging) == set(COLUMNS) - {"makes"}


def test_a_parameter_that_is_given_by_keyword_keeps_its_name() -> None:
    """Two that trade names and places are the same but for their callers."""
    given = "def f(a, b):\n    return a - b\n\n\ndef g():\n    return f(a=1, b=2)\n"
    traded = given.replace("def f(a, b):\n    return a - b", "def f(b, a):\n    return b - a")

    def texts(source: str) -> tuple[str, ...]:
        return closures.Sources(lambda name: True, {"m": source}.get).closure([("m", "g")]).texts

    assert texts(given) != texts(traded)
    assert texts(given.replace("a=1, b=2", "1, 2")) == texts(traded.replace("a=1, b=2", "1, 2"))


def test_names_of_inner_scopes_are_not_mistaken_for_others() -> None:
    source = "def a(): return 1\ndef f(x): return [a for a in x], a()\n"
    sources = closures.Sources(lambda name: True, {"m": source}.get)
    assert (
        len(sources.closure([("m", "f")]).texts) == 2
    )  # `a` outside the comprehension is followed


# Adapters


def names_changed(suite: str, *changes: Change) -> set[str]:
    names = list(registry.get(suite).known_names())
    now = fingerprints.of_adapter(registry.get(suite), names)
    then = fingerprints.of_adapter(registry.get(suite), names, with_change(*changes))
    return {name for name in names if now(name) != then(name)}


FACTS = "envhub.adapters.ale.facts"


def test_an_entry_of_a_table_counts_for_the_environment_that_it_is_about() -> None:
    assert names_changed("ale", (FACTS, "    amidar koolaid", "    asterix koolaid")) == {
        "amidar",
        "asterix",
    }
    assert names_changed("ale", (FACTS, "NOOP, FIRE = 0, 1", "NOOP, FIRE = 0, 2")) == set(
        registry.get("ale").known_names()
    )
    assert names_changed("ale", (FACTS, "# Those that one", "# All that one")) == set()


def test_a_file_of_data_beside_an_adapter_is_such_a_table(tmp_path: Path) -> None:
    adapter = (
        "import json\nfrom pathlib import Path\n\n\n"
        "def make():\n    return json.loads(Path(__file__).with_name('names.json').read_text())\n"
    )
    (tmp_path / "package_of_games").mkdir()
    (tmp_path / "package_of_games" / "__init__.py").write_text(adapter, encoding="utf-8")
    data = tmp_path / "package_of_games" / "names.json"

    def entries(text: str) -> closures.Closure:
        data.write_text(text, encoding="utf-8")
        with pytest.MonkeyPatch.context() as patched:
            patched.syspath_prepend(tmp_path)
            importlib.import_module("package_of_games")
            sources = closures.Sources(lambda name: name == "package_of_games")
            return sources.closure([("package_of_games", "make")], names=["pong", "tetris"])

    found = entries('{"kinds": {"a": ["pong"], "b": ["tetris"]}, "frames": 4}')
    moved = entries('{"kinds": {"a": ["pong", "tetris"], "b": []}, "frames": 4}')
    assert found.texts == moved.texts
    assert [name for name, text in set(found.entries) ^ set(moved.entries)] == ["tetris"] * 2
    assert entries('{"kinds": {"a": ["pong"], "b": ["tetris"]}, "frames": 5}').texts != found.texts


def test_what_is_told_of_a_suite_and_decides_no_cell_changes_nothing() -> None:
    gymnax = registry.get("gymnax")
    assert names_changed("gymnax", (type(gymnax).__module__, gymnax.title, "Games")) == set()
    family = "    def family(self, name: str) -> str:\n"
    changed = (type(gymnax).__module__, family, family + "        print(name)\n")
    assert names_changed("gymnax", changed) == set()


def test_facts_decide_the_columns_that_they_are_about() -> None:
    suite = registry.get("ale")
    options = {"noop_max": 0, "use_fire_reset": False, "engine": "python"}
    pong, tetris = (fingerprints.of_facts(suite, name, options) for name in ("pong", "tetris"))
    assert {column for column in COLUMNS if pong[column] != tetris[column]} == {
        "forkable",
        "checkpointable",
    }
    assert set(pong) == set(COLUMNS)
    vector = fingerprints.of_facts(suite, "pong", {"noop_max": 0})
    assert {"renderable", "has_env_params"} <= {
        name for name in FLAGS if pong[name] != vector[name]
    }


def test_the_rule_for_what_luck_would_decide_counts_where_it_is_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suite, exact = registry.get("envpool"), {"seeding": "exact"}

    def found(options: dict[str, str]) -> dict[str, str]:
        return fingerprints.of_facts(suite, "CartPole-v1", options)

    before = found({"seeding": "stream"}), found(exact)
    monkeypatch.setattr(fingerprints, "_of_what_is_not_decided", lambda: "another rule")
    after = found({"seeding": "stream"}), found(exact)
    assert {column for column in COLUMNS if before[0][column] != after[0][column]} == {
        "resets", "truncation", "final_obs", "control_flow", "own_bits"
    }  # fmt: skip
    assert before[1] == after[1]


@pytest.mark.parametrize("name", registry.BUILTIN)
@pytest.mark.slow
def test_every_adapter_has_a_fingerprint_that_its_own_code_decides(name: str) -> None:
    suite = registry.get(name)
    of = fingerprints.of_adapter(suite, list(suite.known_names()))
    assert re.fullmatch(r"[0-9a-f]{8}\.[0-9a-f]{8}", of(suite.example))
    module, method = type(suite).make.__module__, "make"  # rows of the table share theirs
    if not module.startswith("envhub.adapters."):  # the hub's, which calls this one
        module, method = type(suite).instances.__module__, "instances"  # type: ignore[attr-defined]
    text = closures.read(module)
    assert text
    head = re.search(rf"    def {method}\(.*?-> [^\n]*:\n", text, re.DOTALL)
    assert head
    changed = (module, head.group(), head.group() + "        print(options)\n")
    assert names_changed(name, changed) == set(suite.known_names())


GYMNASIUM = "envhub.adapters.gymnasium"


@pytest.mark.parametrize(
    ("module", "old", "new", "parts"),
    [
        (f"{GYMNASIUM}.mujoco", "state = np.empty(self._size)", "state = None", (True, True)),
        (f"{GYMNASIUM}.mujoco", "picture = super().render()", "picture = None", (False, True)),
        ("envhub.adapters.gymnax", "self.unwrapped.step_env", "self.unwrapped.step", (True, True)),
        ("envhub.adapters.brax", "if params.sys is not None:", "if params.sys:", (False, False)),
    ],
    ids=["what the hub calls", "what draws", "a step", "what refuses"],
)
def test_a_method_that_the_hub_calls_decides_what_it_is_about(
    module: str, old: str, new: str, parts: tuple[bool, bool]
) -> None:
    suite = registry.get(module.split(".")[2])
    names = list(suite.known_names())
    now = fingerprints.of_adapter(suite, names)(suite.example).split(".")
    text_of = with_change((module, old, new))
    then = fingerprints.of_adapter(suite, names, text_of)(suite.example).split(".")
    assert tuple(one != other for one, other in zip(now, then, strict=True)) == parts


@pytest.mark.slow
def test_the_check_imports_no_suite() -> None:
    code = (
        "import sys\n"
        "from envhub.matrix import results, staleness\n"
        "staleness.stale(results.load_whole())\n"
        "print({name.partition('.')[0] for name in sys.modules})\n"
    )
    done = fresh(code, cwd=REPOSITORY)
    seen = set(re.findall(r"\w+", done.stdout))
    suites = {registry.get(name).module for name in registry.BUILTIN}
    assert not seen & suites


def test_fingerprints_are_those_of_every_version_of_python() -> None:
    """Format specs have an empty constant from Python 3.12 on, and no other text has one."""
    source = 'def f(x, w):\n    return f"{x:{w}}|{x!r:>4}"\n'
    sources = closures.Sources(lambda name: True, {"m": source}.get)
    (text,) = sources.closure([("m", "f")]).texts
    assert "''" not in text
