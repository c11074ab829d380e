"""What the bridge costs EnvPool: batches with automatic resets against EnvPool's own loop.

Both sides step as many environments, begin new episodes where they end, and have the same random
actions, which were drawn before. On one side a jitted scan steps a batch of the hub; on the other,
a loop sends the actions to a pool of EnvPool's, and receives what they do, with the raw calls below
its `step`. The two run in turn in one process, and only the ratio of a pair counts.

Both sides have the same seeds, for the levels of Procgen differ in what they cost.

Rows named `…-exact` have exact seeding, where each reset makes a pool; the others have streams.
Rows named `…-bound` have no hub: a compiled program calls EnvPool and passes on what it sends, so
no bridge can be faster. Rows named `…-seeding` are exact seeding against streams, both through the
hub, once the episodes of the lanes end at different times.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, seconds, time_in_turn

import envhub
from envhub import registry
from envhub.host import transport
from envhub.host.protocol import to_leaves
from envhub.host.sampling import sample
from envhub.spaces._trees import leaves_of

KEY = jax.random.key(0)


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        name: what EnvPool calls the environment.
        lanes: their number.
        wanted: the ratio to reach, if any.
        sides: the two programs, by the names in `PROGRAMS`.
        before: calls that are not measured, so that the episodes of the lanes end apart.
    """

    name: str
    lanes: int
    wanted: float | None
    sides: tuple[str, str] = ("stream", "envpool")
    before: int = 0


ROWS = {
    "cartpole-64": Row("CartPole-v1", 64, 0.3),
    "cartpole-1024": Row("CartPole-v1", 1024, 0.6),
    "minigrid-64": Row("MiniGrid-DoorKey-5x5-v0", 64, 0.5),
    "hopper-64": Row("Hopper-v5", 64, 0.85),
    "pong-8": Row("Pong-v5", 8, 0.95),
    "pong-64": Row("Pong-v5", 64, 0.95),
    "coinrun-64": Row("CoinrunHard-v0", 64, 0.95),
    "cartpole-64-exact": Row("CartPole-v1", 64, None, ("exact", "envpool")),
    "minigrid-64-exact": Row("MiniGrid-DoorKey-5x5-v0", 64, None, ("exact", "envpool")),
    "hopper-64-exact": Row("Hopper-v5", 64, None, ("exact", "envpool")),
    "cartpole-64-bound": Row("CartPole-v1", 64, None, ("bound", "envpool")),
    "cartpole-1024-bound": Row("CartPole-v1", 1024, None, ("bound", "envpool")),
    "minigrid-64-bound": Row("MiniGrid-DoorKey-5x5-v0", 64, None, ("bound", "envpool")),
    "pong-8-bound": Row("Pong-v5", 8, None, ("bound", "envpool")),
    "coinrun-64-bound": Row("CoinrunHard-v0", 64, None, ("bound", "envpool")),
    "lunarlander-64-seeding": Row("LunarLander-v3", 64, 0.75, ("exact", "stream"), 500),
    "hopper-64-seeding": Row("Hopper-v5", 64, 0.75, ("exact", "stream"), 200),
    "coinrun-64-seeding": Row("CoinrunHard-v0", 64, 0.75, ("exact", "stream"), 1200),
    "minigrid-64-seeding": Row("MiniGrid-DoorKey-5x5-v0", 64, 0.75, ("exact", "stream"), 2000),
}


def reader_of(row: Row) -> Any:
    suite: Any = registry.get("envpool")
    suite.load()
    return suite.recipe(row.name, {}).reader


def drawn(row: Row, steps: int) -> list[Any]:
    """The random actions of all steps, the same on both sides."""
    reader, rng, lanes = reader_of(row), np.random.default_rng(0), range(row.lanes)
    each = [[sample(reader.action_space, rng) for _ in lanes] for _ in range(steps)]
    return [np.array(actions, reader.action_dtype) for actions in each]


def with_hub(seeding: str, row: Row, steps: int) -> Program:
    """A program that steps a batch on from where it is."""
    env, params = envhub.make_vec(f"envpool::{row.name}", row.lanes, seeding=seeding)
    actions = jnp.asarray(np.stack(drawn(row, steps)))

    def one(state: Any, given: Any) -> tuple[Any, Any]:
        key, chosen = given
        result = env.step(key, state, chosen, params)
        return result.state, result.reward.sum()

    @jax.jit
    def play(state: Any, key: Any) -> Any:
        return jax.lax.scan(one, state, (jax.random.split(key, steps), actions))

    now = [env.reset(KEY, params)[1], jax.random.key(1)]

    def run(_: Any) -> Any:
        key, now[1] = jax.random.split(now[1])
        now[0], rewards = play(now[0], key)
        return rewards

    return Program(run)


class Own(NamedTuple):
    """EnvPool's own pool, which resets by itself, and what it takes.

    Attributes:
        pool: EnvPool's.
        reader: reads what it sends.
        actions: those of each step.
    """

    pool: Any
    reader: Any
    actions: list[Any]

    def step(self, actions: Any) -> Any:
        places = np.arange(len(actions), dtype=np.int32)
        self.pool._send([places, places, actions])  # noqa: SLF001 (the raw calls)
        return self.pool._recv()  # noqa: SLF001


def own(row: Row, steps: int) -> Own:
    reader = reader_of(row)
    import envpool

    first = envhub.host_seed(jax.random.split(KEY, row.lanes)[0])  # decides those of a stream
    seeds = np.random.default_rng(first).integers(2**31, size=row.lanes).tolist()
    pool = envpool.make(row.name, env_type="gymnasium", num_envs=row.lanes, env_seed=seeds)
    pool.reset()
    return Own(pool, reader, drawn(row, steps))


def without_hub(row: Row, steps: int) -> Program:
    """EnvPool's own loop."""
    made = own(row, steps)

    def run(_: Any) -> None:
        for each in made.actions:
            made.step(each)

    return Program(run)


class Passing:
    """A call that steps a pool, and passes on what it sends: nothing is checked or kept."""

    environment = "EnvPool alone"

    def __init__(self, made: Own) -> None:
        self.own = made

    def bind(self) -> transport.HostFunction:
        reader, space = self.own.reader, self.own.reader.observation_space

        def step(inputs: Any, outputs: Any, size: int) -> None:
            sent = self.own.step(np.array(inputs["action"][0], reader.action_dtype))
            seen = reader.obs(sent)
            for place, leaf in enumerate(to_leaves(space, getattr(seen, "tree", seen))):
                outputs[f"obs{place}"][0] = leaf
            for name, key in NAMES.items():
                outputs[name][0] = reader.column(sent, key)

        return step


NAMES = {"reward": "reward", "terminated": "done", "truncated": "trunc"}


def bound(row: Row, steps: int) -> Program:
    """A compiled program that calls EnvPool."""
    made, lanes = own(row, steps), (row.lanes,)
    parts = leaves_of(made.reader.observation_space)
    forms: dict[str, Any] = {
        **{f"obs{place}": (lanes + leaf.shape, leaf.dtype) for place, leaf in enumerate(parts)},
        **dict.fromkeys(NAMES, (lanes, np.bool_)),
        "reward": (lanes, np.float32),
    }
    given, passing = jnp.asarray(np.stack(made.actions), jnp.int32), Passing(made)

    def one(total: Any, action: Any) -> tuple[Any, None]:
        out = transport.call(passing, {"action": action}, forms, effect=True)
        return total + out["reward"].sum(), None

    many = jax.jit(lambda actions: jax.lax.scan(one, jnp.float32(0), actions)[0])
    return Program(lambda _: many(given))


PROGRAMS: dict[str, Callable[[Row, int], Program]] = {
    "stream": functools.partial(with_hub, "stream"),
    "exact": functools.partial(with_hub, "exact"),
    "envpool": without_hub,
    "bound": bound,
}


def compare(row: Row, steps: int, repeats: int) -> Facts:
    programs = PROGRAMS[row.sides[0]](row, steps), PROGRAMS[row.sides[1]](row, steps)
    for each in programs:
        for _ in range(row.before // steps + 1):
            seconds(each)  # compiles, too
    pairs = time_in_turn(programs, repeats)
    found = comparison(pairs, ("hub", "envpool"), steps * row.lanes)
    met = None if row.wanted is None else found["cpu_ratio"]["median"] >= row.wanted
    return {"wanted": row.wanted, "met": met, **found}


def measure(arguments: argparse.Namespace) -> Facts:
    return measure_rows(
        arguments, lambda name: compare(ROWS[name], arguments.steps, arguments.repeats)
    )


def draw(facts: Facts) -> None:
    headings = ("ratio", "CPU ratio", "min", "max", "wanted", "met", "first k/s", "second k/s")
    table = table_of("row", *headings)
    for name, row in facts["rows"].items():
        table.add_row(
            name,
            f"{row['ratio']['median']:.2f}",
            *(f"{row['cpu_ratio'][key]:.2f}" for key in ("median", "min", "max")),
            *(["-", "-"] if row["wanted"] is None else [f"{row['wanted']:.2f}", word(row["met"])]),
            *(f"{row['steps_per_second'][key] / 1000:.1f}" for key in ("hub", "envpool")),
        )
    note = (
        "Ratio: speed of the hub / speed of EnvPool's raw loop, by the wall clock and by CPU time, "
        "which is what is wanted. In rows named …-bound and …-seeding the sides are others, see "
        "the top of this file. k/s: thousands of steps a second."
    )
    show(facts, table, note)


def main() -> None:
    arguments = command_line(__doc__, ROWS, steps=100, repeats=9).parse_args()
    finish(arguments, measure(arguments), draw)


if __name__ == "__main__":
    main()
