"""Stable-Baselines3's PPO learns to play Craftax, which is written in JAX.

    python examples/stable_baselines3_craftax.py --out craftax.svg

`to_sb3` gives Stable-Baselines3's own interface for batches: a step of 64 worlds is one compiled
call.
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

import envhub
from envhub.export import to_sb3

NUM_ENVS, NUM_STEPS = 64, 64


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train; the mean returns of the last hundred episodes, by update.

    The first episodes to end are the short ones, in which little could be achieved.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--out", help="write the curve here, as .png or .svg")
    args = parser.parse_args(argv)
    updates = 3 if args.short else args.updates

    venv, params = envhub.make_vec("craftax::Craftax-Classic-Symbolic-v1", NUM_ENVS)
    batch = VecMonitor(to_sb3(venv, params, seed=0))
    model = PPO(
        "MlpPolicy",
        batch,
        n_steps=NUM_STEPS,
        batch_size=512,
        n_epochs=4,
        ent_coef=0.01,
        seed=0,
        device="cpu",
    )
    steps, returns = [], []
    for _ in range(updates):
        model.learn(NUM_ENVS * NUM_STEPS, reset_num_timesteps=False)
        if model.ep_info_buffer:
            steps.append(model.num_timesteps)
            returns.append(float(np.mean([episode["r"] for episode in model.ep_info_buffer])))
            print(f"{steps[-1]:9} steps: return {returns[-1]:.2f}", flush=True)
    batch.close()
    if args.out:
        figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
        axes.plot(steps, returns)
        axes.set(xlabel="steps", ylabel="return", title="Craftax-Classic, Stable-Baselines3's PPO")
        figure.savefig(args.out)
        plt.close(figure)
    return {"steps": steps, "returns": returns}


if __name__ == "__main__":
    main()
