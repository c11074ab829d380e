"""What `to_gymnasium` costs: its step against the environment's own, compiled, called from Python.

Both take the same number of steps from a loop in Python, in turn in one process: on one side
`env.step(action)` of the `gymnasium.Env`, which keeps state and key and gives NumPy arrays; on the
other the jitted step, with the same state, key and action each time.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, time_in_turn

import envhub
from envhub.export import to_gymnasium

ROWS = {"cartpole": "gymnax::CartPole-v1", "pendulum": "gymnax::Pendulum-v1"}
WANTED_MICROSECONDS = 60.0
SIDES = ("gymnasium", "raw")


def compare(env_id: str, steps: int, repeats: int) -> Facts:
    env, params = envhub.make(env_id)
    exported, raw, key = to_gymnasium(env, params, seed=0), jax.jit(env.step), jax.random.key(0)
    _, state = env.reset(key, params)
    action = np.asarray(env.action_space(params).sample(key))

    def step_exported(_: Any) -> None:
        for _ in range(steps):
            exported.step(action)

    def step_raw(_: Any) -> None:
        for _ in range(steps):
            jax.block_until_ready(raw(key, state, action, params))

    exported.reset()
    programs = Program(step_exported), Program(step_raw)
    for program in programs:
        program.run(None)
    pairs = time_in_turn(programs, repeats)
    of_step = np.median(pairs[..., 0], axis=0) / steps * 1e6
    more = float(of_step[0] - of_step[1])
    return {
        **comparison(pairs, SIDES, steps),
        "raw_us": float(of_step[1]),
        "more_us": more,
        "met": more <= WANTED_MICROSECONDS,
    }


def draw(facts: Facts) -> None:
    table = table_of("row", "ratio", "raw µs", "more µs", "wanted", "met")
    for name, row in facts["rows"].items():
        figures = row["ratio"]["median"], row["raw_us"], row["more_us"], WANTED_MICROSECONDS
        table.add_row(name, *(f"{figure:.2f}" for figure in figures), word(row["met"]))
    show(facts, table, "Ratio: speed of `to_gymnasium` over that of the compiled step alone.")


def main() -> None:
    arguments = command_line(__doc__, ROWS, steps=500).parse_args()
    facts = measure_rows(
        arguments, lambda name: compare(ROWS[name], arguments.steps, arguments.repeats)
    )
    finish(arguments, facts, draw)


if __name__ == "__main__":
    main()
