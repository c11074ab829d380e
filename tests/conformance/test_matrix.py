"""The results file against what is found here, and what the runner makes of crashes and hangs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import envhub
import tasks
from envhub import registry
from envhub.flags import FLAGS
from envhub.matrix import fingerprints, results, staleness
from envhub.matrix.results import AS_SAMPLED, COLUMNS, GAPS, Cell, Row
from envhub.testing import CHECKS, CHECKS_BY_COLUMN, FAIL, NOT_RUN

from . import cases, depth, journal, matrix, workers
from .cases import Case
from .committed import here
from .depth import Depth
from .workers import Task

CASE, WHOLE = Case("gymnax", "CartPole-v1"), Depth(COLUMNS)


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


def entry_of(case: Case, columns: tuple[str, ...] = COLUMNS, **report: Any) -> dict[str, Any]:
    """An entry of the journal, of what is here."""
    present, row = matrix.present_of(results.Results({}, ())), Row(str(case), "a-set")
    return {
        "case": str(case),
        "columns": columns,
        "run": vars(matrix.current_run(case.suite)),
        "adapter": present.adapter(row.suite, row.env_name),
        "facts": present.facts(row),
        **report,
    }


def good(*but: list[str]) -> list[list[str]]:
    """Verdicts of every check, which are good but for some."""
    found = {check: [check, "yes" if check in FLAGS else "pass", ""] for check in CHECKS}
    return [["makes", "pass", ""], *{**found, **{each[0]: each for each in but}}.values()]


def row_of(entry: dict[str, Any], old: Row | None = None, depth: Depth = WHOLE) -> Row:
    return journal.row_of(entry, "a-set", depth, old)


def test_a_verdict_of_every_check_becomes_a_cell_of_every_column() -> None:
    measured = {"compile_seconds": 2.5, "steps_per_second": 20_000.0}
    row = row_of(entry_of(CASE, verdicts=good(), **measured))
    assert set(row.cells) == set(COLUMNS)
    assert {row.cell(name).value for name in COLUMNS} == {"pass", "yes"}
    assert (row.compile_class, row.speed_class) == ("<10 s", ">10k/s")


def test_one_column_that_is_run_again_leaves_the_others_as_they_are() -> None:
    old = row_of(entry_of(CASE, verdicts=good(), steps_per_second=10.0))
    assert old.run
    then = dataclasses.replace(old.run, date="2026-01-31")
    old = dataclasses.replace(old, run=then)
    verdicts = [["makes", "pass", ""], ["forkable", FAIL, "a false claim"]]
    row = row_of(entry_of(CASE, ("forkable",), verdicts=verdicts), old)
    assert (row.run, row.speed_class, row.facts) == (then, "<1k/s", old.facts)
    assert [name for name in COLUMNS if row.cell(name).run] == ["makes", "forkable"]
    assert row.cell("forkable") == Cell(FAIL, "a false claim")
    assert row.cell("renderable") == Cell("yes")


def test_what_cannot_be_made_any_more_has_no_other_result() -> None:
    old = row_of(entry_of(CASE, verdicts=good()))
    broken = entry_of(CASE, ("forkable",), verdicts=[["makes", FAIL, "ImportError"]])
    values = {name: row_of(broken, old).cell(name).value for name in COLUMNS}
    assert values.pop("makes") == FAIL
    assert set(values.values()) == {NOT_RUN}


@pytest.mark.parametrize("kind", GAPS)
def test_a_gap_is_in_every_column(kind: str) -> None:
    row = row_of(entry_of(CASE, verdicts=[["makes", kind, "a reason"]]))
    assert {row.cell(name) for name in COLUMNS} == {Cell(kind, "a reason")}
    assert row.state == kind


def test_a_member_of_a_family_is_there_as_sampled_where_it_was_not_examined() -> None:
    columns = ("makes", "ends", "forkable")
    row = row_of(entry_of(CASE, columns, verdicts=good()), None, Depth(columns, 10, "as another"))
    assert {name for name in COLUMNS if row.cell(name).value == AS_SAMPLED} == (
        set(COLUMNS) - set(columns)
    )
    assert (row.cell("steps").reason, row.state) == ("as another", AS_SAMPLED)


# How deeply


def test_every_name_is_examined_on_one_set_and_a_sample_on_the_others() -> None:
    for case in cases.every_case():
        here = depth.depth_of(case, depth.set_of_every_name(case.suite))
        assert here.columns, case
        there = depth.depth_of(case, "newest-py3.12").columns
        stands = any(case in each for each in depth.samples(case.suite).values())
        assert there == (COLUMNS if stands else ()), case
        if not here.sample or here.columns == COLUMNS:
            continue
        assert set(depth.OF_A_MEMBER) <= set(here.columns)
        assert here.longest == 1_000
    sampled = depth.depth_of(Case("gymnax", "Acrobot-v1"), "newest-py3.12").sample
    assert sampled.startswith("as gymnax::CartPole-v1, ")


def test_a_member_of_a_family_is_examined_for_what_it_claims_of_its_own() -> None:
    own = tuple({**cases.BINDINGS["ale"].comparable, "engine": "python"}.items())
    tetris = depth.depth_of(Case("ale", "tetris", own), depth.EVERY_NAME)
    assert tetris.columns == (*depth.OF_A_MEMBER, "forkable", "checkpointable")
    assert tetris.sample.startswith("as ale::pong,")
    assert tetris.sample.endswith("engine=python")
    assert depth.depth_of(Case("ale", "pong", own), depth.EVERY_NAME) == WHOLE
    assert set(depth.samples("ale")) == {"", "Atari"}


def test_a_suite_that_the_one_set_lacks_is_examined_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(staleness, "CONSTRAINTS", tmp_path)
    for name in tasks.set_names():
        pinned = "brax==1\n" if name == "newest-py3.13" else "jax==1\n"
        (tmp_path / f"{name}.txt").write_text(pinned, encoding="utf-8")
    place = depth.set_of_every_name.__wrapped__
    assert (place("brax"), place("jumanji")) == ("newest-py3.13", depth.EVERY_NAME)


# Processes


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
        "print(json.dumps({'start': 1}), flush=True)\n"
        "line = sys.stdin.readline()\n"
        "print(json.dumps({'verdict': ['makes', 'pass', ''], 'cpu_seconds': 0}), flush=True)\n"
        f"if 'CartPole' in line:\n    {how}\n"
        "print(json.dumps({'report': {'verdicts': []}}), flush=True)\n"
        "sys.stdin.read()\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(workers, "PROBER", [str(script)])
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        prober = workers.Prober(log, limit=2 if "sleep" in how else 60)
        report = prober.examine(Task(CASE, COLUMNS))
        assert prober.examine(Task(Case("gymnax", "Acrobot-v1"), COLUMNS))["verdicts"] == []
        prober.close()
    row = row_of(entry_of(CASE, **report))
    assert journal.seconds_by_column(entry_of(CASE, **report)) == {"start": 1, "makes": 0}
    assert row.cell("makes").value == "pass"
    assert row.cell("resets").value == FAIL
    assert reason in row.cell("resets").reason
    assert row.cell("renderable").value == NOT_RUN
    assert row.state == FAIL


@pytest.mark.parametrize(("crashes", "value"), [(1, "pass"), (2, FAIL)])
def test_a_row_that_crashes_once_was_hit_by_another(
    crashes: int, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "prober.py"
    script.write_text(
        "import json, os, pathlib, sys\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "sys.stdin.readline()\n"
        "tried = len(count.read_text(encoding='utf-8')) if count.exists() else 0\n"
        "count.write_text('x' * (tried + 1), encoding='utf-8')\n"
        f"if tried < {crashes}:\n    os.kill(os.getpid(), 11)\n"
        f"print(json.dumps({{'report': {{'verdicts': {good()!r}}}}}), flush=True)\n"
        "sys.stdin.read()\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(workers, "PROBER", [str(script)])
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        ((_, report),) = workers.examine_all([Task(CASE, COLUMNS)], 60, log)
    assert row_of(entry_of(CASE, **report)).cell("makes").value == value


def test_a_worker_stays_with_its_suite_and_takes_the_longest_then() -> None:
    def tasks_of(suite: str, seconds: float) -> list[Task]:
        return [Task(Case(suite, name), COLUMNS, seconds=seconds) for name in ("A", "B")]

    waiting = workers.Waiting([*tasks_of("gymnax", 1.0), *tasks_of("brax", 5.0)])
    taken = []
    while task := waiting.take(taken[-1].case.suite if taken else ""):
        taken.append(task)
    assert [str(task.case) for task in taken] == ["brax::A", "brax::B", "gymnax::A", "gymnax::B"]


def test_an_interrupted_run_goes_on_from_its_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = journal.Journal(tmp_path / "a-set.jsonl")
    present, run = matrix.present_of(results.Results({}, ())), matrix.current_run("gymnax")
    report = {"verdicts": [["makes", FAIL, "for a reason"]]}
    written.add(Task(CASE, ("makes", "forkable")), report, run, present)
    with written.path.open("a", encoding="utf-8") as file:
        file.write('{"case": "gymnax::Acro')  # the machine went down
    assert list(written.read(present, {"gymnax": run})) == [str(CASE)]
    for field, known in {
        "versions": {**run.versions, "jax": "0.3"},
        "checks": {**run.checks, "forkable": "another"},
    }.items():
        now = dataclasses.replace(run, **{field: known})
        assert written.read(present, {"gymnax": now}) == {}
    others = dataclasses.replace(run, checks={**run.checks, "ends": "another"}, date="2027-01-01")
    assert list(written.read(present, {"gymnax": others})) == [str(CASE)]
    monkeypatch.setattr(staleness.Present, "adapter", lambda self, suite, name: "another")
    assert written.read(present, {"gymnax": run}) == {}


def test_all_of_a_journal_is_what_a_run_took(tmp_path: Path) -> None:
    """With what was examined again after an interruption; a run of one suite is that suite's."""
    written = journal.Journal(tmp_path / "a-set.jsonl")
    cpu = {"cpu_seconds": {"makes": 2.0}, "seconds": 3.0}
    other = Case("brax", "ant", (("backend", "mjx"),))
    for line in ({"began": "1"}, entry_of(CASE, **cpu), {"began": "2"}, entry_of(CASE, **cpu)):
        written.write(line)
    of_one = matrix.with_run({}, written, [entry_of(CASE, **cpu)])
    alone = of_one["alone"]["gymnax"]
    assert (alone["rows"], alone["cells"], alone["runs"]) == (1, len(COLUMNS), 2)
    assert (alone["seconds"], alone["cpu"]) == (6, {"gymnax": 4.0})
    written.write(entry_of(other, **cpu))
    of_two = matrix.with_run(of_one, written, [entry_of(each, **cpu) for each in (CASE, other)])
    assert of_two["alone"] == of_one["alone"]
    assert (of_two["rows"], of_two["cpu"]) == (2, {"gymnax": 4.0, "brax": 2.0})
    # A part says little of what the whole takes.
    fewer = [entry_of(CASE, ("makes",)), entry_of(other, ("makes",))]
    assert matrix.with_run(of_two, written, fewer) == of_two


def test_rows_of_one_set_are_not_found_on_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(staleness, "CONSTRAINTS", tmp_path)
    (tmp_path / "a-set.txt").write_text("jax==0.3.2\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"a-set has 0\.3\.2"):
        matrix.main(["--set", "a-set", "-k", "nothing"])


@pytest.mark.slow
def test_a_run_joins_the_results_and_writes_the_documents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With probers that answer at once; the rows of other names say that they were not run."""
    whole = tmp_path / "matrix" / "results.json"
    whole.parent.mkdir()
    monkeypatch.setattr(matrix, "JOURNALS", tmp_path / "journals")
    monkeypatch.setattr(results, "WHOLE", whole)
    monkeypatch.setattr(results.load_whole, "__defaults__", (whole,))
    monkeypatch.setattr(matrix.conftest, "REPOSITORY", tmp_path)
    monkeypatch.setattr(matrix, "refuse_another_set", lambda name: None)
    seconds = {"start": 2.0, "makes": 0.5, "forkable": 1.5}
    report = {"verdicts": good(), "cpu_seconds": seconds}
    asked: list[Task] = []
    monkeypatch.setattr(workers.Prober, "examine", lambda self, task: asked.append(task) or report)
    command = ["--set", depth.EVERY_NAME, "--suite", "gymnax", "-k", "CartPole"]
    assert matrix.main(command) == 0
    assert [task.columns for task in asked] == [COLUMNS]
    known = results.load_whole()
    states = {row.label: row.state for row in known.rows}
    assert states.pop(str(CASE)) == "pass"
    assert set(states.values()) == {NOT_RUN}
    assert known.costs == {depth.EVERY_NAME: {"gymnax": seconds}}
    alone = known.timed[depth.EVERY_NAME]["alone"]["gymnax"]
    assert (alone["cpu"], alone["rows"], alone["runs"]) == ({"gymnax": 4.0}, 1, 1)
    assert "- `✓` in all columns: `gymnax::CartPole-v1`" in (
        tmp_path / "compat_matrix.md"
    ).read_text(encoding="utf-8")
    assert (tmp_path / "docs" / "matrix.html").exists()
    assert results.load(tmp_path / "envhub" / "matrix" / "results.json").sets == known.sets

    # What is up to date is not run again, and what a change of one check is about is, alone.
    assert matrix.main(command) == 0
    assert len(asked) == 1
    checks = {**fingerprints.of_checks_here(), "forkable": "another"}
    monkeypatch.setattr(fingerprints, "of_checks_here", lambda: checks)
    matrix.current_run.cache_clear()
    report["verdicts"] = [["makes", "pass", ""], ["forkable", "no", "so"]]
    capsys.readouterr()
    assert matrix.main(command) == 0
    assert [(task.columns, task.checks) for task in asked[1:]] == [(("forkable",), ("forkable",))]
    said = capsys.readouterr().out
    assert "gymnax: 1 cells of 1 rows, about 2 s of CPU" in said  # it is made, too
    assert "gymnax: forkable yes → no (CartPole-v1)\n1 kinds of changes" in said
    (row,) = [row for row in results.load_whole().rows if row.run]
    assert (row.cell("forkable").value, row.cell("steps").value, row.old) == ("no", "pass", [])
    matrix.current_run.cache_clear()


def test_a_name_that_a_set_does_not_examine_is_there_as_sampled() -> None:
    row = row_of(entry_of(CASE, verdicts=good()))
    row = dataclasses.replace(row, set_name="newest-py3.12")
    old = Row("gymnax::Acrobot-v1", "newest-py3.12", row.run, {"makes": Cell("pass")})
    known = results.Results({}, (old,))
    found = {each.label: each for each in matrix.joined(known, [row], "newest-py3.12").rows}
    assert found[old.label].state == AS_SAMPLED
    assert found[old.label].run is None
    # Of a suite of which nothing was examined now, what was found stays, and says that it is old.
    kept = matrix.joined(known, [], "newest-py3.12").rows
    (still,) = [each for each in kept if each.label == old.label]
    assert (still.run, still.cell("makes")) == (old.run, Cell("pass"))
    assert still.old == ["makes"]


def test_cells_that_changed_are_said_as_in_the_changelog() -> None:
    before, now = [], []
    for name in ("A", "B", "C"):
        row = row_of(entry_of(CASE, verdicts=good()))
        before.append(dataclasses.replace(row, label=f"gymnax::{name}"))
        worse = {**row.cells, "forkable": Cell("no", "so"), "ends": Cell(AS_SAMPLED)}
        now.append(dataclasses.replace(before[-1], cells=worse))
    known = results.Results({"a-set": "0"}, tuple(before))
    assert list(matrix.changes(known, now)) == ["gymnax: forkable yes → no (3 environments)"]
    assert list(matrix.changes(known, now[:1])) == ["gymnax: forkable yes → no (A)"]
    assert list(matrix.changes(known, before)) == []
    assert list(matrix.changes(results.Results({}, ()), now)) == []


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_capabilities_are_those_of_the_matrix(name: str) -> None:
    """For what is installed here; where a flag failed there, it is not the same."""
    compared = 0
    for case in cases.every_case():
        row = here(case) if case.suite == name else None
        if row is None or row.state not in ("pass", AS_SAMPLED):
            continue
        claimed = envhub.capabilities(case.id, **dict(case.options)).as_dict()
        found = {flag: row.cell(flag).value for flag in FLAGS}
        expected = {flag: "yes" if claimed[flag] else "no" for flag in FLAGS}
        unknown = (NOT_RUN, AS_SAMPLED)
        ran = [flag for flag in FLAGS if found[flag] not in unknown and flag not in row.old]
        assert {flag: found[flag] for flag in ran} == {flag: expected[flag] for flag in ran}, case
        compared += bool(ran)
    if not compared:
        pytest.skip(reason=f"the matrix has no present rows of {name} in these versions")


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_list_forkable_is_what_the_matrix_found_forkable(name: str) -> None:
    """Where one of several variants is forkable, the name is listed, and takes `forkable=True`."""
    of_suite = [case for case in cases.every_case() if case.suite == name]
    rows = {case: row for case in of_suite if (row := here(case))}
    decisive = {"forkable", "makes"}
    found = {
        case: row
        for case, row in rows.items()
        if not decisive & set(row.old) and row.cell("forkable").value != AS_SAMPLED
    }
    if not found:
        pytest.skip(reason=f"the matrix has no present rows of {name} in these versions")
    forkable = {case.id for case, row in found.items() if row.cell("forkable").value == "yes"}
    runs = {case.id for case, row in found.items() if row.cell("makes").value == "pass"}
    # What only `forkable=True` makes forkable is found out by a row with that option.
    listed = {case.id for case in found if _is_claimed(case)}
    ran = runs & set(envhub.list_envs(name))
    assert forkable & ran == listed & ran
    assert listed & ran <= set(envhub.list_envs(name, forkable=True))


def _is_claimed(case: Case) -> bool:
    return envhub.capabilities(case.id, **dict(case.options)).forkable
