"""Stable-Baselines3's PPO learns to play Craftax, which it could never use before.

    python examples/stable_baselines3_craftax.py --out craftax.svg

`to_gymnasium_vec` gives Gymnasium's interface of batches: 64 worlds are one compiled call.
Stable-Baselines3 has an interface of its own, which differs in how it says that an episode ended.
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

import envhub
from envhub.export import to_gymnasium_vec

NUM_ENVS, NUM_STEPS = 64, 64


class Batch(VecEnv):
    """A `gymnasium.vector.VectorEnv` that resets in the same step, as Stable-Baselines3 has it."""

    def __init__(self, env: Any) -> None:
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        return self.env.reset()[0]

    def step_async(self, actions: Any) -> None:
        self.actions = actions

    def step_wait(self) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for lane in np.flatnonzero(terminated | truncated):
            infos[lane]["terminal_observation"] = info["final_obs"][lane]
            infos[lane]["TimeLimit.truncated"] = bool(truncated[lane] and not terminated[lane])
        return obs, reward, terminated | truncated, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the environments are one compiled program")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        raise NotImplementedError("the environments are one compiled program")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train; the mean returns of the last hundred episodes, by update."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--out", help="write the curve here, as .png or .svg")
    args = parser.parse_args(argv)
    updates = 3 if args.short else args.updates

    venv, params = envhub.make_vec("craftax::Craftax-Classic-Symbolic-v1", NUM_ENVS)
    batch = VecMonitor(Batch(to_gymnasium_vec(venv, params, seed=0)))
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
