"""What the hub costs: its step against the suite's own, and `import envhub` against `import jax`.

For one environment of each suite, two programs do the same work from the same states, keys and
actions: a jitted scan over steps of a vmap over environments, once with the hub's step and once
with the suite's own step that never resets. They run in turn in one process, so that what else the
machine does meanwhile touches both. Only the ratio of a pair counts. The ratio of the CPU times
says the same on a machine whose cores are shared, and nothing on an accelerator.

A suite's own params are an argument of both programs. Where a suite has none, its settings are
constants in both.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from _rollout import Step, Transition, hub_step, over, random_inputs, reset_all, rollout, same_bits
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, time_in_turn

import envhub
from envhub import registry

WANTED_RATIO = 0.97
WANTED_IMPORT_MS = 50.0
WANTED_QUESTION_MS = 5.0
QUESTION = "gymnax::CartPole-v1"  # the costliest of the suites to ask
BRAX_EPISODE_LENGTH = 1000
XLAND = "XLand-MiniGrid-R1-9x9"
LEVEL = "s/h4_thrust_aim"
SIDES = ("hub", "own")


class Example(NamedTuple):
    """One environment of a suite, and how to use it without the hub.

    Attributes:
        id: what `envhub.make` is given.
        options: the keywords that it is given.
        own_step: from the suite's object, the step of a user who has no hub.
        has_params: whether that step has params.
        own_state: the state for that step, from the hub's.
    """

    id: str
    options: Mapping[str, Any]
    own_step: Callable[[Any], Step]
    has_params: bool
    own_state: Callable[[Any], Any] = lambda state: state


def gymnax_step(env: Any) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        obs, state, reward, done, _ = env.step_env(key, state, action, params)
        if hasattr(env, "is_truncated"):  # gymnax 0.0.9 has the time limit in `done` already
            done |= env.is_truncated(state, params)
        return obs, state, reward, done

    return step


def navix_step(env: Any) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = env._step(state, action)  # noqa: SLF001 (navix's step that never resets)
        return after.observation, after, after.reward, after.is_done()

    return step


def craftax_step(env: Any) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        obs, state, reward, done, _ = env.step_env(key, state, action, params)
        return obs, state, reward, done

    return step


def brax_step(env: Any) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        env_state, steps = state
        after, steps = env.step(env_state, action), steps + 1
        done = (after.done > 0) | (steps >= BRAX_EPISODE_LENGTH)
        return after.obs, (after, steps), after.reward, done

    return step


def brax_state(state: Any) -> Any:
    """The own state of brax or MuJoCo Playground and the steps so far, of the hub's.

    Arrays without an element, which MJX has, are the same in the states of a batch.
    """

    def of_each(leaf: Any) -> Any:
        return leaf if leaf.size else jnp.zeros((*state.steps.shape, *leaf.shape), leaf.dtype)

    return jax.tree.map(of_each, state.env), state.steps


def jaxmarl_step(env: Any) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        actions = dict(zip(env.agents, action, strict=True))
        obs, state, *told, _ = env.step_env(key, state, actions)
        obs, reward, done = (
            jnp.stack([each[agent] for agent in env.agents]) for each in (obs, *told)
        )
        return obs, state, reward, done

    return step


def jaxmarl_state(state: Any) -> Any:
    """JaxMARL's own state, of the hub's."""
    return state.tree


def octax_step(env: Any) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        state, obs, reward, terminated, truncated, _ = env.step(state, action)
        return obs, state, reward, terminated | truncated

    return step


def kinetix_step(env: Any) -> Step:
    own = registry.get("kinetix").load("util.saving").load_from_json_file(LEVEL)[2]

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        obs, state, reward, done, _ = env.step_env(key, state, action, own)
        return obs, state, reward, done

    return step


def xminigrid_step(env: Any) -> Step:
    own = registry.get("xminigrid").load().make(XLAND)[1]

    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        after = env.step(own, state, action)
        return after.observation, after, after.reward, after.last()

    return step


EXAMPLES = {
    "gymnax": Example("gymnax::CartPole-v1", {}, gymnax_step, True),
    "navix": Example("navix::Navix-DoorKey-8x8-v0", {}, navix_step, False),
    "craftax": Example("craftax::Craftax-Classic-Symbolic-v1", {}, craftax_step, True),
    "brax": Example("brax::hopper", {"backend": "spring"}, brax_step, False, brax_state),
    "jaxmarl": Example("jaxmarl::MPE_simple_spread_v3", {}, jaxmarl_step, False, jaxmarl_state),
    "kinetix": Example(f"kinetix::{LEVEL}", {}, kinetix_step, False),
    "octax": Example("octax::brix", {}, octax_step, False),
    "playground": Example("playground::CartpoleBalance", {}, brax_step, False, brax_state),
    "xminigrid": Example(f"xminigrid::{XLAND}", {}, xminigrid_step, False),
}


def compare(example: Example, num_envs: int, steps: int, repeats: int) -> Facts:
    """Run both programs in turn, and compare them pair by pair."""
    env, params = envhub.make(example.id, **example.options)
    shape = (num_envs,)
    state = reset_all(env, params, shape)
    keys, actions = random_inputs(env, params, shape, steps, seed=0)
    passed = params if example.has_params else None
    hub, own = (
        rollout(over(shape, step)) for step in (hub_step(env), example.own_step(env.unwrapped))
    )
    own_state = example.own_state(state)
    programs = (
        Program(lambda _: hub(state, keys, actions, passed)),
        Program(lambda _: own(own_state, keys, actions, passed)),
    )
    same = same_bits(*(program.run(None) for program in programs))
    return {
        "id": example.id,
        "options": dict(example.options),
        "version": env.spec.version if env.spec else None,
        "same_results": same,
        **comparison(time_in_turn(programs, repeats), SIDES, num_envs * steps),
    }


def cost(before: str, what: str, repeats: int) -> Facts:
    """Milliseconds of a statement in fresh processes."""
    clock = "time.perf_counter()"
    code = f"import time, {before}; begin = {clock}; {what}; print({clock} - begin)"
    times = []
    for _ in range(repeats + 1):  # the first one may write bytecode
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        times.append(1000 * float(done.stdout))
    return {"median_ms": statistics.median(times[1:]), "min_ms": min(times[1:])}


def measure(arguments: argparse.Namespace) -> Facts:
    size = (arguments.num_envs, arguments.steps, arguments.repeats)
    return {
        **measure_rows(arguments, lambda suite: compare(EXAMPLES[suite], *size)),
        "environments": arguments.num_envs,
        "wanted": {
            "ratio": WANTED_RATIO,
            "import_ms": WANTED_IMPORT_MS,
            "question_ms": WANTED_QUESTION_MS,
        },
        "import": cost("jax", "import envhub", arguments.repeats),
        "question": cost("envhub", f"envhub.capabilities({QUESTION!r})", arguments.repeats),
    }


def draw(facts: Facts) -> None:
    headings = ("ratio", "min", "max", "CPU ratio", "hub steps/s", "own steps/s", "same")
    table = table_of("suite", *headings)
    for suite, row in facts["rows"].items():
        found, speed = row["ratio"], row["steps_per_second"]
        table.add_row(
            f"{suite} {row['version']}",
            *(f"{found[key]:.3f}" for key in ("median", "min", "max")),
            f"{row['cpu_ratio']['median']:.3f}",
            *(f"{speed[side]:,.0f}" for side in SIDES),
            word(row["same_results"]),
        )
    imported, asked = facts["import"], facts["question"]
    note = (
        f"import envhub, over import jax: {imported['median_ms']:.0f} ms "
        f"(min {imported['min_ms']:.0f}; at most {WANTED_IMPORT_MS:.0f} wanted). The first "
        f"envhub.capabilities({QUESTION!r}): {asked['median_ms']:.1f} ms "
        f"(min {asked['min_ms']:.1f}; at most {WANTED_QUESTION_MS:.0f} wanted). "
        f"Ratio: speed of the hub / speed of the suite, at least {WANTED_RATIO} wanted. "
        "Same: the results, bit for bit."
    )
    show(facts, table, note)


def main() -> None:
    parser = command_line(__doc__, EXAMPLES, steps=200)
    parser.add_argument("--num-envs", type=int, default=256, help="environments side by side")
    arguments = parser.parse_args()
    finish(arguments, measure(arguments), draw)


if __name__ == "__main__":
    main()
