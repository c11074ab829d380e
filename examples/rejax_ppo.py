"""rejax's PPO, which takes gymnax environments, trains on Gymnasium's CartPole in Python.

    python examples/rejax_ppo.py --out rejax_ppo.svg

rejax compiles a whole training run into one program and trains several seeds with `jax.vmap`. It
takes only gymnax environments, which are written in JAX. `envhub.export.to_gymnax` makes a gymnax
environment of any environment.
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import rejax
from rejax.evaluate import evaluate

import envhub
from envhub.export import to_gymnax

SEEDS, EPISODES = 4, 16


def make_trainer(env_id: str, total_timesteps: int, eval_freq: int) -> Any:
    """rejax's PPO for an environment of any suite."""
    # rejax 0.1.3 unpacks the five values of a step of gymnax 0.0.x.
    env = to_gymnax(*envhub.make(env_id), api="0.0")

    def evaluate_some(trainer: Any, state: Any, key: Any) -> Any:
        limit = trainer.env_params.max_steps_in_episode
        return evaluate(
            trainer.make_act(state), key, trainer.env, trainer.env_params, EPISODES, limit
        )

    trainer = rejax.get_algo("ppo").create(
        env=env,
        total_timesteps=total_timesteps,
        eval_freq=eval_freq,
        num_envs=16,
        num_steps=64,
        num_epochs=4,
        num_minibatches=4,
        learning_rate=2.5e-3,
        max_grad_norm=0.5,
        normalize_rewards=True,  # an update moves its values by 0.2 at most
    )
    return trainer.replace(eval_callback=evaluate_some)


def draw(env_id: str, steps: Any, returns: Any, path: str) -> None:
    """Draw the mean return of each seed's evaluations."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for seed, curve in enumerate(returns):
        axes.plot(steps, curve, label=f"seed {seed}", linewidth=1)
    axes.set(title=f"rejax's PPO on {env_id}", xlabel="steps of each seed", ylabel="mean return")
    axes.legend(frameon=False)
    figure.savefig(path)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train, and return the mean return of each seed at each evaluation."""
    parser = argparse.ArgumentParser(description="rejax's PPO on an environment of any suite")
    parser.add_argument("env_id", nargs="?", default="gymnasium::CartPole-v1")
    parser.add_argument("--short", action="store_true", help="less training")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    options = parser.parse_args(argv)
    total, every = (24_576, 8_192) if options.short else (98_304, 8_192)
    trainer = make_trainer(options.env_id, total, every)
    keys = jax.random.split(jax.random.key(0), SEEDS)
    _, (_, returns) = jax.jit(jax.vmap(trainer.train))(keys)
    returns = np.asarray(returns).mean(-1)  # over the episodes
    if options.out:
        steps = every * np.arange(returns.shape[1])
        draw(options.env_id, steps, returns, options.out)
    return {"returns": returns.tolist()}


if __name__ == "__main__":
    print(np.round(main()["returns"], 1))
