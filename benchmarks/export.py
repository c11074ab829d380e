"""What `to_gymnasium` costs: its step against the environment's own, compiled, called from Python.

Both take the same number of steps from a loop in Python, in turn in one process: on one side
`env.step(action)` of the `gymnasium.Env`, which keeps state and key and gives NumPy arrays; on the
other the jitted step, with the same state, key and action each time.
"""

from __future__ import annotations

import logging
from typing import Any

import jax
import numpy as np
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, time_in_turn

import envhub
from envhub.export import to_gymnasium, to_gymnasium_vec, to_sb3

BATCH, CARTPOLE = 64, "gymnax::CartPole-v1"
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


def compare_sb3(steps: int, repeats: int) -> Facts:
    import gymnasium
    from stable_baselines3.common.vec_env import DummyVecEnv

    ours = to_sb3(*envhub.make_vec(CARTPOLE, BATCH), seed=0)
    theirs = DummyVecEnv([lambda: gymnasium.make("CartPole-v1") for _ in range(BATCH)])
    actions = np.random.default_rng(0).integers(0, 2, (steps, BATCH))

    def program(env: Any) -> Program:
        def run(_: Any) -> None:
            for action in actions:
                env.step(action)

        env.reset()
        return Program(run)

    return of_batches((program(ours), program(theirs)), steps, repeats, wanted=1.5)


def compare_torchrl(steps: int, repeats: int) -> Facts:
    import gymnasium
    from torchrl.envs import GymWrapper

    logging.getLogger("torchrl").setLevel(logging.WARNING)  # it logs to stdout, where the JSON is
    ours = to_gymnasium_vec(*envhub.make_vec(CARTPOLE, BATCH), seed=0)
    theirs = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make("CartPole-v1") for _ in range(BATCH)],
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )

    def program(vector: Any) -> Program:
        env = GymWrapper(vector)

        def run(_: Any) -> None:
            env.rollout(steps, break_when_any_done=False)

        return Program(run)

    return of_batches((program(ours), program(theirs)), steps, repeats, wanted=0.8)


def of_batches(programs: tuple[Program, Program], steps: int, repeats: int, wanted: float) -> Facts:
    """What is compared is run once before, so that nothing is compiled while it is timed."""
    for program in programs:
        program.run(None)
    facts = comparison(time_in_turn(programs, repeats), ("envhub", "own"), steps * BATCH)
    return {**facts, "wanted": wanted, "met": facts["ratio"]["median"] >= wanted}


BATCHES = {"sb3-cartpole-64": compare_sb3, "torchrl-cartpole-64": compare_torchrl}


def draw(facts: Facts) -> None:
    table = table_of("row", "ratio", "raw µs", "more µs", "wanted", "met")
    for name, row in facts["rows"].items():
        if name in BATCHES:
            ratio, least = row["ratio"]["median"], row["wanted"]
            table.add_row(name, f"{ratio:.2f}", "-", "-", f"ratio {least}", word(row["met"]))
            continue
        figures = row["ratio"]["median"], row["raw_us"], row["more_us"], WANTED_MICROSECONDS
        table.add_row(name, *(f"{figure:.2f}" for figure in figures), word(row["met"]))
    show(
        facts,
        table,
        "Ratio: speed of `to_gymnasium` over that of the compiled step alone; of a trainer's "
        "batches, over that of its own.",
    )


def main() -> None:
    arguments = command_line(__doc__, [*ROWS, *BATCHES], steps=500).parse_args()

    def of_row(name: str) -> Facts:
        if name in BATCHES:
            return BATCHES[name](arguments.steps, arguments.repeats)
        return compare(ROWS[name], arguments.steps, arguments.repeats)

    finish(arguments, measure_rows(arguments, of_row), draw)


if __name__ == "__main__":
    main()
