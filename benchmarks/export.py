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
from envhub.export import to_gymnasium, to_gymnasium_vec, to_sb3, to_torchrl

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


def batches_of(row: str, steps: int) -> tuple[Program, Program, float | None]:
    """The two sides of a row, and the ratio that is wanted."""
    import gymnasium
    from stable_baselines3.common.vec_env import DummyVecEnv
    from torchrl.envs import GymWrapper

    # It logs to stdout, where the JSON is.
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    made = envhub.make_vec(CARTPOLE, BATCH)
    each = [lambda: gymnasium.make("CartPole-v1")] * BATCH
    actions = np.random.default_rng(0).integers(0, 2, (steps, BATCH))

    def stepping(env: Any) -> Program:
        def run(_: Any) -> None:
            for action in actions:
                env.step(action)

        env.reset()
        return Program(run)

    def rolling(env: Any) -> Program:
        def run(_: Any) -> None:
            env.rollout(steps, break_when_any_done=False)

        return Program(run)

    def sync() -> Any:
        mode = gymnasium.vector.AutoresetMode.SAME_STEP
        return gymnasium.vector.SyncVectorEnv(each, autoreset_mode=mode)

    def exported() -> Any:
        return to_gymnasium_vec(*made, seed=0)

    if row == "sb3-cartpole-64":
        return stepping(to_sb3(*made, seed=0)), stepping(DummyVecEnv(each)), 1.5
    if row == "torchrl-cartpole-64":
        return rolling(to_torchrl(*made, seed=0)), rolling(GymWrapper(sync())), 1.5
    if row == "torchrl-share":
        return rolling(to_torchrl(*made, seed=0)), stepping(exported()), 0.8
    if row == "torchrl-idle-share":
        return rolling(idle_env()), stepping(exported()), None
    if row == "gymwrapper-share":
        return rolling(GymWrapper(exported())), stepping(exported()), None
    return rolling(GymWrapper(sync())), stepping(sync()), None


def idle_env() -> Any:
    """CartPoles of TorchRL that compute nothing, so that a rollout takes what is its own."""
    import torch
    from tensordict import TensorDict
    from torchrl.data import Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase

    started = torch.zeros(BATCH, 1, dtype=torch.bool)
    ended = started.clone()
    ended[:3] = True  # as many of 64 CartPoles end in each step under random actions
    shown = {"observation": torch.zeros(BATCH, 4), "terminated": started, "truncated": started}
    first = {**shown, "done": started}
    then = {**shown, "done": ended, "terminated": ended, "reward": torch.ones(BATCH, 1)}

    class Idle(EnvBase):
        def __init__(self) -> None:
            super().__init__(batch_size=[BATCH])
            flag = Categorical(2, shape=(BATCH, 1), dtype=torch.bool)
            flags = {name: flag.clone() for name in ("done", "terminated", "truncated")}
            self.observation_spec = Composite(
                {"observation": Unbounded((BATCH, 4))}, shape=(BATCH,)
            )
            self.action_spec = Categorical(2, shape=(BATCH,))
            self.reward_spec = Unbounded((BATCH, 1))
            self.full_done_spec = Composite(flags, shape=(BATCH,))

        def _reset(self, tensordict: Any = None, **_: Any) -> Any:
            return TensorDict(first, self.batch_size)

        def _step(self, tensordict: Any) -> Any:
            return TensorDict(then, self.batch_size)

        def _set_seed(self, seed: int | None) -> None:
            pass

    return Idle()


def compare_batches(row: str, steps: int, repeats: int) -> Facts:
    """What is compared is run once before, so that nothing is compiled while it is timed."""
    *programs, wanted = batches_of(row, steps)
    for program in programs:
        program.run(None)
    facts = comparison(time_in_turn(tuple(programs), repeats), ("one", "other"), steps * BATCH)
    met = None if wanted is None else facts["ratio"]["median"] >= wanted
    return {**facts, "wanted": wanted, "met": met}


BATCHES = [
    "sb3-cartpole-64",
    "torchrl-cartpole-64",
    "torchrl-share",
    "torchrl-idle-share",
    "gymwrapper-share",
    "gymwrapper-share-of-gymnasiums-own",
]


def draw(facts: Facts) -> None:
    table = table_of("row", "ratio", "CPU ratio", "raw µs", "more µs", "wanted", "met")
    for name, row in facts["rows"].items():
        if name in BATCHES:
            ratios = (f"{row[clock]['median']:.2f}" for clock in ("ratio", "cpu_ratio"))
            wanted = "-" if row["wanted"] is None else f"ratio {row['wanted']}"
            table.add_row(name, *ratios, "-", "-", wanted, word(row["met"]))
            continue
        figures = (
            row["ratio"]["median"],
            row["cpu_ratio"]["median"],
            row["raw_us"],
            row["more_us"],
            WANTED_MICROSECONDS,
        )
        table.add_row(name, *(f"{figure:.2f}" for figure in figures), word(row["met"]))
    show(
        facts,
        table,
        "Ratio: speed of `to_gymnasium` over that of the compiled step alone; of a trainer's "
        "batch, over its own vector environments; of a share, of TorchRL's rollout over the "
        "steps of the vector environment alone (benchmarks/README.md).",
    )


def main() -> None:
    arguments = command_line(__doc__, [*ROWS, *BATCHES], steps=500).parse_args()

    def of_row(name: str) -> Facts:
        if name in BATCHES:
            return compare_batches(name, arguments.steps, arguments.repeats)
        return compare(ROWS[name], arguments.steps, arguments.repeats)

    finish(arguments, measure_rows(arguments, of_row), draw)


if __name__ == "__main__":
    main()
