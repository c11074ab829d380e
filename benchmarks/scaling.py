"""What a step of many instances costs with each kind of workers, against processes.

Each row is a simulator: what a step of one instance takes, the size of its pictures, the number of
instances and of workers. Both sides step the same instances in turn, and only the ratio of a pair
counts. A simulator sleeps, so that the cores are free for what is measured.

From the rows without simulation follows what an actor, and a megabyte of pictures, cost the process
that asks. The last table calculates what that means for 10, 100 and 1,000 actors, each with EACH
simulators of 1 ms. It assumes that these costs stay the same for each actor, that the nodes
simulate while the network carries GIGABYTES a second, and that a learner waits for the whole step.
With a simulator of `even at`, the nodes wait as long for the learner as the learner for them.

The rows of BATCHES are of environments in JAX: a batch that one program steps (vmap), against as
many instances of a simulator that does nothing in processes, or split over two devices of the CPU
(mesh), against one program on one of them.
"""

from __future__ import annotations

import functools
import os
from typing import Any, NamedTuple

# Before JAX starts: the mesh.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import jax
import numpy as np
from _rollout import hub_step, random_inputs, rollout
from _script import Facts, command_line, finish, measure_rows, show, table_of
from _simulator import Simulator
from _timing import Program, comparison, time_in_turn

import envhub
from envhub.host.parallel import make_fleet

GIGABYTES = 1.0  # a second: a network of 10 Gbit/s
ACTORS = (10, 100, 1000)
EACH = 16  # instances an actor
PICTURE = 4 * 84 * 84 / 1e6  # megabytes


class Row(NamedTuple):
    """One line of the table: a kind of workers, at most `wanted` times as slow as processes."""

    milliseconds: float
    side: int
    instances: int
    workers: int
    wanted: float | None = None
    kind: str = "ray"


ROWS = {
    "instant-8-1": Row(0, 4, 8, 1),
    "instant-64-1": Row(0, 4, 64, 1),
    "instant-64-4": Row(0, 4, 64, 4),
    "1ms-8-2": Row(1, 4, 8, 2),
    "1ms-64-2": Row(1, 4, 64, 2),
    "1ms-64-4": Row(1, 4, 64, 4, 1.3),
    "pictures-64-4": Row(0, 84, 64, 4),
    "1ms-pictures-64-4": Row(1, 84, 64, 4),
    "instant-64-serial": Row(0, 4, 64, 4, kind="serial"),
    "instant-64-4-threads": Row(0, 4, 64, 4, kind="thread"),
    "1ms-64-serial": Row(1, 4, 64, 4, kind="serial"),
    "1ms-64-4-threads": Row(1, 4, 64, 4, kind="thread"),
}


class Batch(NamedTuple):
    """One line: a batch of an environment in JAX, in one of two ways."""

    env_id: str
    count: int
    kind: str


BATCHES = {
    "cartpole-64-vmap": Batch("gymnax::CartPole-v1", 64, "vmap"),
    "cartpole-64-mesh": Batch("gymnax::CartPole-v1", 64, "mesh"),
    "cartpole-65536-mesh": Batch("gymnax::CartPole-v1", 65_536, "mesh"),
    "ant-64-mesh": Batch("brax::ant", 64, "mesh"),
}


def compare_batch(batch: Batch, steps: int, repeats: int) -> Facts:
    """Measure both sides of a row of BATCHES."""
    if batch.kind == "mesh":
        programs = (program_of(batch, steps), program_of(batch._replace(kind="vmap"), steps))
        return measured((batch.kind, "vmap"), programs, steps, repeats)
    row = Row(0, 4, batch.count, 4)
    fleet = fleet_of("process", row)
    try:
        programs = (program_of(batch, steps), program(fleet, row, steps))
        return measured((batch.kind, "process"), programs, steps, repeats)
    finally:
        fleet.close()


def program_of(batch: Batch, steps: int) -> Program:
    """Return what a batch does in a run: a scan over its steps, compiled before it is timed."""
    devices = np.array(jax.devices())
    mesh = jax.sharding.Mesh(devices, ("devices",)) if batch.kind == "mesh" else None
    venv, params = envhub.make_vec(batch.env_id, batch.count, mesh=mesh)
    _, states = venv.reset(jax.random.key(0), params)
    keys, _ = random_inputs(venv.env, params, (), steps, seed=1)
    actions = jax.random.split(jax.random.key(2), (steps, batch.count))
    actions = jax.jit(jax.vmap(jax.vmap(venv.env.action_space(params).sample)))(actions)
    run = rollout(hub_step(venv))
    return Program(lambda _: run(states, keys, actions, params))


def compare(row: Row, steps: int, repeats: int) -> Facts:
    """Measure both sides of a row."""
    sides = [fleet_of(kind, row) for kind in (row.kind, "process")]
    try:
        programs = (program(sides[0], row, steps), program(sides[1], row, steps))
        facts = measured((row.kind, "process"), programs, steps, repeats)
    finally:
        for fleet in sides:
            fleet.close()
    return {**facts, "wanted": row.wanted}


def measured(
    names: tuple[str, str], programs: tuple[Program, Program], steps: int, repeats: int
) -> Facts:
    """Time two programs in turn."""
    pairs = time_in_turn(programs, repeats)
    return {
        **comparison(pairs, names, steps),
        "against": names[1],
        "times": float(np.median(pairs[:, 0, 0] / pairs[:, 1, 0])),
        "ms": float(np.median(pairs[:, 0, 0])) / steps * 1e3,
        "other_ms": float(np.median(pairs[:, 1, 0])) / steps * 1e3,
    }


def fleet_of(kind: str, row: Row) -> Any:
    """Start the workers of one side."""
    construct = functools.partial(Simulator, row.milliseconds / 1e3, row.side)
    options: dict[str, Any] = {"workers": kind}
    if kind != "serial":
        options["num_workers"] = row.workers
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
    """Return what follows for many actors, from the rows of simulators that do nothing."""
    if not {"instant-64-1", "instant-64-4", "pictures-64-4"} <= set(rows):
        return []
    one, four, pictures = (
        rows[name]["ms"] for name in ("instant-64-1", "instant-64-4", "pictures-64-4")
    )
    for_actor = max(0.0, four - one) / 3
    for_megabyte = max(0.0, pictures - four) / (64 * PICTURE)
    return [cost_of(count, for_actor, for_megabyte) for count in ACTORS]


def cost_of(count: int, for_actor: float, for_megabyte: float) -> dict[str, float]:
    """Return what a step of so many actors costs, in milliseconds and megabytes."""
    instances = count * EACH
    megabytes = instances * PICTURE
    asking, reading = count * for_actor, megabytes * for_megabyte
    network, simulating = megabytes / GIGABYTES, EACH * 1.0
    step = asking + reading + max(network, simulating)
    return {
        "actors": count,
        "instances": instances,
        "asking ms": asking,
        "reading ms": reading,
        "network ms": network,
        "simulating ms": simulating,
        "step ms": step,
        "steps/s": instances / step * 1e3,
        "MB/s": megabytes / step * 1e3,
        "nodes busy %": 100 * simulating / step,
        "even at ms": (asking + reading) / EACH,
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, calculate and show."""
    parser = command_line(__doc__, [*ROWS, *BATCHES], steps=20, repeats=9)
    given = parser.parse_args(arguments)

    def row(name: str) -> Facts:
        if name in BATCHES:
            return compare_batch(BATCHES[name], given.steps, given.repeats)
        return compare(ROWS[name], given.steps, given.repeats)

    facts = measure_rows(given, row)
    facts["calculated"] = calculated(facts["rows"])
    finish(given, facts, draw)


def draw(facts: Facts) -> None:
    """Show the tables."""
    table = table_of("row", "ms a step", "against", "ms a step", "times as long", "wanted")
    for name, row in facts["rows"].items():
        wanted = f"≤ {row['wanted']}" if row.get("wanted") else "-"
        shown = (f"{row[key]:.3g}" for key in ("ms", "other_ms", "times"))
        first, second, times = shown
        table.add_row(name, first, row["against"], second, times, wanted)
    show(facts, table, "")
    if facts["calculated"]:
        columns = list(facts["calculated"][0])
        table = table_of(columns[0], *columns[1:])
        for row in facts["calculated"]:
            table.add_row(*(f"{value:.0f}" for value in row.values()))
        show({"skipped": {}}, table, f"{EACH} simulators of 1 ms an actor, pictures of 28 kB")


if __name__ == "__main__":
    main()
