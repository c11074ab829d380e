"""What it costs that episodes follow each other: `AutoReset` against the suites' own cures.

Both sides step the same environments, from the same states some hundred steps into play, under the
same keys and random actions, so that episodes end at different times, as in training. One side is a
jitted scan over a vmap over `AutoReset`'s step. The other is the suite's own automatic reset, a
cheaper one that gives something up, or the suite's step that never resets. They run in turn in one
process, and only the ratio of a pair counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from _rollout import (
    Shape,
    Step,
    Transition,
    hub_step,
    is_key,
    over,
    random_inputs,
    reset_all,
    rollout,
    same_bits,
)
from _script import Facts, command_line, finish, measure_rows, show, table_of, word
from _timing import Program, comparison, time_in_turn

import envhub
from envhub.wrappers import AutoReset

WARM_UP = 400  # steps
BRAX_EPISODE_LENGTH = 1000
ENVIRONMENTS_PER_RESET = 16
SIDES = ("hub", "other")


class Setting(NamedTuple):
    """What both sides step."""

    id: str
    options: tuple[tuple[str, Any], ...]
    shape: Shape


class Side(NamedTuple):
    """How to step a batch without the hub, from which state.

    Attributes:
        step: of the batch.
        state: for that step, from the hub's.
        exact: whether the results have to be the hub's.
    """

    step: Step
    state: Callable[[Any], Any] = lambda state: state
    exact: bool = False


class Scene(NamedTuple):
    """What the rows of a setting have in common, compiled and warmed up once."""

    env: envhub.Environment
    shape: Shape
    hub: Callable[..., Any]
    state: Any
    inputs: tuple[Any, ...]  # keys, actions, params


class Row(NamedTuple):
    """One line of the table: the hub against the other side; `wanted` is the ratio to reach."""

    setting: Setting
    other: Callable[[Scene], Side]
    wanted: float


def own(scene: Scene) -> Side:
    """gymnax's and craftax's step, which resets every environment in every step, and selects."""
    suite, name = scene.env.spec.suite, scene.env.spec.name
    maker = scene.env.unwrapped
    if suite == "craftax":
        from craftax.craftax_env import make_craftax_env_from_name

        maker = make_craftax_env_from_name(name, auto_reset=True)
    return Side(over(scene.shape, _suite_step(maker.step)), exact=True)


def never(scene: Scene) -> Side:
    """The suite's step that never resets: ended episodes are stepped on."""
    return Side(over(scene.shape, _suite_step(scene.env.unwrapped.step_env)))


def needed(scene: Scene) -> Side:
    """That step, and as many of the suite's own resets as episodes end; nobody gets their states.

    The ends of the hub's run are spread evenly over the steps.
    """
    step_all, suite = never(scene).step, scene.env.unwrapped
    ends, steps = int(scene.hub(scene.state, *scene.inputs)[-1].sum()), len(scene.inputs[0])

    def step(keys: Any, state: Any, actions: Any, params: Any) -> Transition:
        state, time = state
        obs, state, reward, done = step_all(keys, state, actions, params)

        def reset(index: Any, seen: Any) -> Any:
            fresh = suite.reset_env(keys[index % len(keys)], params)
            numbers = [
                leaf for leaf in map(jnp.asarray, jax.tree.leaves(fresh)) if not is_key(leaf)
            ]
            return seen + sum(jnp.sum(leaf, dtype=jnp.float32) for leaf in numbers)

        first, last = (ends * each // steps for each in (time, time + 1))
        seen = jax.lax.fori_loop(first, last, reset, jnp.float32(0))
        return obs, (state, time + 1), reward + seen, done

    return Side(step, lambda state: (state, jnp.int32(0)))


def _suite_step(own_step: Callable[..., Any]) -> Step:
    def step(key: Any, state: Any, action: Any, params: Any) -> Transition:
        obs, state, reward, *flags, _ = own_step(key, state, action, params)
        return obs, state, reward, functools.reduce(jnp.logical_or, flags)

    return step


def optimistic(scene: Scene) -> Side:
    """Craftax Baselines' `OptimisticResetVecEnvWrapper`, written anew after what it does.

    One reset for every 16 environments, in every step. Each belongs to one of those that ended,
    chosen by chance, while there are enough; if more end, they share.
    """
    (size,), suite = scene.shape, scene.env.unwrapped
    count, step_all = size // ENVIRONMENTS_PER_RESET, never(scene).step

    def step(keys: Any, state: Any, actions: Any, params: Any) -> Transition:
        obs, state, reward, done = step_all(keys, state, actions, params)
        choice_key, reset_key = jax.random.split(keys[0])
        resets = jax.vmap(suite.reset_env, in_axes=(0, None))
        fresh = resets(jax.random.split(reset_key, count), params)
        ended = jax.random.choice(
            choice_key, size, (count,), replace=False, p=done.astype(jnp.float32)
        )
        source = jnp.arange(size) // ENVIRONMENTS_PER_RESET
        source = source.at[ended].set(jnp.arange(count))

        def select(new: Any, old: Any) -> Any:
            return jnp.where(done.reshape(size, *(1,) * (old.ndim - 1)), new[source], old)

        obs, state = jax.tree.map(select, fresh, (obs, state))
        return obs, state, reward, done

    return Side(step)


def cached(scene: Scene) -> Side:
    """brax's training wrappers: each environment replays its first state for ever."""
    from brax.envs.wrappers import training

    limited = training.EpisodeWrapper(scene.env.unwrapped, BRAX_EPISODE_LENGTH, action_repeat=1)
    wrapped = training.AutoResetWrapper(training.VmapWrapper(limited))

    def step(keys: Any, state: Any, actions: Any, params: Any) -> Transition:
        after = wrapped.step(state, actions)
        return after.obs, after, after.reward, after.done > 0

    def state_of(state: Any) -> Any:
        start = jax.jit(wrapped.reset)(jax.random.split(jax.random.key(1), scene.shape))
        info = {**start.info, "steps": state.steps.astype(start.info["steps"].dtype)}
        current = state.env
        return start.replace(pipeline_state=current.pipeline_state, obs=current.obs, info=info)

    return Side(step, state_of)


CLASSIC = Setting("craftax::Craftax-Classic-Symbolic-v1", (), (256,))
NESTED = CLASSIC._replace(shape=(4, 64))
CRAFTAX = Setting("craftax::Craftax-Symbolic-v1", (), (64,))
CARTPOLE = Setting("gymnax::CartPole-v1", (), (1024,))
HOPPER = Setting("brax::hopper", (("backend", "spring"),), (128,))

ROWS = {
    "cartpole-1024-own": Row(CARTPOLE, own, 0.95),
    "hopper-128-cached": Row(HOPPER, cached, 0.95),
    "craftax-classic-256-own": Row(CLASSIC, own, 10.0),
    "craftax-classic-256-never": Row(CLASSIC, never, 0.9),
    "craftax-classic-256-needed": Row(CLASSIC, needed, 0.95),
    "craftax-classic-256-optimistic": Row(CLASSIC, optimistic, 1.0),
    "craftax-classic-4x64-own": Row(NESTED, own, 5.0),
    "craftax-64-own": Row(CRAFTAX, own, 12.0),
}


@functools.cache
def scene_of(setting: Setting, steps: int) -> Scene:
    env, params = envhub.make(setting.id, **dict(setting.options))
    hub = rollout(over(setting.shape, hub_step(AutoReset(env))))
    inputs = functools.partial(random_inputs, env, params, setting.shape)
    state = reset_all(env, params, setting.shape)
    # In runs of as many steps as are timed, so that nothing is compiled twice.
    for seed in range(-(-WARM_UP // steps)):
        state = hub(state, *inputs(steps, seed + 1), params)[0]
    return Scene(env, setting.shape, hub, state, (*inputs(steps, 0), params))


def compare(row: Row, steps: int, repeats: int) -> Facts:
    """Run both sides in turn, and compare them pair by pair."""
    scene = scene_of(row.setting, steps)
    hub, state, inputs, side = scene.hub, scene.state, scene.inputs, row.other(scene)
    other, other_state = rollout(side.step), side.state(state)
    programs = (
        Program(lambda _: hub(state, *inputs)),
        Program(lambda _: other(other_state, *inputs)),
    )
    results = [program.run(None) for program in programs]
    found = comparison(time_in_turn(programs, repeats), SIDES, inputs[0].size)
    return {
        **found,
        "wanted": row.wanted,
        "met": found["ratio"]["median"] >= row.wanted,
        "ends_per_step": float(results[0][-1].sum()) / steps,
        "same_results": same_bits(*results) if side.exact else None,
    }


def draw(facts: Facts) -> None:
    headings = (
        "ratio",
        "min",
        "max",
        "wanted",
        "met",
        "CPU",
        "hub k/s",
        "other k/s",
        "ends",
        "same",
    )
    table = table_of("row", *headings)
    for name, row in facts["rows"].items():
        table.add_row(
            name,
            *(f"{row['ratio'][key]:.2f}" for key in ("median", "min", "max")),
            f"{row['wanted']:.2f}",
            word(row["met"]),
            f"{row['cpu_ratio']['median']:.2f}",
            *(f"{row['steps_per_second'][key] / 1000:.1f}" for key in SIDES),
            f"{row['ends_per_step']:.1f}",
            word(row["same_results"]),
        )
    note = (
        "Ratio: speed of AutoReset / speed of the other; CPU: the same by CPU time. k/s: thousands "
        "of steps a second. Ends: episodes that end in a step of the batch. Same: the results, bit "
        "for bit; the others give something up: `never` starts no episode, `needed` computes the "
        "resets and drops them, `optimistic` shares resets, and `cached` replays each "
        "environment's first state for ever."
    )
    show(facts, table, note)


def main() -> None:
    arguments = command_line(__doc__, ROWS, steps=32, repeats=7).parse_args()
    size = (arguments.steps, arguments.repeats)
    facts = measure_rows(arguments, lambda name: compare(ROWS[name], *size))
    finish(arguments, facts, draw)


if __name__ == "__main__":
    main()
