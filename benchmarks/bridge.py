"""What the host bridge costs: its steps against the library's own vector environment without JAX.

Both sides play the same number of steps with the same actions, which were chosen before so that no
episode ends: neither resets anything while it is timed. On one side they are played by a jitted
scan over steps of a vmap over environments; on the other by a loop over `SyncVectorEnv.step` or
`AtariVectorEnv.step`. The two run in turn in one process, and only the ratio of a pair counts.

Rows named `…-mctx-…` are searches: mctx plans an action for each environment, with 32 simulations,
each a step of the hub from a state that is somewhere in the tree. Beside it the library steps as
many environments as often, straight on: what a search would cost that had nothing to bring back.

Rows named `…-bound-…` have no hub: the vector environment itself is stepped by a compiled program,
all at once. No bridge can be faster, whatever it makes of states.

The absolute cost of one call to the host, and of one step of one environment, comes last.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _libraries import (
    ACROBOT,
    ANTMAZE,
    CARTPOLE,
    CARTPOLE_VECTORISED,
    HOPPER,
    HUMANOID,
    MOUNTAIN_CAR,
    PONG,
    PONG_ON_ONE_CORE,
    SWINGUP,
    Kind,
)
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, seconds, time_in_turn

import envhub
from envhub.host import transport

SIMULATIONS = 32
"""In a search."""

CALLS = 1000
"""In one run of the program that does nothing but call the host."""


class Row(NamedTuple):
    """One line of the table; `wanted` is the ratio to reach. Without options there is no hub."""

    kind: Kind
    options: Mapping[str, Any] | None
    num_envs: int
    wanted: float | None
    is_search: bool = False


OPAQUE, FORKABLE, VECTOR = {"forkable": False}, {"forkable": True}, {"engine": "vector"}

ROWS = {
    "cartpole-opaque-8": Row(CARTPOLE, OPAQUE, 8, 1.0),
    "cartpole-opaque-64": Row(CARTPOLE, OPAQUE, 64, 1.1),
    "cartpole-opaque-256": Row(CARTPOLE, OPAQUE, 256, 1.4),
    "cartpole-vectorised-256": Row(CARTPOLE_VECTORISED, OPAQUE, 256, 0.6),
    "cartpole-forkable-64": Row(CARTPOLE, FORKABLE, 64, 0.6),
    "cartpole-mctx-8": Row(CARTPOLE, FORKABLE, 8, None, is_search=True),
    "cartpole-mctx-64": Row(CARTPOLE, FORKABLE, 64, None, is_search=True),
    "acrobot-mctx-8": Row(ACROBOT, FORKABLE, 8, None, is_search=True),
    "acrobot-mctx-64": Row(ACROBOT, FORKABLE, 64, None, is_search=True),
    "hopper-opaque-64": Row(HOPPER, OPAQUE, 64, 1.0),
    "hopper-forkable-64": Row(HOPPER, FORKABLE, 64, 0.9),
    "hopper-thread-64": Row(HOPPER, {**OPAQUE, "workers": "thread", "num_workers": 2}, 64, 1.5),
    "swingup-opaque-64": Row(SWINGUP, OPAQUE, 64, 0.97),
    "swingup-forkable-64": Row(SWINGUP, FORKABLE, 64, None),
    "humanoid-opaque-8": Row(HUMANOID, OPAQUE, 8, 0.97),
    "humanoid-forkable-8": Row(HUMANOID, FORKABLE, 8, 0.97),
    "swingup-bound-64": Row(SWINGUP, None, 64, None),
    "humanoid-bound-8": Row(HUMANOID, None, 8, None),
    "mountain-car-64": Row(MOUNTAIN_CAR, OPAQUE, 64, 0.97),
    "mountain-car-bound-64": Row(MOUNTAIN_CAR, None, 64, None),
    "antmaze-16": Row(ANTMAZE, OPAQUE, 16, 0.97),
    "antmaze-bound-16": Row(ANTMAZE, None, 16, None),
    "pong-vector-8": Row(PONG, VECTOR, 8, 0.9),
    "pong-vector-64": Row(PONG, VECTOR, 64, 0.9),
    "pong-bound-8": Row(PONG, None, 8, None),
    "pong-bound-64": Row(PONG, None, 64, None),
    "pong-forkable-8": Row(PONG_ON_ONE_CORE, FORKABLE, 8, 0.6),
}
ONE = Row(CARTPOLE, {}, 1, None)


class Sides(NamedTuple):
    """Both programs of a row; what they return can be compared."""

    hub: Program
    own: Program


def both_sides(row: Row, steps: int) -> Sides:
    """Build the two programs, and choose the actions.

    Raises:
        envhub.errors.EnvHubError: if the hub does not have this environment.
    """
    own = row.kind.own(row.num_envs)
    keys = jax.random.split(jax.random.key(0), row.num_envs)
    # Seeded resets of ALE load the ROM again; the others start the hub's episodes.
    seeds = [envhub.host_seed(key) for key in keys] if row.kind.same_seeds else None
    actions = chosen_actions(row.kind, own, seeds, steps)
    if row.is_search:
        hub = search(row, keys)
    elif row.options is None:
        hub = without_hub(row, seeds, actions)
    else:
        hub = with_hub(row, keys, actions)
    return Sides(hub, Program(lambda _: own_play(own, actions), lambda: own.reset(seed=seeds)[0]))


def with_hub(row: Row, keys: Any, actions: Any) -> Program:
    # As many instances as environments: the resets before each run take the same ones again. One
    # alone has an instance beside the pool's.
    most = row.num_envs if row.num_envs > 1 else None
    env, params = envhub.make(row.kind.id, **(row.options or {}), max_instances=most)
    given, reset, play = jnp.asarray(actions), hub_reset(env), hub_play(env)
    return Program(lambda start: play(*start, given, params), lambda: reset(keys, params))


def search(row: Row, keys: Any) -> Program:
    """A plan for each environment."""
    import mctx

    env, params = envhub.make(row.kind.id, **(row.options or {}))
    key, num_actions = jax.random.key(0), env.action_space().n  # type: ignore[attr-defined]

    def imagine(_: Any, key: Any, actions: Any, states: Any) -> Any:
        step = jax.vmap(env.step, in_axes=(None, 0, 0, None))
        result = step(key, states, actions, params)
        output = mctx.RecurrentFnOutput(  # type: ignore[call-arg]
            reward=result.reward,
            discount=jnp.where(result.done, 0.0, 0.95),
            prior_logits=jnp.zeros((row.num_envs, num_actions)),
            value=result.obs.sum(-1),
        )
        return output, result.state

    @jax.jit
    def plan(obs: Any, states: Any) -> Any:
        root = mctx.RootFnOutput(  # type: ignore[call-arg]
            prior_logits=jnp.zeros((row.num_envs, num_actions)),
            value=jnp.zeros(row.num_envs),
            embedding=states,
        )
        planned = mctx.gumbel_muzero_policy(None, key, root, imagine, SIMULATIONS)
        return obs, planned.action_weights

    reset = hub_reset(env)
    return Program(lambda start: plan(*start), lambda: reset(keys, params))


def without_hub(row: Row, seeds: Any, actions: Any) -> Program:
    own = row.kind.own(row.num_envs)
    given, play = jnp.asarray(actions), bound_play(StepWhole(own))

    def start() -> Any:
        return {name: jnp.asarray(leaf) for name, leaf in parts(own.reset(seed=seeds)[0]).items()}

    return Program(lambda obs: play(obs, given), start)


def chosen_actions(kind: Kind, own: Any, seeds: Any, steps: int) -> Any:
    """The actions of all steps, played once to see that no episode ends."""
    rng, actions = np.random.default_rng(0), []
    obs, _ = own.reset(seed=seeds)
    for _ in range(steps):
        actions.append(kind.choose(rng, obs))
        obs, _, terminated, truncated, _ = own.step(actions[-1])
        if terminated.any() or truncated.any():
            raise SystemExit(f"{kind.id} ends after {len(actions)} steps: choose fewer --steps")
    return np.stack(actions)


def hub_reset(env: envhub.Environment) -> Any:
    return jax.jit(jax.vmap(env.reset, in_axes=(0, None)))


def hub_play(env: envhub.Environment) -> Any:
    key = jax.random.key(0)  # not used by a step on the host

    def play(obs: Any, state: Any, actions: Any, params: Any) -> Any:
        def advance(carry: Any, action: Any) -> Any:
            _, state, rewards = carry
            step = jax.vmap(env.step, in_axes=(None, 0, 0, None))
            result = step(key, state, action, params)
            return (result.obs, result.state, rewards + result.reward), None

        start = (obs, state, jnp.zeros(actions.shape[1]))
        obs, _, rewards = jax.lax.scan(advance, start, actions)[0]
        return obs, rewards

    return jax.jit(play)


def parts(obs: Any) -> dict[str, Any]:
    """The leaves of an observation."""
    return {
        f"obs.{name}": leaf for name, leaf in (obs if isinstance(obs, dict) else {"": obs}).items()
    }


class StepWhole(NamedTuple):
    """A step of a vector environment as it is: nothing is looked up, checked or kept."""

    own: Any

    def bind(self) -> transport.HostFunction:
        def step(inputs: Any, outputs: Any, size: int) -> None:
            obs, rewards, terminated, truncated, _ = self.own.step(inputs["action"][0])
            for name, leaf in parts(obs).items():
                outputs[name][0] = leaf
            outputs["reward"][0] = rewards
            outputs["terminated"][0], outputs["truncated"][0] = terminated, truncated

        return step


def bound_play(step: StepWhole) -> Any:
    def play(obs: Any, actions: Any) -> Any:
        num_envs = (actions.shape[1],)
        forms = {name: (leaf.shape, leaf.dtype) for name, leaf in obs.items()} | flags(num_envs)

        def advance(carry: Any, action: Any) -> Any:
            out = transport.call(step, {"action": action}, forms, effect=True)
            return ({name: out[name] for name in obs}, carry[1] + out["reward"]), None

        return jax.lax.scan(advance, (obs, jnp.zeros(num_envs)), actions)[0]

    return jax.jit(play)


def flags(shape: tuple[int, ...]) -> Mapping[str, transport.Form]:
    """What a step gives beside the observation."""
    flag = (shape, np.bool_)
    return {"reward": (shape, np.float32), "terminated": flag, "truncated": flag}


def own_play(own: Any, actions: Any) -> Any:
    rewards = np.zeros(actions.shape[1])
    for action in actions:
        obs, reward, *_ = own.step(action)
        rewards += reward
    return obs, rewards


def compare(row: Row, steps: int, repeats: int) -> Facts:
    """Run both sides in turn, and compare them pair by pair."""
    steps = SIMULATIONS if row.is_search else steps
    sides = both_sides(row, steps)
    hub_obs, own_obs = (side.run(side.prepare())[0] for side in sides)
    found = comparison(time_in_turn(sides, repeats), Sides._fields, row.num_envs * steps)
    is_comparable = row.kind.same_seeds and not row.is_search
    pairs = zip(jax.tree.leaves(hub_obs), jax.tree.leaves(own_obs), strict=True)
    same = all(np.array_equal(ours, theirs.astype(ours.dtype)) for ours, theirs in pairs)
    return {
        **found,
        "wanted": row.wanted,
        "met": row.wanted is None or found["ratio"]["median"] >= row.wanted,
        "same_observations": same if is_comparable else None,
    }


class DoNothing(NamedTuple):
    """A call that leaves its outputs as they are."""

    def bind(self) -> transport.HostFunction:
        return lambda inputs, outputs, size: None


def call_cost(repeats: int) -> float:
    """Microseconds of a call to the host that does nothing, with what a step of CartPole passes."""
    _, params = envhub.make(CARTPOLE.id, **OPAQUE)
    action, values = jnp.int32(0), jnp.stack(jax.tree.leaves(params))
    forms = {"handle": ((3,), np.uint32), "obs": ((4,), np.float32), **flags(())}

    @jax.jit
    def run(handle: Any) -> Any:
        def body(handle: Any, _: Any) -> Any:
            given = {"handle": handle, "action": action, "params": values}
            return transport.call(DoNothing(), given, forms, effect=True)["handle"], None

        return jax.lax.scan(body, handle, None, CALLS)[0]

    program = Program(run, lambda: jnp.zeros(3, jnp.uint32))
    seconds(program)  # compiles
    return 1e6 / CALLS * float(np.median([seconds(program)[0] for _ in range(max(repeats, 3))]))


def absolute_costs(steps: int, repeats: int) -> Facts:
    """Microseconds of a call, and of a step of one environment with and without the hub."""
    speed = compare(ONE, steps, repeats)["steps_per_second"]
    return {
        "call_us": call_cost(repeats),
        "step_us": 1e6 / speed["hub"],
        "own_step_us": 1e6 / speed["own"],
    }


def measure(arguments: argparse.Namespace) -> Facts:
    size = (arguments.steps, arguments.repeats)
    facts = measure_rows(arguments, lambda name: compare(ROWS[name], *size))
    return {**facts, "cartpole": absolute_costs(*size)}


def draw(facts: Facts) -> None:
    headings = ("ratio", "min", "max", "wanted", "met", "CPU", "hub k/s", "own k/s", "same")
    table = table_of("row", *headings)
    for name, row in facts["rows"].items():
        table.add_row(
            name,
            *(f"{row['ratio'][key]:.2f}" for key in ("median", "min", "max")),
            *(["-", "-"] if row["wanted"] is None else [f"{row['wanted']:.2f}", word(row["met"])]),
            f"{row['cpu_ratio']['median']:.2f}",
            *(f"{row['steps_per_second'][key] / 1000:.1f}" for key in Sides._fields),
            word(row["same_observations"]),
        )
    cost = facts["cartpole"]
    note = (
        f"One call to the host that does nothing: {cost['call_us']:.1f} µs. One step of one "
        f"CartPole: {cost['step_us']:.1f} µs, and {cost['own_step_us']:.1f} µs without the hub. "
        "Ratio: speed of the hub / speed of the library's vector environment; CPU: the same by "
        "CPU time. k/s: thousands of steps a second. Same: the last observations, bit for bit."
    )
    show(facts, table, note)


def main() -> None:
    arguments = command_line(__doc__, ROWS, steps=32).parse_args()
    finish(arguments, measure(arguments), draw)


if __name__ == "__main__":
    main()
