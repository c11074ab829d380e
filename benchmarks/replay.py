"""Tree searches from states that are restored by replay: what they replay, and how long they take.

    python benchmarks/replay.py

A search by mctx has 32 simulations and starts in the middle of each episode, at step 100 of
MiniGrid and at step 50 of LunarLander. The steps of all instances are counted: those beyond the
simulations were replayed. The first search is left out, because it replays the steps that led to
the first roots.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import mctx
import numpy as np
from _script import Facts, command_line, finish, measure_rows, show, table_of

import envhub

SIMULATIONS = 32
KEY = jax.random.key(0)


class Counting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Counts the steps and resets of all instances."""

    steps = resets = 0

    def reset(self, **how: Any) -> Any:
        Counting.resets += 1
        return self.env.reset(**how)

    def step(self, action: Any) -> Any:
        Counting.steps += 1
        return self.env.step(action)


def door_key() -> Any:
    from minigrid.wrappers import ImgObsWrapper

    return Counting(ImgObsWrapper(gymnasium.make("MiniGrid-DoorKey-8x8-v0")))


def lander() -> Any:
    return Counting(gymnasium.make("LunarLander-v3"))


class Row(NamedTuple):
    """What is searched in, from how many roots, and with how many bytes of copies."""

    make: Callable[[], Any]
    num_roots: int
    depth: int
    options: dict[str, Any]


ROWS = {
    "minigrid-1": Row(door_key, 1, 100, {}),
    "minigrid-8": Row(door_key, 8, 100, {}),
    "minigrid-without-copies-1": Row(door_key, 1, 100, {"replay_cache": 0}),
    "lander-1": Row(lander, 1, 50, {}),
    "lander-8": Row(lander, 8, 50, {}),
}


def planner(env: Any, step: Any, num_roots: int) -> Any:
    no_preference = jnp.zeros((num_roots, env.action_space().n))

    def imagine(_: Any, key: Any, actions: Any, states: Any) -> Any:
        result = step(key, states, actions)
        output = mctx.RecurrentFnOutput(  # type: ignore[call-arg]
            reward=result.reward,
            discount=jnp.where(result.done, 0.0, 0.99),
            prior_logits=no_preference,
            value=jnp.zeros(num_roots),
        )
        return output, result.state

    @jax.jit
    def plan(key: Any, states: Any) -> Any:
        root = mctx.RootFnOutput(  # type: ignore[call-arg]
            prior_logits=no_preference, value=jnp.zeros(num_roots), embedding=states
        )
        return mctx.gumbel_muzero_policy(None, key, root, imagine, SIMULATIONS).action

    return plan


def search(row: Row, repeats: int) -> Facts:
    """Plan and step, again and again."""
    name = f"envhub-benchmark/{row.make.__name__}-v0"
    if name not in gymnasium.registry:
        gymnasium.register(name, row.make)
    env, _ = envhub.make(f"gymnasium::{name}", forkable=True, **row.options)
    step = jax.jit(jax.vmap(env.step, in_axes=(None, 0, 0)))
    plan = planner(env, step, row.num_roots)
    _, states = jax.vmap(env.reset)(jax.random.split(KEY, row.num_roots))
    for number in range(row.depth):
        states = step(KEY, states, jnp.full(row.num_roots, 2 * (number % 2))).state
    times, steps, resets = [], [], []
    for number in range(repeats + 1):
        before, since = (Counting.steps, Counting.resets), time.perf_counter()
        actions = plan(jax.random.key(number), states)
        actions.block_until_ready()
        times.append(1000 * (time.perf_counter() - since))
        steps.append(Counting.steps - before[0] - SIMULATIONS * row.num_roots)
        resets.append(Counting.resets - before[1])
        states = step(KEY, states, actions).state
    whole = np.sum(resets[1:]) * (row.depth + repeats / 2)
    return {
        "ms_a_plan": float(np.median(times[1:])),
        "replayed_steps": float(np.mean(steps[1:]) / row.num_roots),
        "restores_from_the_seed": float(np.mean(resets[1:]) / row.num_roots),
        "steps_by_restores_and_depth": float(np.sum(steps[1:]) / whole) if whole else None,
        "how": env.capabilities.how("forkable"),
    }


def measure(arguments: argparse.Namespace) -> Facts:
    return measure_rows(arguments, lambda name: search(ROWS[name], arguments.repeats))


def draw(facts: Facts) -> None:
    table = table_of("row", "ms a plan", "steps", "restores", "steps / (restores x depth)")
    for name, row in facts["rows"].items():
        share = row["steps_by_restores_and_depth"]
        table.add_row(
            name,
            f"{row['ms_a_plan']:.1f}",
            f"{row['replayed_steps']:.0f}",
            f"{row['restores_from_the_seed']:.1f}",
            "-" if share is None else f"{share:.2f}",
        )
    note = (
        "Steps: those that were replayed, a search and root. Restores: those that began with a "
        "reset, likewise."
    )
    show(facts, table, note)


def main() -> None:
    arguments = command_line(__doc__, ROWS, steps=SIMULATIONS, repeats=8).parse_args()
    finish(arguments, measure(arguments), draw)


if __name__ == "__main__":
    main()
