"""What it took to examine a set, as the tool timed it, and whether that kept the budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from envhub.matrix.results import AS_SAMPLED, COLUMNS, GAPS, Results, Row

EVERY_NAME = "newest-py3.11"
"""The set on which every name is examined; on the others, a sample of each suite.

A set that is named after a suite has that suite alone, and each of its names.
"""

EIGHT = ("ale", "brax", "craftax", "gymnasium", "gymnax", "jumanji", "navix", "pufferlib")
LARGE = 1_000
# Minutes, on two cores, from an empty compilation cache.
OF_THE_EIGHT, OF_A_SAMPLE, OF_A_LARGE_SUITE = 60, 12, 20

Entry = Mapping[str, Any]


def said(results: Results) -> dict[str, str]:
    """Say what the largest run of a set took, and other suites alone where they have every name."""
    return {name: " ".join(_of_set(results, name)) for name in sorted(results.timed)}


def _of_set(results: Results, name: str) -> Iterator[str]:
    entry, is_of_one = results.timed[name], name.partition("-py")[0] in results.suites
    if "rows" in entry:
        suites = ", ".join(f"{suite} {cpu:,.0f} s" for suite, cpu in sorted(entry["cpu"].items()))
        listed = f" ({suites})" if name == EVERY_NAME else ""
        rows = [row for row in results.of(set_name=name) if row.run]
        part = _part(entry, [row for row in rows if row.suite in entry["cpu"]])
        absent = sorted({row.suite for row in rows} - set(entry["cpu"]))
        alone = "; others were run alone" if set(absent) <= set(entry.get("alone", {})) else ""
        without = alone or f", and nothing of {', '.join(absent)}" if absent else ""
        yield f"{_took(entry)}. It covers {part or 'every cell'} of its suites{listed}{without}."
        if not part and not is_of_one:
            yield from _budgets(results, name, entry, is_whole=not absent)
    if name != EVERY_NAME and not is_of_one:
        return  # a sample of one suite takes a minute
    for suite, alone in sorted(entry.get("alone", {}).items()):
        if suite in entry.get("cpu", {}):
            continue  # the largest run says what it took
        part = _part(alone, results.of(suite, name))
        is_large = not part and _names(results, suite, name) >= LARGE
        verdict = f": {_verdict(alone['seconds'] / 60, OF_A_LARGE_SUITE)}" if is_large else ""
        yield f"{suite} alone, {part or 'every cell'}: {_took(alone)}{verdict}."


def _part(entry: Entry, rows: Sequence[Row]) -> str:
    """Say how many of the cells a run covers; empty if it covers all of them."""
    ran = [row.cell(column).value for row in rows if row.run for column in COLUMNS
           if row.state not in GAPS]  # fmt: skip
    known = len(ran) - ran.count(AS_SAMPLED)
    return f"{entry['cells']:,} of {known:,} cells" if entry["cells"] < known else ""


def _names(results: Results, suite: str, set_name: str) -> int:
    return len({row.env_name for row in results.of(suite, set_name) if row.run})


def _took(entry: Entry) -> str:
    cpu = sum(entry["cpu"].values())
    runs = f" in {entry['runs']} runs" if entry.get("runs", 1) > 1 else ""
    return (
        f"{entry['rows']:,} rows and {entry['cells']:,} cells on {entry['date']}{runs}, in "
        f"{entry['seconds'] / 60:,.0f} min ({entry['seconds']:,.0f} s), with {cpu:,.0f} s of CPU"
    )


def _budgets(results: Results, name: str, entry: Entry, is_whole: bool) -> Iterator[str]:
    """Compare a run of whole suites; the time of some of them is their share by CPU time."""
    if name != EVERY_NAME:
        if is_whole:
            yield f"The sample took {_verdict(entry['seconds'] / 60, OF_A_SAMPLE)}."
        return
    cpu = entry["cpu"]
    minutes = entry["seconds"] / 60 / max(sum(cpu.values()), 1e-9)
    if set(EIGHT) <= set(cpu):
        eight = _verdict(minutes * sum(cpu[suite] for suite in EIGHT), OF_THE_EIGHT)
        yield f"The share of {', '.join(EIGHT)} by CPU time is {eight}."
    for suite in sorted(cpu):
        if (number := _names(results, suite, name)) >= LARGE:
            share = _verdict(minutes * cpu[suite], OF_A_LARGE_SUITE)
            yield f"The share of {suite}, which has {number:,} names, is {share}."


def _verdict(minutes: float, budget: int) -> str:
    how = "over" if minutes > budget else "under"
    return f"{minutes:,.1f} min ({how} the budget of {budget} min)"
