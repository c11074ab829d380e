"""The results file against what is found here, and what the runner makes of crashes and hangs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import envhub
from envhub import registry
from envhub.flags import FLAGS
from envhub.matrix import results, staleness
from envhub.matrix.results import COLUMNS, Cell, Row
from envhub.testing import CHECKS, CHECKS_BY_COLUMN, FAIL, NOT_RUN

from . import cases, matrix
from .cases import Case
from .committed import here

CASE = Case("gymnax", "CartPole-v1")


def test_the_columns_are_those_that_are_checked() -> None:
    assert list(COLUMNS) == ["makes", *CHECKS_BY_COLUMN]


def test_the_rows_are_every_variant_of_every_name() -> None:
    labels = [str(case) for case in cases.every_case()]
    assert len(labels) == len(set(labels))
    for name in registry.BUILTIN:
        suite = registry.get(name)
        for each in suite.known_names():
            for options in suite.variants(each):
                given = {**cases.BINDINGS[name].comparable, **options}
                assert str(Case(name, each, tuple(given.items()))) in labels


def test_a_verdict_of_every_check_becomes_a_cell_of_every_column() -> None:
    verdicts = [["makes", "pass", ""], *([check, "pass", ""] for check in CHECKS)]
    report = {"verdicts": verdicts, "compile_seconds": 2.5, "steps_per_second": 20_000.0}
    row = matrix.row_of(str(CASE), "a-set", matrix.current_run("gymnax"), report)
    assert set(row.cells) == set(COLUMNS)
    assert {cell.value for cell in row.cells.values()} == {"pass"}
    assert (row.compile_class, row.speed_class) == ("<10 s", ">10k/s")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("os.kill(os.getpid(), 11)", "the process ended: signal SIGSEGV"),
        ("os._exit(3)", "the process ended: exit code 3"),
        ("time.sleep(1000)", "no answer within 2 s"),
    ],
)
def test_a_crash_or_a_hang_is_a_cell(
    how: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a process that gives one verdict first; the next case gets a new process."""
    script = tmp_path / "prober.py"
    script.write_text(
        "import json, os, sys, time\n"
        "line = sys.stdin.readline()\n"
        "print(json.dumps({'verdict': ['makes', 'pass', ''], 'cpu_seconds': 0}), flush=True)\n"
        f"if 'CartPole' in line:\n    {how}\n"
        "print(json.dumps({'report': {'verdicts': []}}), flush=True)\n"
        "sys.stdin.read()\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(matrix, "PROBER", [str(script)])
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        prober = matrix.Prober(log, limit=2 if "sleep" in how else 60)
        report = prober.examine(CASE)
        assert prober.examine(Case("gymnax", "Acrobot-v1"))["verdicts"] == []
        prober.close()
    row = matrix.row_of(str(CASE), "a-set", matrix.current_run("gymnax"), report)
    assert row.cell("makes").value == "pass"
    assert row.cell("resets").value == FAIL
    assert reason in row.cell("resets").reason
    assert row.cell("renderable").value == NOT_RUN
    assert row.state == FAIL


def test_an_interrupted_run_goes_on_from_its_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix, "JOURNALS", tmp_path)
    journal = matrix.Journal("a-set")
    journal.add(CASE, {"verdicts": [["makes", FAIL, "for a reason"]]})
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"case": "gymnax::Acro')  # the machine went down
    assert list(journal.read()) == [str(CASE)]
    changed = dataclasses.replace(matrix.current_run("gymnax"), adapter="another")
    with monkeypatch.context() as patched:
        patched.setattr(matrix, "current_run", lambda suite: changed)
        assert journal.read() == {}
    monkeypatch.setattr(staleness, "fingerprint_of_checks", lambda: "others")
    assert journal.read() == {}


def test_rows_of_one_set_are_not_found_on_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(staleness, "CONSTRAINTS", tmp_path)
    (tmp_path / "a-set.txt").write_text("jax==0.3.2\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"a-set has 0\.3\.2"):
        matrix.main(["--set", "a-set", "-k", "nothing"])


def test_a_run_joins_the_results_and_writes_the_documents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With probers that answer at once; the rows of other names say that they were not run."""
    place = tmp_path / "results.json"
    monkeypatch.setattr(matrix, "JOURNALS", tmp_path / "journals")
    monkeypatch.setattr(results, "PLACE", place)
    monkeypatch.setattr(results.load, "__defaults__", (place,))
    monkeypatch.setattr(matrix.conftest, "REPOSITORY", tmp_path)
    monkeypatch.setattr(matrix, "refuse_another_set", lambda name: None)
    found = [[check, "yes" if check in FLAGS else "pass", ""] for check in CHECKS]
    report = {"verdicts": [["makes", "pass", ""], *found]}
    monkeypatch.setattr(matrix.Prober, "examine", lambda self, case: report)
    command = ["--set", "newest-py3.11", "--suite", "gymnax", "-k", "CartPole"]
    assert matrix.main(command) == 0
    states = {row.label: row.state for row in results.load().rows}
    assert states.pop(str(CASE)) == "pass"
    assert set(states.values()) == {NOT_RUN}
    assert "| `gymnax::CartPole-v1` | ✓ |" in (tmp_path / "compat_matrix.md").read_text(
        encoding="utf-8"
    )
    assert (tmp_path / "docs" / "matrix.html").exists()

    def crash(self: matrix.Prober, case: Case) -> None:
        raise KeyboardInterrupt  # what is up to date is not run again, so this is not

    monkeypatch.setattr(matrix.Prober, "examine", crash)
    assert matrix.main(command) == 0


def test_a_cell_that_changed_is_said_with_its_reason() -> None:
    run = matrix.current_run("gymnax")
    good, bad = Cell("pass"), Cell(FAIL, "TypeError: a new argument")
    before = Row(str(CASE), "a-set", run, {"makes": good, "steps": good})
    after = dataclasses.replace(before, cells={"makes": good, "steps": bad})
    known = results.Results({"a-set": "0"}, (before,))
    expected = f"{CASE}, steps: pass before, fail now: TypeError: a new argument"
    assert list(matrix.changes(known, [after])) == [expected]
    assert list(matrix.changes(known, [before])) == []
    assert list(matrix.changes(results.Results({}, ()), [after])) == []


def test_what_is_up_to_date_is_not_run_again() -> None:
    run = matrix.current_run("gymnax")
    current = Row(str(CASE), "a-set", run, {"makes": Cell("pass")})
    other = Case("gymnax", "Acrobot-v1")
    known = results.Results({"a-set": "0"}, (current, Row(str(other), "a-set")))
    assert matrix.still_to_do([CASE, other], known, "a-set") == [other]
    assert matrix.still_to_do([CASE, other], known, "another-set") == [CASE, other]


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_capabilities_are_those_of_the_matrix(name: str) -> None:
    """For what is installed here; where a flag failed there, it is not the same."""
    compared = 0
    for case in cases.every_case():
        row = here(case) if case.suite == name else None
        if row is None or row.state != "pass":
            continue
        claimed = envhub.capabilities(case.id, **dict(case.options)).as_dict()
        found = {flag: row.cell(flag).value for flag in FLAGS}
        expected = {flag: "yes" if claimed[flag] else "no" for flag in FLAGS}
        ran = [flag for flag in FLAGS if found[flag] != NOT_RUN]
        assert {flag: found[flag] for flag in ran} == {flag: expected[flag] for flag in ran}, case
        compared += 1
    if not compared:
        pytest.skip(reason=f"the matrix has no rows of {name} in the versions that are here")


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_list_forkable_is_what_the_matrix_found_forkable(name: str) -> None:
    """Where one of several variants is forkable, the name is listed, and takes `forkable=True`."""
    of_suite = [case for case in cases.every_case() if case.suite == name]
    found = {case: row for case in of_suite if (row := here(case))}
    if not found:
        pytest.skip(reason=f"the matrix has no rows of {name} in the versions that are here")
    forkable = {case.id for case, row in found.items() if row.cell("forkable").value == "yes"}
    runs = {case.id for case, row in found.items() if row.cell("makes").value == "pass"}
    ran = runs & set(envhub.list_envs(name))
    assert forkable & ran == set(envhub.list_envs(name, forkable=True)) & ran
