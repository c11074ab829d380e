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
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _timing import Program, machine, ratio, time_in_turn
from rich.console import Console
from rich.table import Table

import envhub

WANTED_RATIO = 0.97
WANTED_IMPORT_MS = 50.0
BRAX_EPISODE_LENGTH = 1000

Facts = dict[str, Any]
Transition = tuple[Any, Any, Any, Any]
"""obs, state, reward, and whether the episode ended."""
Step = Callable[[Any, Any, Any, Any], Transition]
"""From key, state, action and params."""


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
        after = env._step(state, action)
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
    """brax's own state and the steps so far, of the hub's."""
    return state.env, state.steps


EXAMPLES = {
    "gymnax": Example("gymnax::CartPole-v1", {}, gymnax_step, True),
    "navix": Example("navix::Navix-DoorKey-8x8-v0", {}, navix_step, False),
    "craftax": Example("craftax::Craftax-Classic-Symbolic-v1", {}, craftax_step, True),
    "brax": Example("brax::hopper", {"backend": "spring"}, brax_step, False, brax_state),
}


def hub_step(env: envhub.Environment) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        result = env.step(key, state, action, params)
        return result.obs, result.state, result.reward, result.done

    return step


def rollout(step: Step) -> Callable[..., Any]:
    """The program that is timed; it uses obs, state, reward and done, so that none is left out."""

    def advance(carry: Any, key: Any, action: Any, params: Any) -> Any:
        state, observed, rewarded, ended = carry
        obs, state, reward, done = step(key, state, action, params)
        return state, observed + jnp.sum(obs, dtype=jnp.float32), rewarded + reward, ended + done

    def run(state: Any, keys: jax.Array, actions: jax.Array, params: Any) -> Any:
        def advance_all(carry: Any, inputs: Any) -> Any:
            key, action = inputs
            return jax.vmap(advance, in_axes=(0, 0, 0, None))(carry, key, action, params), None

        zeros = jnp.zeros(keys.shape[1])
        start = (state, zeros, zeros, zeros.astype(jnp.int32))
        return jax.lax.scan(advance_all, start, (keys, actions))[0]

    return jax.jit(run)


def compare(example: Example, num_envs: int, steps: int, repeats: int) -> Facts:
    """Run both programs in turn, and compare them pair by pair."""
    env, params = envhub.make(example.id, **example.options)
    state, keys, actions = _inputs(env, params, num_envs, steps)
    passed = params if example.has_params else None
    hub, own = rollout(hub_step(env)), rollout(example.own_step(env.unwrapped))
    own_state = example.own_state(state)
    programs = (
        Program(lambda _: hub(state, keys, actions, passed)),
        Program(lambda _: own(own_state, keys, actions, passed)),
    )
    same = _same(*(program.run(None) for program in programs))
    pairs = time_in_turn(programs, repeats)
    return {
        "id": example.id,
        "options": dict(example.options),
        "version": env.spec.version if env.spec else None,
        "same_results": same,
        "ratio": ratio(pairs[..., 0]),
        "cpu_ratio": ratio(pairs[..., 1]),
        "steps_per_second": {
            name: num_envs * steps / float(np.median(pairs[:, which, 0]))
            for which, name in enumerate(("hub", "own"))
        },
    }


def _inputs(env: envhub.Environment, params: Any, num_envs: int, steps: int) -> tuple[Any, ...]:
    """The states to start from, and a key and an action for every step."""
    reset_key, step_key, action_key = jax.random.split(jax.random.key(0), 3)
    _, state = jax.vmap(env.reset, (0, None))(jax.random.split(reset_key, num_envs), params)
    keys = jax.random.split(step_key, (steps, num_envs))
    sample = jax.vmap(jax.vmap(env.action_space(params).sample))
    return state, keys, sample(jax.random.split(action_key, (steps, num_envs)))


def _same(hub: Any, own: Any) -> bool:
    """Whether both programs computed the same, bit for bit."""
    pairs = zip(map(_bits, jax.tree.leaves(hub)), map(_bits, jax.tree.leaves(own)), strict=True)
    return all(a == b for a, b in pairs)


def _bits(leaf: jax.Array) -> bytes:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes()


def import_cost(repeats: int) -> Facts:
    """Milliseconds of `import envhub` in a process that has imported jax."""
    clock = "time.perf_counter()"
    code = f"import time, jax; begin = {clock}; import envhub; print({clock} - begin)"
    times = []
    for _ in range(repeats + 1):  # the first one may write bytecode
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        times.append(1000 * float(done.stdout))
    return {"median_ms": statistics.median(times[1:]), "min_ms": min(times[1:])}


def measure(arguments: argparse.Namespace) -> Facts:
    found, skipped = [], {}
    for suite in arguments.suite or EXAMPLES:
        print(f"{suite} …", file=sys.stderr)
        try:
            size = (arguments.num_envs, arguments.steps, arguments.repeats)
            found.append(compare(EXAMPLES[suite], *size))
        except ImportError as error:
            skipped[suite] = str(error)
    return {
        "environments": arguments.num_envs,
        "steps": arguments.steps,
        "repeats": arguments.repeats,
        "wanted": {"ratio": WANTED_RATIO, "import_ms": WANTED_IMPORT_MS},
        "machine": machine(),
        "import": import_cost(arguments.repeats),
        "suites": found,
        "skipped": skipped,
    }


def draw(facts: Facts) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("environment", overflow="fold")
    for heading in ("ratio", "min", "max", "CPU ratio", "hub steps/s", "own steps/s", "same"):
        table.add_column(heading, justify="right")
    for row in facts["suites"]:
        found, speed = row["ratio"], row["steps_per_second"]
        suite, _, name = row["id"].partition("::")
        table.add_row(
            f"{suite} {row['version']}\n{name}",
            *(f"{found[key]:.3f}" for key in ("median", "min", "max")),
            f"{row['cpu_ratio']['median']:.3f}",
            *(f"{speed[key]:,.0f}" for key in ("hub", "own")),
            "yes" if row["same_results"] else "no",
        )
    console = Console()
    console.print(table)
    cost = facts["import"]
    console.print(
        f"import envhub, over import jax: {cost['median_ms']:.0f} ms "
        f"(min {cost['min_ms']:.0f}; at most {WANTED_IMPORT_MS:.0f} wanted). "
        f"Ratio: speed of the hub / speed of the suite, at least {WANTED_RATIO} wanted. "
        "Same: the results, bit for bit."
    )
    for message in facts["skipped"].values():
        console.print(f"skipped: {message}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num-envs", type=int, default=256, help="environments side by side")
    parser.add_argument("--steps", type=int, default=200, help="steps of each in one run")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of runs")
    parser.add_argument("--suite", action="append", choices=EXAMPLES, help="one; repeatable")
    parser.add_argument("--json", action="store_true", help="print JSON to stdout, nothing else")
    arguments = parser.parse_args()
    facts = measure(arguments)
    if arguments.json:
        print(json.dumps(facts, indent=2))
    else:
        draw(facts)


if __name__ == "__main__":
    main()
