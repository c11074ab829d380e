"""What the bridge costs EnvPool: batches with automatic resets against EnvPool's own loop.

Both sides step as many environments with random actions, and begin new episodes where they end. On
one side a jitted scan steps a batch of the hub; on the other, a loop sends actions that were drawn
before to a pool of EnvPool's, and receives what they do, with the raw calls below its `step`. The
two run in turn in one process, and only the ratio of a pair counts.

Rows named `…-exact` have exact seeding, where each reset makes a pool; the others have streams.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import jax
import numpy as np
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, seconds, time_in_turn

import envhub
from envhub import registry
from envhub.host.sampling import sample


class Row(NamedTuple):
    """One line of the table; `wanted` is the ratio to reach."""

    name: str
    lanes: int
    wanted: float | None
    seeding: str = "stream"


ROWS = {
    "cartpole-64": Row("CartPole-v1", 64, 0.3),
    "cartpole-1024": Row("CartPole-v1", 1024, 0.6),
    "minigrid-64": Row("MiniGrid-DoorKey-5x5-v0", 64, 0.5),
    "hopper-64": Row("Hopper-v5", 64, 0.85),
    "pong-8": Row("Pong-v5", 8, 0.95),
    "pong-64": Row("Pong-v5", 64, 0.95),
    "coinrun-64": Row("CoinrunHard-v0", 64, 0.95),
    "cartpole-64-exact": Row("CartPole-v1", 64, None, "exact"),
    "minigrid-64-exact": Row("MiniGrid-DoorKey-5x5-v0", 64, None, "exact"),
    "hopper-64-exact": Row("Hopper-v5", 64, None, "exact"),
}


def with_hub(row: Row, steps: int) -> Program:
    """A program that steps a batch on from where it is."""
    env, params = envhub.make_vec(f"envpool::{row.name}", row.lanes, seeding=row.seeding)
    space = env.action_space(params)

    def one(state: Any, key: Any) -> tuple[Any, Any]:
        step_key, action_key = jax.random.split(key)
        result = env.step(step_key, state, space.sample(action_key), params)
        return result.state, result.reward.sum()

    many = jax.jit(lambda state, key: jax.lax.scan(one, state, jax.random.split(key, steps)))
    now = [env.reset(jax.random.key(0), params)[1]]

    def run(_: Any) -> Any:
        now[0], rewards = many(now[0], jax.random.key(1))
        return rewards

    return Program(run)


def without_hub(row: Row, steps: int) -> Program:
    """EnvPool's own loop."""
    suite: Any = registry.get("envpool")
    suite.load()
    import envpool

    reader, rng = suite.recipe(row.name, {}).reader, np.random.default_rng(0)
    pool = envpool.make(row.name, env_type="gymnasium", num_envs=row.lanes)
    pool.reset()
    places = np.arange(row.lanes, dtype=np.int32)
    drawn = [[sample(reader.action_space, rng) for _ in places] for _ in range(steps)]
    actions = [np.array(each, reader.action_dtype) for each in drawn]

    def run(_: Any) -> None:
        for each in actions:
            pool._send([places, places, each])  # noqa: SLF001 (the raw calls)
            pool._recv()  # noqa: SLF001

    return Program(run)


def compare(row: Row, steps: int, repeats: int) -> Facts:
    programs = with_hub(row, steps), without_hub(row, steps)
    for each in programs:
        seconds(each)  # compiles
    pairs = time_in_turn(programs, repeats)
    found = comparison(pairs, ("hub", "envpool"), steps * row.lanes)
    met = None if row.wanted is None else found["ratio"]["median"] >= row.wanted
    return {"wanted": row.wanted, "met": met, **found}


def measure(arguments: argparse.Namespace) -> Facts:
    return measure_rows(
        arguments, lambda name: compare(ROWS[name], arguments.steps, arguments.repeats)
    )


def draw(facts: Facts) -> None:
    headings = ("ratio", "min", "max", "wanted", "met", "hub k/s", "EnvPool k/s")
    table = table_of("row", *headings)
    for name, row in facts["rows"].items():
        table.add_row(
            name,
            *(f"{row['ratio'][key]:.2f}" for key in ("median", "min", "max")),
            *(["-", "-"] if row["wanted"] is None else [f"{row['wanted']:.2f}", word(row["met"])]),
            *(f"{row['steps_per_second'][key] / 1000:.1f}" for key in ("hub", "envpool")),
        )
    note = (
        "Ratio: speed of the hub / speed of EnvPool's raw loop. k/s: thousands of steps a second."
    )
    show(facts, table, note)


def main() -> None:
    arguments = command_line(__doc__, ROWS, steps=100, repeats=9).parse_args()
    finish(arguments, measure(arguments), draw)


if __name__ == "__main__":
    main()
