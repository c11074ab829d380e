"""Results with one row of each kind."""

from __future__ import annotations

import dataclasses

from envhub import registry
from envhub.matrix import staleness
from envhub.matrix.results import AS_SAMPLED, COLUMNS, Cell, Results, Row, Run
from envhub.suite import Suite

SETS = {"newest-py3.11": "0.10.2", "newest-py3.12": "0.11.2", "oldest-py3.11": "0.4.35"}
NEW, OTHER, OLD = SETS
EXCEPTION = "TypeError: clip() got <an> unexpected keyword | 'a_min'"


def run_of(suite: Suite) -> Run:
    return dataclasses.replace(staleness.run_today(suite), date="2026-01-31")


def passing(**others: Cell) -> dict[str, Cell]:
    return {column: Cell("pass") for column in COLUMNS} | others


GYMNAX, BRAX = run_of(registry.get("gymnax")), run_of(registry.get("brax"))
NO_GRADIENT = Cell("no", "actions are discrete.")
ROWS = (
    Row("gymnax::CartPole-v1", NEW, GYMNAX,
        passing(differentiable=NO_GRADIENT, forkable=Cell("yes")), "<10 s", ">100k/s"),
    Row("gymnax::CartPole-v1", OTHER, GYMNAX,
        passing(differentiable=Cell("fail", EXCEPTION), forkable=Cell("yes")), "<1 s", "<1k/s"),
    Row("gymnax::CartPole-v1", OLD),
    Row("gymnax::Acrobot-v1", NEW, GYMNAX,
        passing(forkable=Cell("fail", "a false claim: it is not the same")), ">100 s", ">1k/s"),
    Row("brax::swimmer,backend=mjx", NEW, BRAX,
        dict.fromkeys(COLUMNS, Cell("upstream", "brax 0.14.2's swimmer has no mjx model."))),
    Row("navix::Navix-Empty-5x5-v0", NEW),
)  # fmt: skip


def decided(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Rows with what decided them, here and now."""
    present = staleness.Present(Results(SETS, rows), {})
    return tuple(
        dataclasses.replace(
            row,
            adapter=present.adapter(row.suite, row.env_name),
            facts=present.facts(row),
        )
        if row.run
        else row
        for row in rows
    )


ROWS = decided(ROWS)
RESULTS = Results(
    SETS,
    ROWS,
    {NEW: {"gymnax": {"start": 1.5, "makes": 0.25}}},
    {NEW: {"date": "2026-01-31", "rows": 3, "cells": 60, "seconds": 120, "cpu": {"gymnax": 200.5}}},
)
SAMPLED = Row(
    "gymnax::Catch-bsuite",
    OTHER,
    None,
    dict.fromkeys(COLUMNS, Cell(AS_SAMPLED, "as gymnax::CartPole-v1")),
)
