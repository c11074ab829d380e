"""What small calls of callback environments cost: short episodes, and calls outside jit.

Rows named `…-random-64` and `…-balanced-64` are 64 CartPoles with automatic resets in a compiled
scan. Random actions end an episode after some 22 steps, so nearly each call contains an end. The
last part of the name is the other side: `vector` is a loop over Gymnasium's `CartPoleVectorEnv`,
and `gxm` is the peer of that name in a compiled scan too, if it is installed (`pip install gxm`);
in rows named `…-opaque` the hub has no snapshots either.

Rows named `…-step` step one environment outside `jit`, and those named `…-export` the result of
`to_gymnasium`. The other side is the library's own environment, from the same start with the same
actions.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, time_in_turn

import envhub
from envhub.export import to_gymnasium

BATCH, KEY = 64, jax.random.key(0)
FEW, MANY = 8, 200  # steps, after which no CartPole has ended, and no game of Pong
SIDES = ("hub", "other")
Sides = tuple[Program, Program]


class Row(NamedTuple):
    """One line of the table; `wanted` is the ratio to reach, `least` the seconds of a pair."""

    sides: Callable[[int], Sides]
    steps: Callable[[int], int]
    wanted: float | None
    least: float = 0.005  # of the resets between few steps, which are not timed, there are many


def actions_of(obs: Any, given: Any, balances: bool) -> Any:
    return (obs[:, 2] + obs[:, 3] > 0).astype(jnp.int32) if balances else given


def scanned(step: Any, state: Any, obs: Any, actions: Any, balances: bool) -> Program:
    """Play on from where the last run ended: `step` gives state, observations and rewards."""

    @jax.jit
    def play(state: Any, obs: Any, key: Any) -> Any:
        def advance(carry: Any, given: Any) -> Any:
            state, obs, key, total = carry
            key, step_key = jax.random.split(key)
            state, obs, rewards = step(step_key, state, actions_of(obs, given, balances))
            return (state, obs, key, total + rewards.sum()), None

        return jax.lax.scan(advance, (state, obs, key, 0.0), actions)[0]

    last = [state, obs, KEY]

    def run(_: Any) -> Any:
        *last[:], total = play(*last)
        return total

    return Program(run)


def hub(actions: Any, balances: bool, options: Mapping[str, Any]) -> Program:
    env, params = envhub.make_vec("gymnasium::CartPole-v1", BATCH, **options)
    obs, state = env.reset(KEY, params)

    def step(key: Any, state: Any, chosen: Any) -> Any:
        result = env.step(key, state, chosen, params)
        return result.state, result.obs, result.reward

    return scanned(step, state, obs, actions, balances)


def gxm(actions: Any, balances: bool) -> Program:
    import gxm

    env = gxm.make("Gymnasium/CartPole-v1")
    keys = jax.random.split(KEY, BATCH)
    state, start = jax.vmap(env.init)(keys)

    def step(key: Any, state: Any, chosen: Any) -> Any:
        state, seen = jax.vmap(env.step, in_axes=(None, 0, 0))(key, state, chosen)
        return state, seen.next_obs, seen.reward

    return scanned(step, state, start.next_obs, actions, balances)


def vector(actions: Any, balances: bool) -> Program:
    import gymnasium

    env = gymnasium.make_vec("CartPole-v1", BATCH, vectorization_mode="vector_entry_point")
    last, chosen = [env.reset(seed=0)[0]], np.asarray(actions)

    def run(_: Any) -> None:
        for given in chosen:
            last[0] = env.step(given)[0]

    return Program(run)


def batches(
    other: Callable[[Any, bool], Program], balances: bool, **options: Any
) -> Callable[[int], Sides]:
    def sides(steps: int) -> Sides:
        actions = jax.random.bernoulli(KEY, shape=(steps, BATCH)).astype(jnp.int32)
        return hub(actions, balances, options), other(actions, balances)

    return sides


def alone(name: str, is_export: bool, steps: int = FEW) -> Callable[[int], Sides]:
    actions = [step % 2 for step in range(steps)]

    def of_gymnasium(env: Any, seed: int) -> Program:
        def run(_: Any) -> None:
            for action in actions:
                env.step(action)

        return Program(run, lambda: env.reset(seed=seed)[0])

    def sides(_: int) -> Sides:
        import gymnasium

        if name.startswith("ALE/"):
            importlib.import_module("ale_py")  # which registers its names
        env, params = envhub.make(f"gymnasium::{name}")
        own = gymnasium.make(name)
        if is_export:
            return of_gymnasium(to_gymnasium(env, params), 0), of_gymnasium(own, 0)

        def run(state: Any) -> Any:
            for action in actions:
                state = env.step(KEY, state, action, params).state
            return state

        program = Program(run, lambda: env.reset(KEY, params)[1])
        return program, of_gymnasium(own, envhub.host_seed(KEY))

    return sides


def of_batch(steps: int) -> int:
    return steps * BATCH


ROWS = {
    "cartpole-random-64-vector": Row(batches(vector, False), of_batch, None, 0.1),
    "cartpole-random-64-gxm": Row(batches(gxm, False), of_batch, 1.2, 0.1),
    "cartpole-balanced-64-gxm": Row(batches(gxm, True), of_batch, 2.0, 0.1),
    "cartpole-random-64-gxm-opaque": Row(batches(gxm, False, forkable=False), of_batch, 1.2, 0.1),
    "cartpole-balanced-64-gxm-opaque": Row(batches(gxm, True, forkable=False), of_batch, 2.0, 0.1),
    "cartpole-step": Row(alone("CartPole-v1", False), lambda _: FEW, 1 / 12),
    "mountaincar-step": Row(alone("MountainCar-v0", False), lambda _: FEW, 1 / 11),
    "pong-step": Row(alone("ALE/Pong-v5", False, MANY), lambda _: MANY, 1 / 1.4, 0.05),
    "cartpole-export": Row(alone("CartPole-v1", True), lambda _: FEW, 1 / 2),
    "mountaincar-export": Row(alone("MountainCar-v0", True), lambda _: FEW, 1 / 2),
}


def compare(row: Row, steps: int, repeats: int) -> Facts:
    sides = row.sides(steps)
    for side in sides:
        jax.block_until_ready(side.run(side.prepare()))  # compiles
    times = time_in_turn(sides, repeats, least=row.least)
    found = comparison(times, SIDES, row.steps(steps))
    met = row.wanted is None or found["ratio"]["median"] >= row.wanted
    return {**found, "wanted": row.wanted, "met": met}


def draw(facts: Facts) -> None:
    table = table_of("row", "ratio", "min", "max", "wanted", "met", "CPU", "hub k/s", "other k/s")
    for name, row in facts["rows"].items():
        table.add_row(
            name,
            *(f"{row['ratio'][key]:.2f}" for key in ("median", "min", "max")),
            *(["-", "-"] if row["wanted"] is None else [f"{row['wanted']:.2f}", word(row["met"])]),
            f"{row['cpu_ratio']['median']:.2f}",
            *(f"{row['steps_per_second'][key] / 1000:.1f}" for key in SIDES),
        )
    show(facts, table, "Ratio: speed of the hub over that of the other side.")


def main() -> None:
    arguments = command_line(__doc__, ROWS, steps=64).parse_args()

    def of_row(name: str) -> Facts:
        return compare(ROWS[name], arguments.steps, arguments.repeats)

    finish(arguments, measure_rows(arguments, of_row), draw)


if __name__ == "__main__":
    main()
