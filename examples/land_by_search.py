"""Tree search with mctx in an environment whose state cannot be saved.

    python examples/land_by_search.py --out land_by_search.png

Box2D's worlds cannot be saved. With `forkable=True`, a state of Gymnasium's LunarLander holds the
seed and the actions of its episode, and envhub plays them again where the search steps from it. So
the search needs no learned model. It improves on the policy whose rollouts it compares: a pilot who
only brakes, and never turns.
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import mctx
import numpy as np

import envhub

KEY = jax.random.key(0)
REPEATS, SIMULATIONS, DISCOUNT = 5, 12, 0.99
ROLLOUT = 8  # decisions
NOTHING, MAIN_ENGINE = 0, 2


def brake(obs: Any) -> Any:
    """Fire the main engine where the lander falls faster than its height allows."""
    height, falling = obs[..., 1], -obs[..., 3]
    return jnp.where(falling > 0.1 + 0.3 * height, MAIN_ENGINE, NOTHING)


def play(env: Any, choose: Any, key: Any, num_episodes: int, num_steps: int) -> dict[str, Any]:
    """Play episodes side by side, in which `choose(key, obs, state)` gives the actions.

    Returns:
        The return of each episode, and the place of the lander at each decision.
    """

    def body(at: Any, key: Any) -> Any:
        obs, state, is_over = at
        result = jax.vmap(env.step, in_axes=(None, 0, 0))(key, state, choose(key, obs, state))
        shown = {"obs": obs, "reward": jnp.where(is_over, 0.0, result.reward), "is_over": is_over}
        return (result.obs, result.state, is_over | result.done), shown

    @jax.jit
    def run(key: Any) -> Any:
        obs, state = jax.vmap(env.reset)(jax.random.split(key, num_episodes))
        start = (obs, state, jnp.zeros(num_episodes, bool))
        return jax.lax.scan(body, start, jax.random.split(key, num_steps))[1]

    shown = jax.tree.map(np.asarray, run(key))
    places = np.where(shown["is_over"][..., None], np.nan, shown["obs"][..., :2])
    return {"returns": shown["reward"].sum(0), "places": places}


def planner(env: Any) -> Any:
    """A function that plans an action for each state of a batch."""
    step = jax.vmap(env.step, in_axes=(None, 0, 0))
    num_actions = env.action_space().n

    def value(obs: Any, state: Any) -> Any:
        """The rewards of a pilot who only brakes."""

        def body(at: Any, _: Any) -> Any:
            result = step(KEY, at[1], brake(at[0]))
            return (result.obs, result.state), result.reward  # 0 after the end of an episode

        rewards = jax.lax.scan(body, (obs, state), None, ROLLOUT)[1]
        return (rewards * DISCOUNT ** jnp.arange(ROLLOUT)[:, None]).sum(0)

    def imagine(_: Any, key: Any, action: Any, state: Any) -> Any:
        result = step(key, state, action)
        node = mctx.RecurrentFnOutput(
            reward=result.reward,
            discount=jnp.where(result.done, 0.0, DISCOUNT),
            prior_logits=jnp.zeros((len(action), num_actions)),
            value=jnp.where(result.done, 0.0, value(result.obs, result.state)),
        )
        return node, result.state

    def plan(key: Any, obs: Any, state: Any) -> Any:
        root = mctx.RootFnOutput(
            prior_logits=jnp.zeros((len(obs), num_actions)),
            value=value(obs, state),
            embedding=state,
        )
        return mctx.gumbel_muzero_policy(None, key, root, imagine, SIMULATIONS).action

    return plan


def draw(found: dict[str, Any], path: str) -> None:
    """Draw the ways of the landers, with search and without."""
    figure, axes = plt.subplots(1, len(found), figsize=(9, 4), sharey=True, layout="constrained")
    for each, (name, shown) in zip(axes, found.items(), strict=True):
        each.plot(shown["places"][..., 0], shown["places"][..., 1], color="C0", alpha=0.6)
        each.plot([-0.2, 0.2], [0, 0], color="C3", linewidth=4)  # the pad
        mean = shown["returns"].mean()
        each.set(title=f"{name}: mean return {mean:.0f}", xlabel="x", ylim=(-0.1, 1.6))
    axes[0].set_ylabel("height")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Play with search and without, and return what the episodes showed."""
    parser = argparse.ArgumentParser(description="tree search where a state cannot be saved")
    parser.add_argument("--short", action="store_true", help="two episodes")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    options = parser.parse_args(argv)
    num_episodes, num_steps = (2, 40) if options.short else (10, 80)
    env, _ = envhub.make(
        "gymnasium::LunarLander-v3",
        forkable=True,
        render_mode=None,
        wrappers=[envhub.wrappers.RepeatAction(num_repeats=REPEATS)],
    )
    found = {
        "braking only": play(env, lambda key, obs, state: brake(obs), KEY, num_episodes, num_steps),
        "search": play(env, planner(env), KEY, num_episodes, num_steps),
    }
    if options.out:
        draw(found, options.out)
    return found


if __name__ == "__main__":
    for name, shown in main().items():
        print(f"{name}: mean return {shown['returns'].mean():.0f}")
