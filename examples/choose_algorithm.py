"""Check the capabilities of an environment, choose an algorithm by them, and run it.

    python examples/choose_algorithm.py --out choose_algorithm.png

`envhub.capabilities` answers before anything is constructed, and gives the reason for each missing
capability. The file has three small algorithms that act from one first state. Each relies on
capabilities that not every environment has. The script runs the first algorithm of the list that
the environment supports.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import envhub

KEY = jax.random.key(0)
STEPS = 100  # of an episode are played


def advance(env: Any, at: Any, action: Any) -> Any:
    """One step of an episode, or nothing if it is over; and the reward."""
    _, state, is_over = at
    result = env.step(KEY, state, action)
    return (result.obs, result.state, is_over | result.done), result.reward * ~is_over


def returns_of(env: Any, start: Any, choose: Callable[[Any, Any], Any]) -> Any:
    """The return of an episode in which `choose(step, obs)` gives the actions."""
    at = (*start, jnp.bool_(False))
    steps = jnp.arange(STEPS)
    return jax.lax.scan(lambda at, step: advance(env, at, choose(step, at[0])), at, steps)[1].sum()


def by_chance(env: Any) -> Any:
    """Random actions, to compare with."""
    keys = jax.random.split(KEY, STEPS)
    return returns_of(env, env.reset(KEY), lambda step, _: env.action_space().sample(keys[step]))


def ascend(env: Any) -> Any:
    """Improve a plan of actions along its gradient, through all steps of the environment."""
    start, space = env.reset(KEY), env.action_space()

    def gain(plan: Any) -> Any:
        return returns_of(env, start, lambda step, _: plan[step])

    def improve(plan: Any, _: None) -> Any:
        uphill = jax.grad(gain)(plan)
        uphill /= jnp.linalg.norm(uphill) + 1e-6
        return jnp.clip(plan + uphill, space.low, space.high), None

    return gain(jax.lax.scan(improve, jnp.zeros((STEPS, *space.shape)), None, 100)[0])


def search(env: Any, *, width: int = 32, depth: int = 12) -> Any:
    """In each step try many futures from where it is, and take the first action of the best."""

    def future(at: Any, key: Any) -> Any:
        actions = jax.vmap(env.action_space().sample)(jax.random.split(key, depth))
        rewards = jax.lax.scan(functools.partial(advance, env), at, actions)[1]
        return actions[0], rewards.sum()

    def body(at: Any, key: Any) -> Any:
        keys = jax.random.split(key, width)
        actions, returns = jax.vmap(future, in_axes=(None, 0))(at, keys)
        return advance(env, at, actions[returns.argmax()])

    start = (*env.reset(KEY), jnp.bool_(False))
    return jax.lax.scan(body, start, jax.random.split(KEY, STEPS))[1].sum()


def evolve(env: Any, *, population: int = 32, elite: int = 6, generations: int = 8) -> Any:
    """Play an episode with each of many linear policies, and draw the next ones near the best."""
    num_inputs, num_actions = env.observation_space().shape[0], env.action_space().n

    def play(policy: Any, key: Any) -> Any:
        return returns_of(env, env.reset(key), lambda _, obs: (policy @ obs).argmax())

    def generation(carry: Any, key: Any) -> Any:
        mean, spread = carry
        policies = mean + spread * jax.random.normal(key, (population, *mean.shape))
        # One key, but an episode for each: a state that cannot be forked goes on in one way only.
        returns = jax.vmap(play)(policies, jnp.broadcast_to(KEY, population))
        best = policies[jnp.argsort(-returns)[:elite]]
        return (best.mean(0), best.std(0) + 0.1), returns.max()

    start = jnp.zeros((num_actions, num_inputs)), jnp.ones((num_actions, num_inputs))
    return jax.lax.scan(generation, start, jax.random.split(KEY, generations))[1].max()


class Algorithm(NamedTuple):
    """What runs, and which capabilities it relies on."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[Any], Any]


ALGORITHMS = (
    Algorithm("gradient through the steps", ("differentiable",), ascend),
    Algorithm("search from any state", ("forkable", "vmap_safe"), search),
    Algorithm("population under vmap", ("vmap_safe",), evolve),
)
ENVIRONMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("gymnax::Pendulum-v1", {"transition_gradients": True}),
    ("gymnasium::CartPole-v1", {}),
    ("gymnasium::LunarLander-v3", {}),
    ("gymnax::Pendulum-v1", {}),
    ("brax::hopper", {}),
    ("brax::hopper", {"backend": "mjx"}),
    ("craftax::Craftax-Classic-Symbolic-v1", {}),
    ("ale::pong", {}),
    ("ale::pong", {"forkable": True}),
)
RUN = 3  # the first of them


def choose(env_id: str, **options: Any) -> tuple[Algorithm, dict[str, dict[str, str]]]:
    """The first algorithm that lacks nothing, and by name what each lacks, with the reasons."""
    found = envhub.capabilities(env_id, **options)
    lacks = {
        algorithm.name: {flag: found.why(flag) for flag in algorithm.needs if found.why(flag)}
        for algorithm in ALGORITHMS
    }
    return next(algorithm for algorithm in ALGORITHMS if not lacks[algorithm.name]), lacks


def draw(rows: list[dict[str, Any]], path: str) -> None:
    """Draw which algorithm can run where, and which was chosen."""
    names = [algorithm.name for algorithm in ALGORITHMS]
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    shades = np.zeros((len(rows), len(names)))
    for (y, x), _ in np.ndenumerate(shades):
        row, lack = rows[y], rows[y]["lacks"][names[x]]
        is_chosen = names[x] == row["chosen"]
        shades[y, x] = 0 if lack else 1 + is_chosen
        text = "chosen" if is_chosen else f"not {', '.join(lack)}" if lack else ""
        if is_chosen and "return" in row:
            text += f": return {row['return']:.0f}, by chance {row['by_chance']:.0f}"
        axes.text(x, y, text, ha="center", va="center", fontsize=8)
    axes.imshow(shades, cmap="Greens", vmin=0, vmax=4, aspect="auto")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(rows)), [row["environment"] for row in rows], fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Choose for each environment, run it for some, and return a row for each."""
    parser = argparse.ArgumentParser(description="algorithms chosen by capabilities")
    parser.add_argument("--short", action="store_true", help="the same: it takes seconds")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    out = parser.parse_args(argv).out
    rows = []
    for env_id, options in ENVIRONMENTS:
        chosen, lacks = choose(env_id, **options)
        name = ", ".join([env_id, *(f"{key}={value!r}" for key, value in options.items())])
        rows.append({"environment": name, "chosen": chosen.name, "lacks": lacks})
        if len(rows) <= RUN:
            env, _ = envhub.make(env_id, **options)
            rows[-1]["return"] = float(jax.jit(functools.partial(chosen.run, env))())
            rows[-1]["by_chance"] = float(jax.jit(functools.partial(by_chance, env))())
    if out:
        draw(rows, out)
    return {"rows": rows}


if __name__ == "__main__":
    for row in main()["rows"]:
        print(f"{row['environment']}: {row['chosen']}")
        for name, lack in row["lacks"].items():
            for flag, reason in lack.items():
                print(f"    no {name}, not {flag}: {reason}")
        if "return" in row:
            print(f"    return {row['return']:.0f}, by chance {row['by_chance']:.0f}")
