"""The results file, and what is said and drawn of it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from envhub.cli import app
from envhub.flags import FLAGS
from envhub.matrix import (
    badges,
    documents,
    files,
    markdown,
    merged,
    results,
    staleness,
    summary,
)
from envhub.matrix.results import COLUMNS, Results

from ..conftest import REPOSITORY
from .example import EXCEPTION, NEW, OLD, OTHER, RESULTS, ROWS, SAMPLED


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(files.whole(RESULTS), encoding="utf-8")
    return path


def test_what_is_written_is_read_again(file: Path) -> None:
    again = results.load(file)
    assert (again.sets, again.costs, again.timed) == (RESULTS.sets, RESULTS.costs, RESULTS.timed)
    assert {(row.label, row.set_name): row for row in again.rows} == {
        (row.label, row.set_name): row for row in ROWS
    }
    assert files.whole(again) == file.read_text(encoding="utf-8")


def test_a_row_is_a_line_and_the_order_does_not_matter(file: Path) -> None:
    lines = [
        line
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith('{"label"')
    ]
    keys = [(row["label"], row["set"]) for row in map(json.loads, (x.rstrip(",") for x in lines))]
    assert len(keys) == len(ROWS)
    assert keys == sorted(keys)
    shuffled = dataclasses.replace(RESULTS, rows=tuple(reversed(ROWS)))
    assert files.whole(shuffled) == file.read_text(encoding="utf-8")


def test_a_changed_cell_changes_one_line_of_the_rows() -> None:
    changed = dataclasses.replace(ROWS[0], cells={**ROWS[0].cells, "steps": results.Cell("fail")})
    new = files.whole(RESULTS.replaced([changed], RESULTS.sets)).splitlines()
    old = files.whole(RESULTS).splitlines()
    assert len([1 for a, b in zip(old, new, strict=True) if a != b]) == 1


def test_a_reason_is_written_once(file: Path) -> None:
    assert file.read_text(encoding="utf-8").count("has no mjx model") == 1


def test_what_the_package_has_says_the_same_without_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text(files.small(RESULTS), encoding="utf-8")
    again = results.load(path)
    assert files.small(again) == files.small(RESULTS)
    for row in again.rows:
        before = next(
            each for each in ROWS if (each.label, each.set_name) == (row.label, row.set_name)
        )
        assert {name: row.cell(name) for name in COLUMNS} == {
            name: before.cell(name) for name in COLUMNS
        }
        assert (row.run and row.run.versions) == (before.run and before.run.versions)
        assert (row.adapter, row.facts) == ("", {})
        assert row.run is None or row.run.checks == {}


def test_names_with_one_beginning_are_read_again() -> None:
    names = ["", "0", "00", "Ant", "Ant-v10", "Ant-v1", "Ant-v1,on=1", "Bat", "x" * 200, "x" * 199]
    rows = [dataclasses.replace(ROWS[0], label=f"gymnax::{name}") for name in names]
    again = files.parse(files.small(Results(RESULTS.sets, tuple(rows)))).rows
    assert sorted(row.label for row in again) == sorted(row.label for row in rows)


def test_a_cell_of_a_later_run_keeps_its_circumstances(file: Path) -> None:
    assert ROWS[0].run
    later = dataclasses.replace(ROWS[0].run, date="2026-02-01")
    cells = {**ROWS[0].cells, "ends": results.Cell("pass", run=later, is_old=True)}
    changed = dataclasses.replace(ROWS[0], cells=cells)
    file.write_text(files.whole(RESULTS.replaced([changed], RESULTS.sets)), encoding="utf-8")
    (row,) = [row for row in results.load(file).rows
              if (row.label, row.set_name) == (changed.label, changed.set_name)]  # fmt: skip
    assert (row.run, row.cell("ends").run, row.cell("steps").run) == (ROWS[0].run, later, None)
    assert row.old == ["ends"]


def test_another_schema_or_a_damaged_file_is_refused(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for bad in (text.replace('"schema": 3', '"schema": 4'), text[:100], "[]"):
        file.write_text(bad, encoding="utf-8")
        with pytest.raises(results.UnreadableResultsError, match=r"python3 tasks\.py matrix"):
            results.load(file)


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert results.load(tmp_path / "results.json") == Results({}, ())


def test_the_state_of_a_row() -> None:
    states = ["pass", "fail", "not run", "fail", "upstream", "not run"]
    assert [row.state for row in ROWS] == states


def test_every_value_has_a_letter_of_its_own() -> None:
    assert len(set(results.LETTERS.values())) == len(results.LETTERS)
    from envhub import testing

    assert set(results.LETTERS) == {*testing.VALUES, results.AS_SAMPLED}


@pytest.mark.parametrize(
    ("seconds", "name"), [(None, ""), (0.5, "<1 s"), (1, "<10 s"), (99, "<100 s"), (1e9, ">100 s")]
)
def test_classes(seconds: float | None, name: str) -> None:
    assert results.classify(seconds, results.COMPILE_CLASSES) == name


# What is out of date


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    versions = ROWS[0].run.versions if ROWS[0].run else {}
    for name in RESULTS.sets:
        (tmp_path / f"{name}.txt").write_text(f"gymnax=={versions['gymnax']}\n", encoding="utf-8")
    return tmp_path


def test_what_was_found_just_now_is_not_stale(constraints: Path) -> None:
    assert staleness.stale(RESULTS, constraints) == []


def changed(row: results.Row, field: str) -> results.Row:
    """A row of which something else decided a cell."""
    assert row.run
    if field == "adapter":
        return dataclasses.replace(row, adapter="another.one")
    if field == "drawing":
        return dataclasses.replace(row, adapter=f"{row.adapter.partition('.')[0]}.another")
    if field == "facts":
        return dataclasses.replace(row, facts={**row.facts, "forkable": "another"})
    checks = {**row.run.checks, "forkable": "another"}
    return dataclasses.replace(row, run=dataclasses.replace(row.run, checks=checks))


@pytest.mark.parametrize(
    ("field", "reason", "cells"),
    [
        ("adapter", "the adapter changed", dict.fromkeys(COLUMNS, 1)),
        ("drawing", "how the adapter draws changed", {"renderable": 1}),
        ("checks", "the check changed", {"forkable": 1}),
        ("facts", "what the adapter says of it changed", {"forkable": 1}),
    ],
)
def test_what_has_changed_since_is_stale(
    field: str, reason: str, cells: dict[str, int], constraints: Path
) -> None:
    rows = [changed(row, field) if row.run else row for row in ROWS[:3]]
    found = staleness.stale(Results(RESULTS.sets, tuple(rows)), constraints)
    assert [(each.set_name, each.suite, each.reason, each.cells) for each in found] == [
        (NEW, "gymnax", reason, cells),
        (OTHER, "gymnax", reason, cells),
    ]
    assert found[0].command == f"python3 tasks.py matrix --set {NEW} --suite gymnax"
    assert ("all columns 1" if field == "adapter" else f"{next(iter(cells))} 1") in str(found[0])


def test_a_gap_is_decided_by_the_adapter_and_by_no_check(constraints: Path) -> None:
    (brax,) = [row for row in ROWS if row.suite == "brax"]
    assert staleness.stale(Results(RESULTS.sets, (changed(brax, "checks"),)), constraints) == []


def test_what_is_there_as_sampled_is_not_stale(constraints: Path) -> None:
    assert staleness.stale(Results(RESULTS.sets, (*ROWS, SAMPLED)), constraints) == []


def test_names_that_the_results_lack_are_said() -> None:
    (found,) = [each for each in staleness.unlisted(RESULTS) if each[:2] == (NEW, "gymnax")]
    assert "Pendulum-v1" in found[2]
    assert "CartPole-v1" not in found[2]


def test_a_set_with_another_version_makes_its_rows_stale(constraints: Path) -> None:
    (constraints / f"{OTHER}.txt").write_text("gymnax==7.0\njax==0.99\n", encoding="utf-8")
    found = {each.reason for each in staleness.stale(RESULTS, constraints)}
    assert any("gymnax 7.0 now" in reason for reason in found)
    assert any("jax 0.99 now" in reason for reason in found)
    assert {each.set_name for each in staleness.stale(RESULTS, constraints)} == {OTHER}


def test_a_suite_that_is_gone_is_stale(constraints: Path) -> None:
    assert ROWS[0].run
    gone = Results(RESULTS.sets, (dataclasses.replace(ROWS[0], label="bogus::CartPole-v1"),))
    assert "no such suite" in staleness.stale(gone, constraints)[0].reason


# Summaries, tables and badges


def test_what_is_there_as_sampled_is_not_counted_as_a_pass() -> None:
    known = Results(RESULTS.sets, (*ROWS, SAMPLED))
    line = next(line for line in summary.by_set(known) if line[0] == "gymnax")
    assert line[2].endswith("0 pass, 1 fail, 1 as sampled")
    (one,) = [each for each in merged.environments(known) if each.name == "Catch-bsuite"]
    assert (one.state, one.is_run, one.has("forkable")) == ("as sampled", False, False)
    cells = cells_of(markdown.document(known), "gymnax::Catch-bsuite")
    assert set(cells.values()) == {"≈"}
    ran = dataclasses.replace(SAMPLED, set_name=NEW, run=ROWS[0].run, cells=ROWS[0].cells)
    (both,) = merged.environments(Results(RESULTS.sets, (SAMPLED, ran)))
    assert both.values["forkable"] == "yes"  # where it ran


def test_what_is_out_of_date_says_so() -> None:
    old = dataclasses.replace(
        ROWS[0], cells={**ROWS[0].cells, "forkable": results.Cell("yes", is_old=True)}
    )
    known = RESULTS.replaced([old], RESULTS.sets)
    assert "1 pass, 1 fail, 1 out of date" in summary.by_set(known)[1][1]
    cells = cells_of(markdown.document(known), "gymnax::CartPole-v1")
    assert cells["forkable"] == "✓°"
    assert "°" not in cells["vmap safe"]
    assert "1 of 3 out of date" in badges.badge(known, "gymnax")


def test_what_the_last_run_took_is_said() -> None:
    said = (
        "newest-py3.11: 3 rows and 60 cells on 2026-01-31, in 2 min (120 s), with 200 s of CPU. "
        "It covers every cell of its suites (gymnax 200 s)"
    )
    assert said in markdown.document(RESULTS)


def test_the_summary_by_set() -> None:
    table = {line[0]: line[1:] for line in summary.by_set(RESULTS)}
    assert ROWS[0].run
    version = ROWS[0].run.versions["gymnax"]
    assert table["gymnax"] == [
        f"{version}: 1 pass, 1 fail",
        f"{version}: 0 pass, 1 fail",
        "not run",
    ]
    assert table["brax"][0].endswith(": 0 pass, 1 upstream")
    assert table["navix"] == ["not run"] * 3


def test_the_summary_by_flag() -> None:
    table = {line[0]: dict(zip(FLAGS, line[1:], strict=True)) for line in summary.by_flag(RESULTS)}
    assert table["gymnax"]["forkable"] == "1 of 2"
    assert table["brax"]["forkable"] == "0 of 1"
    assert table["navix"]["forkable"] == "not run"


def cells_of(text: str, label: str) -> dict[str, str]:
    lines = text.splitlines()
    for mark, names in re.findall(r"^- `(.)` in all columns: (.*)$", text, re.MULTILINE):
        if f"`{label}`" in names:
            return {flag.replace("_", " "): mark for flag in FLAGS}
    index = next(n for n, line in enumerate(lines) if line.startswith(f"| `{label}`"))
    head = next(line for line in reversed(lines[:index]) if line.startswith("| environment"))
    names, values = (line.strip("| ").split(" | ") for line in (head, lines[index]))
    return dict(zip(names, values, strict=True))


def test_the_markdown_says_what_differs_and_why() -> None:
    text = markdown.document(RESULTS)
    cart = cells_of(text, "gymnax::CartPole-v1")
    assert (cart["forkable"], cart["differentiable"].split()[0]) == ("✓", "FAIL")
    assert f"fail on {OTHER}: TypeError: clip() got &lt;an> unexpected keyword \\| 'a_min'" in text
    swimmer = cells_of(text, "brax::swimmer")
    assert {swimmer[flag.replace("_", " ")] for flag in FLAGS} == {"-"}
    assert f"- upstream, `brax::swimmer` ({NEW}): brax 0.14.2's swimmer" in text


def test_a_note_that_repeats_another_refers_to_it() -> None:
    notes = markdown.Notes()
    for reason in (
        "no: it cannot: be saved.",
        "no on oldest: so it cannot leave: it cannot: be saved.",
    ):
        notes.number(reason)
    notes.number("no: be saved.")  # the end of one that is shown, and a note of its own
    assert notes.text().splitlines() == [
        "1. no: it cannot: be saved.",
        "2. no on oldest: so it cannot leave: see note 1.",
        "3. no: be saved.",
    ]


def test_not_run_is_not_shown_as_anything_else() -> None:
    text = markdown.document(RESULTS)
    cells = cells_of(text, "navix::Navix-Empty-5x5-v0")
    assert set(cells.values()) == {"?"}
    assert OLD in text.splitlines()[next(
        n for n, line in enumerate(text.splitlines()) if line.startswith("| suite")
    )]  # fmt: skip


def rows_of(label: str, **by_set: str) -> list[results.Row]:
    """Rows of one environment, which find in each set whether it is forkable."""
    return [
        dataclasses.replace(
            ROWS[0],
            label=label,
            set_name=name,
            cells={
                **ROWS[0].cells,
                "forkable": results.Cell(value, "why" if value == "no" else ""),
            },
        )
        for name, value in by_set.items()
    ]


@pytest.mark.parametrize(
    ("default", "variant", "value", "said"),
    [
        ({"a-py1": "yes", "b-py1": "yes"}, {}, "yes", []),
        ({"a-py1": "no"}, {"a-py1": "yes"}, "option", ["no: why", "yes with on=1"]),
        ({"a-py1": "yes"}, {"a-py1": "no"}, "yes", ["yes", "no with on=1: why"]),
        ({"a-py1": "no", "b-py1": "yes"}, {}, "differs", ["no on a: why", "yes on b"]),
        ({"a-py1": "yes", "b-py1": "not run"}, {}, "yes", ["yes on a", "not run on b"]),
        ({"a-py1": "yes", "b-py1": "fail"}, {}, "fail", ["yes on a", "fail on b"]),
        ({"a-py1": "yes"}, {"a-py1": "fail"}, "fail", ["yes", "fail with on=1"]),
    ],
)
def test_rows_are_merged_where_they_agree(
    default: dict[str, str], variant: dict[str, str], value: str, said: list[str]
) -> None:
    rows = rows_of("gymnax::A", **default) + rows_of("gymnax::A,on=1", **variant)
    (one,) = merged.environments(Results({"a-py1": "1", "b-py1": "1"}, tuple(rows)))
    assert one.id == "gymnax::A"
    assert one.values["forkable"] == value
    assert [str(note) for note in one.notes("forkable")] == said


@pytest.mark.parametrize(
    ("suite", "text"), [("gymnax", "1 of 3 pass"), ("brax", "0 of 1 pass"), ("navix", "not run")]
)
def test_a_badge_is_a_picture_of_its_text(suite: str, text: str) -> None:
    picture = ElementTree.fromstring(badges.badge(RESULTS, suite))
    texts = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [suite, text]
    assert 80 < int(picture.attrib["width"]) < 250


def test_a_suite_that_a_set_leaves_out_is_not_called_one_that_waits() -> None:
    known = Results({**RESULTS.sets, "without-gymnax-py3.12": "0.12.0"}, RESULTS.rows)
    last = {line[0]: line[-1] for line in summary.by_set(known)}
    assert last.pop("gymnax") == "left out"
    assert set(last.values()) == {"not run"}
    known = Results({**RESULTS.sets, "navix-py3.12": "0.12.0"}, RESULTS.rows)
    last = {line[0]: line[-1] for line in summary.by_set(known)}
    assert last.pop("navix") == "not run"  # the suite of that set
    assert set(last.values()) == {"left out"}


# What is committed


@pytest.mark.slow
def test_the_committed_documents_are_those_of_the_committed_results() -> None:
    committed = results.load_whole()
    assert committed.rows
    assert files.whole(committed) == results.WHOLE.read_text(encoding="utf-8")
    for place, text in documents.documents(committed).items():
        assert (REPOSITORY / place).read_text(encoding="utf-8") == text, (
            f"{place}: run python3 tasks.py matrix"
        )
        assert len(text.encode()) < (30_000 if place.endswith(".md") else 2**20), place
    assert results.PLACE.stat().st_size <= 150_000  # in the wheel
    assert committed.sets == documents.sets()


@pytest.mark.slow
def test_the_committed_numbers_are_those_of_the_page_on_suites() -> None:
    committed = results.load()
    table = {
        line[0]: dict(zip(FLAGS, line[1:], strict=True)) for line in summary.by_flag(committed)
    }
    assert table["ale"]["forkable"] == "96 of 105 ○"
    leaky = [each for each in merged.environments(committed, "ale") if not each.has("forkable")]
    assert len(leaky) == 9
    suites = (REPOSITORY / "docs" / "suites" / "index.md").read_text(encoding="utf-8")
    assert "with `forkable=True`, all but nine" in suites
    pong = cells_of(markdown.document(committed), "ale::pong")
    assert pong["forkable"].startswith("○")


@pytest.mark.slow
def test_every_gap_of_a_suite_says_where_to_read_about_it() -> None:
    committed = results.load()
    links = {row.label: summary.reference_of(row) for row in committed.rows
             if row.state == "upstream"}  # fmt: skip
    assert len(links) > 10
    assert all(link.startswith("https://github.com/") for link in links.values()), links
    text = markdown.document(committed).partition("## Gaps")[2]
    assert all(f"]: {link}\n" in text for link in links.values())
    assert not any(summary.reference_of(row) for row in committed.rows if row.state == "pass")


# In the terminal


@pytest.fixture
def shown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results.load, "__defaults__", (file,))
    monkeypatch.setattr(results.load_whole, "__defaults__", (file,))
    monkeypatch.setattr(staleness, "unlisted", lambda found: [])
    monkeypatch.setenv("COLUMNS", "300")


def envhub(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["matrix", *arguments])
    return done.exit_code, done.output


@pytest.mark.usefixtures("shown")
def test_the_command_shows_a_summary() -> None:
    code, text = envhub()
    assert code == 0
    assert re.search(r"navix +not run +every set", text)
    assert "newest-py3.11: jax 0.10.2" in text
    assert re.search(r"gymnax +.*: 1 pass, 1 fail +newest-py3.11 *\n", text)


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("arguments", [(), ("gymnax",)])
def test_the_command_writes_the_flags_out_in_80_columns(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = envhub(*arguments)[1].splitlines()
    assert all(any(line.endswith(flag) for line in lines) for flag in FLAGS)


@pytest.mark.usefixtures("shown")
def test_the_command_shows_a_suite_and_why() -> None:
    code, text = envhub("gymnax", "--set", OTHER)
    assert code == 0
    assert re.search(r"CartPole-v1 +.*✗ .* 10/10 +<1 s +<1k/s", text)
    assert EXCEPTION in text
    assert "Acrobot" not in text
    text = envhub("brax")[1]
    assert "no mjx model. https://github.com/google/brax/" in text
    assert f"{OLD} (jax 0.4.35): brax not run" in text


@pytest.mark.usefixtures("shown")
def test_the_command_prints_json() -> None:
    code, text = envhub("gymnax", "--set", NEW, "--json")
    facts = json.loads(text)
    assert code == 0
    assert [row["environment"] for row in facts["rows"]] == [
        "gymnax::Acrobot-v1",
        "gymnax::CartPole-v1",
    ]
    assert facts["rows"][1]["cells"]["differentiable"] == "no"
    assert facts["rows"][1]["reasons"] == {"differentiable": "actions are discrete."}


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("arguments", [("gymnaks",), ("--set", "newest-py3.1")])
def test_the_command_refuses_unknown_names(arguments: tuple[str, ...]) -> None:
    code, text = envhub(*arguments)
    assert code == 1
    assert "Did you mean" in text
    # The message is on stderr too, which some versions of click show in the same text.
    facts, _ = json.JSONDecoder().raw_decode(envhub(*arguments, "--json")[1])
    assert facts["error"]["message"]


@pytest.mark.usefixtures("shown")
def test_the_check_names_what_is_stale_and_the_command(
    constraints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staleness.stale, "__defaults__", (constraints,))
    code, text = envhub("--check")
    waiting = f"{OLD}: not run. Run: python3 tasks.py matrix --set {OLD}"
    assert (code, text) == (0, f"{waiting}\nout of date: 0 cells, not run: 2 rows\n")
    (constraints / f"{OTHER}.txt").write_text("gymnax==7.0\n", encoding="utf-8")
    code, text = envhub("--check")
    assert code == 1
    assert f"Run: python3 tasks.py matrix --set {OTHER} --suite gymnax" in text
    facts = json.loads(envhub("--check", "--json")[1])
    assert facts["stale"][0]["cells"] == dict.fromkeys(COLUMNS, 1)
    assert [entry["set"] for entry in facts["never_run"]] == [OLD]
