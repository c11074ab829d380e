"""What a run took, what it covers, and whether that kept the budget."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from envhub.matrix import timing
from envhub.matrix.results import AS_SAMPLED, COLUMNS, Cell, Results, Row, Run

SAMPLE = "newest-py3.12"
LARGE = "large"


def results_of(entry: dict[str, Any], set_name: str, suites: dict[str, int]) -> Results:
    """Rows of suites with so many names, each with all cells but one, and what a run took."""
    cells = {**dict.fromkeys(COLUMNS, Cell("pass")), "own_bits": Cell(AS_SAMPLED)}
    rows = tuple(
        Row(f"{suite}::{index}", set_name, Run(suite, suite, "2026-01-31", {}), cells)
        for suite, number in suites.items()
        for index in range(number)
    )
    return Results({set_name: "1"}, rows, timed={set_name: entry})


def entry_of(suites: dict[str, int], minutes: float, **cpu: float) -> dict[str, Any]:
    rows = sum(suites.values())
    cells = rows * (len(COLUMNS) - 1)
    given = {"date": "2026-01-31", "rows": rows, "cells": cells, "seconds": round(60 * minutes)}
    return {**given, "cpu": cpu or dict.fromkeys(suites, 60.0)}


@pytest.mark.parametrize(("minutes", "how"), [(11.4, "under"), (12.4, "over")])
def test_a_sample_has_its_budget(minutes: float, how: str) -> None:
    suites = {"brax": 2, "gymnax": 1}
    said = timing.said(results_of(entry_of(suites, minutes), SAMPLE, suites))[SAMPLE]
    assert said == (
        f"3 rows and 57 cells on 2026-01-31, in {minutes:.0f} min ({60 * minutes:.0f} s), with "
        "120 s of CPU. It covers every cell of its suites. "
        f"The sample took {minutes} min ({how} the budget of 12 min)."
    )


def test_the_eight_suites_and_a_large_one_have_the_share_of_their_cpu_time() -> None:
    suites = {**dict.fromkeys(timing.EIGHT, 1), LARGE: 1_000}
    cpu = {**dict.fromkeys(timing.EIGHT, 75.0), LARGE: 200.0}
    found = results_of(entry_of(suites, 80, **cpu), timing.EVERY_NAME, suites)
    said = timing.said(found)[timing.EVERY_NAME]
    assert "pufferlib by CPU time is 60.0 min (under the budget of 60 min)" in said
    assert "large, which has 1,000 names, is 20.0 min (under the budget of 20 min)" in said
    slower = results_of(entry_of(suites, 88, **cpu), timing.EVERY_NAME, suites)
    assert timing.said(slower)[timing.EVERY_NAME].count("(over the budget of") == 2


def test_a_part_says_what_it_covers_and_is_held_to_no_budget() -> None:
    suites = {"brax": 2}
    entry = entry_of({"brax": 1}, 30)
    said = timing.said(results_of(entry, SAMPLE, suites))[SAMPLE]
    assert "It covers 19 of 38 cells of its suites." in said
    assert "budget" not in said


def test_suites_that_joined_later_do_not_hide_what_the_eight_took() -> None:
    eight = dict.fromkeys(timing.EIGHT, 1)
    found = results_of(entry_of(eight, 61), timing.EVERY_NAME, {**eight, "later": 2})
    said = timing.said(found)[timing.EVERY_NAME]
    assert "pufferlib 60 s), and nothing of later. The share of ale" in said
    assert "is 61.0 min (over the budget of 60 min)" in said
    found = results_of(entry_of({"brax": 1}, 30), SAMPLE, {"brax": 1, "later": 2})
    assert "budget" not in timing.said(found)[SAMPLE]


def test_a_suite_that_was_run_alone_and_again_after_an_interruption() -> None:
    suites = {LARGE: 1_000}
    alone = {**entry_of(suites, 21), "runs": 2}
    known = results_of({"alone": {LARGE: alone}}, timing.EVERY_NAME, suites)
    assert timing.said(known)[timing.EVERY_NAME] == (
        "large alone, every cell: 1,000 rows and 19,000 cells on 2026-01-31 in 2 runs, in 21 min "
        "(1,260 s), with 60 s of CPU: 21.0 min (over the budget of 20 min)."
    )
    part = dataclasses.replace(known, rows=(*known.rows, dataclasses.replace(known.rows[0])))
    assert timing.said(part)[timing.EVERY_NAME].startswith("large alone, 19,000 of 19,019 cells:")


def test_a_set_of_one_suite_has_each_of_its_names_and_no_budget() -> None:
    suites, name = {"brax": 2}, "brax-py3.12"
    took = "2 rows and 38 cells on 2026-01-31, in 30 min (1,800 s), with 60 s of CPU."
    whole = results_of(entry_of(suites, 30), name, suites)
    assert timing.said(whole) == {name: f"{took} It covers every cell of its suites."}
    alone = results_of({"alone": {"brax": entry_of(suites, 30)}}, name, suites)
    assert timing.said(alone) == {name: f"brax alone, every cell: {took}"}
