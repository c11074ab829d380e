"""What a step of many instances costs with actors of Ray, against processes on one machine.

Each row is a simulator: what a step of one instance takes, the size of its pictures, the number of
instances and of workers. Both sides step the same instances in turn, and only the ratio of a pair
counts. A simulator sleeps, so that the cores are free for what is measured.

From the rows without simulation follows what one actor costs the process that asks: the second
table calculates what that means for 10, 100 and 1,000 actors. The calculation assumes that this
cost stays the same for each actor, and that a network carries GIGABYTES a second.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from _script import Facts, command_line, finish, measure_rows, show, table_of
from _simulator import Simulator
from _timing import Program, comparison, time_in_turn

from envhub.host.parallel import make_fleet

GIGABYTES = 1.0  # a second: a network of 10 Gbit/s
ACTORS = (10, 100, 1000)
EACH = 16  # instances an actor


class Row(NamedTuple):
    """One line of the table; at most `wanted` times the time of processes."""

    milliseconds: float
    side: int
    instances: int
    workers: int
    wanted: float | None = None


ROWS = {
    "instant-8-1": Row(0, 4, 8, 1),
    "instant-64-1": Row(0, 4, 64, 1),
    "instant-64-4": Row(0, 4, 64, 4),
    "1ms-8-2": Row(1, 4, 8, 2),
    "1ms-64-2": Row(1, 4, 64, 2),
    "1ms-64-4": Row(1, 4, 64, 4, 1.3),
    "pictures-64-4": Row(0, 84, 64, 4),
    "1ms-pictures-64-4": Row(1, 84, 64, 4),
}


def compare(row: Row, steps: int, repeats: int) -> Facts:
    """Measure both sides of a row."""
    sides = [fleet_of(kind, row) for kind in ("ray", "process")]
    try:
        programs = (program(sides[0], row, steps), program(sides[1], row, steps))
        pairs = time_in_turn(programs, repeats)
    finally:
        for fleet in sides:
            fleet.close()
    facts = comparison(pairs, ("ray", "process"), steps)
    slower = pairs[:, 0, 0] / pairs[:, 1, 0]
    return {
        **facts,
        "wanted": row.wanted,
        "times": float(np.median(slower)),
        "ray_ms": float(np.median(pairs[:, 0, 0])) / steps * 1e3,
        "process_ms": float(np.median(pairs[:, 1, 0])) / steps * 1e3,
    }


def fleet_of(kind: str, row: Row) -> Any:
    """Start the workers of one side."""
    construct = functools.partial(Simulator, row.milliseconds / 1e3, row.side)
    options: dict[str, Any] = {"workers": kind, "num_workers": row.workers}
    if kind == "ray":
        options["ray_options"] = {"num_cpus": 0.1}
    fleet: Any = make_fleet(construct, construct(), options, saves=False, info=(), env_id="scaling")
    fleet.grow(row.instances - 1)
    numbers = list(range(row.instances))
    fleet.reset(numbers, numbers)
    return fleet


def program(fleet: Any, row: Row, steps: int) -> Program:
    """Return what one side does in a run."""
    numbers, actions = list(range(row.instances)), np.zeros(row.instances, np.int32)

    def run(_: Any) -> Any:
        for _ in range(steps):
            outcomes = fleet.step(numbers, actions)
        assert outcomes.lanes is None
        return None

    return Program(run)


def calculated(rows: Facts) -> list[dict[str, float]]:
    """Return what follows for many actors, from the rows of one and of four that do nothing."""
    if not {"instant-64-1", "instant-64-4", "pictures-64-4"} <= set(rows):
        return []
    few, more = rows["instant-64-1"]["ray_ms"], rows["instant-64-4"]["ray_ms"]
    per_actor = max(0.0, more - few) / 3
    found = []
    for count in ACTORS:
        instances = count * EACH
        megabytes = instances * 4 * 84 * 84 / 1e6
        asking, network, simulating = count * per_actor, megabytes / GIGABYTES, EACH * 1.0
        step = asking + max(network, simulating)
        found.append({
            "actors": count,
            "instances": instances,
            "asking_ms": asking,
            "network_ms": network,
            "simulating_ms": simulating,
            "step_ms": step,
            "steps_per_second": instances / step * 1e3,
            "megabytes_per_second": megabytes / step * 1e3,
        })  # fmt: skip
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure, calculate and show."""
    parser = command_line(__doc__, ROWS, steps=20, repeats=9)
    given = parser.parse_args(arguments)

    def measured(name: str) -> Facts:
        return compare(ROWS[name], given.steps, given.repeats)

    facts = measure_rows(given, measured)
    facts["calculated"] = calculated(facts["rows"])
    finish(given, facts, draw)


def draw(facts: Facts) -> None:
    """Show both tables."""
    table = table_of("row", "Ray ms a step", "processes ms", "times as long", "wanted")
    for name, row in facts["rows"].items():
        wanted = "-" if row["wanted"] is None else f"≤ {row['wanted']}"
        values = (row["ray_ms"], row["process_ms"], row["times"])
        table.add_row(name, *(f"{value:.2f}" for value in values), wanted)
    show(facts, table, "")
    if facts["calculated"]:
        columns = list(facts["calculated"][0])
        table = table_of(columns[0], *columns[1:])
        for row in facts["calculated"]:
            table.add_row(*(f"{value:.0f}" for value in row.values()))
        show({"skipped": {}}, table, f"{EACH} simulators of 1 ms an actor, pictures of 28 kB")


if __name__ == "__main__":
    main()
