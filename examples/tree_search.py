"""Tree search with mctx: the environment itself is the model.

    python examples/tree_search.py --out tree_search.png

mctx grows a tree in a compiled program: it keeps a state in every node, and steps from any node.
Gymnasium's CartPole runs in Python, and Pong runs in an emulator. With `forkable=True` their states
are values too, so the search needs no learned model, no network and no training.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import mctx
import numpy as np

import envhub

KEY = jax.random.key(0)


def planner(env: Any, value: Callable[..., Any], *, discount: float, simulations: int) -> Any:
    """A function that plans an action, from a key, an observation and a state.

    Args:
        env: a forkable environment with discrete actions.
        value: from key, observation and state, the return to expect from there.
        discount: of a step.
        simulations: how many nodes a tree has, besides its root.
    """
    no_preference = jnp.zeros((1, env.action_space().n))  # mctx searches for a batch: here of one

    def imagine(_: Any, key: Any, action: Any, state: Any) -> Any:
        value_key, step_key = jax.random.split(key)
        state = jax.tree.map(lambda leaf: leaf[0], state)
        result = env.step(step_key, state, action[0])
        node = mctx.RecurrentFnOutput(
            reward=result.reward[None],
            discount=jnp.where(result.done, 0.0, discount)[None],
            prior_logits=no_preference,
            value=value(value_key, result.obs, result.state)[None],
        )
        return node, jax.tree.map(lambda leaf: leaf[None], result.state)

    def plan(key: Any, obs: Any, state: Any) -> Any:
        value_key, search_key = jax.random.split(key)
        root = mctx.RootFnOutput(
            prior_logits=no_preference,
            value=value(value_key, obs, state)[None],
            embedding=jax.tree.map(lambda leaf: leaf[None], state),
        )
        found = mctx.gumbel_muzero_policy(None, search_key, root, imagine, simulations)
        return found.action[0]

    return plan


def play(env: Any, choose: Callable[..., Any], start: Any, num_steps: int) -> dict[str, Any]:
    """What an episode shows, where `choose(key, obs, state)` gives the actions."""

    def body(at: Any, key: Any) -> Any:
        action_key, step_key = jax.random.split(key)
        action = choose(action_key, *at)
        result = env.step(step_key, at[1], action)
        shown = {"obs": result.obs, "action": action, "reward": result.reward, "done": result.done}
        return (result.obs, result.state), shown

    keys = jax.random.split(KEY, num_steps)
    last, shown = jax.jit(lambda start: jax.lax.scan(body, start, keys))(start)
    return {**jax.tree.map(np.asarray, shown), "last": last}


def balance(num_steps: int) -> dict[str, Any]:
    """CartPole by search, and by chance."""
    env, _ = envhub.make("gymnasium::CartPole-v1", forkable=True)
    discount, limits = 0.95, jnp.array([2.4, 0.21])  # of the cart's position and the pole's angle

    def room(_: Any, obs: Any, state: Any) -> Any:
        """How far the cart and the pole are from where an episode ends."""
        return (1 - jnp.sum((obs[jnp.array([0, 2])] / limits) ** 2)) / (1 - discount)

    def by_chance(key: Any, obs: Any, state: Any) -> Any:
        return env.action_space().sample(key)

    search = planner(env, room, discount=discount, simulations=8)
    start = env.reset(KEY)
    return {
        "search": play(env, search, start, num_steps),
        "by chance": play(env, by_chance, start, num_steps),
    }


def defend() -> dict[str, Any]:
    """Pong from where a ball comes that is lost if the paddle stays: by search, and staying."""
    env, _ = envhub.make("ale::pong", forkable=True, max_instances=4)

    def stay(key: Any, obs: Any, state: Any) -> Any:
        return jnp.int32(0)

    def points(key: Any, obs: Any, state: Any) -> Any:
        """What a game brings in which the paddle moves by chance."""
        actions = jax.random.randint(key, (24,), 0, env.action_space().n)

        def body(state: Any, action: Any) -> Any:
            result = env.step(KEY, state, action)
            return result.state, result.reward

        return jax.lax.scan(body, state, actions)[1].sum()

    search = planner(env, points, discount=1.0, simulations=16)
    ball_is_coming = play(env, stay, env.reset(KEY), 42)["last"]
    return {
        "search": play(env, search, ball_is_coming, 32),
        "staying": play(env, stay, ball_is_coming, 32),
    }


def draw(pole: dict[str, Any], pong: dict[str, Any], path: str) -> None:
    """Draw the pole's angle over time, and some pictures of both games of Pong."""
    figure = plt.figure(figsize=(9, 6), layout="constrained")
    grid = figure.add_gridspec(3, 8, height_ratios=[1.6, 1, 1])
    axes = figure.add_subplot(grid[0, :])
    for name, shown in pole.items():
        length = 1 + np.argmax(np.append(shown["done"], True))
        axes.plot(np.degrees(shown["obs"][:length, 2]), label=name)
    axes.set(title="gymnasium::CartPole-v1", xlabel="step", ylabel="angle of the pole, degrees")
    axes.legend(frameon=False)
    for row, (name, shown) in enumerate(pong.items(), start=1):
        for column in range(8):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(shown["obs"][4 * column, -1], cmap="gray", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[], ylabel="" if column else f"ale::pong, {name}")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Search in both, and return what the episodes showed, with search and without."""
    parser = argparse.ArgumentParser(description="tree search in the environment itself")
    parser.add_argument("--short", action="store_true", help="a shorter episode of CartPole")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    options = parser.parse_args(argv)
    pole, pong = balance(100 if options.short else 200), defend()
    if options.out:
        draw(pole, pong, options.out)
    return {"pole": pole, "pong": pong}


if __name__ == "__main__":
    for episodes in main().values():
        print({name: float(shown["reward"].sum()) for name, shown in episodes.items()})
