"""A PyTorch policy learns to hop in brax, through Gymnasium's vector interface.

    python examples/torch_policy_gradient.py --out hopper.svg

`brax::hopper` runs in JAX, and the policy runs in PyTorch. With `array="torch"`, the observations,
rewards and actions of all environments cross by DLPack: both libraries read the same memory.
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import nn

import envhub
from envhub.export import to_gymnasium_vec

STEPS, EPOCHS, MINIBATCHES = 32, 4, 8  # of one update
DISCOUNT, TRACE, CLIP = 0.99, 0.95, 0.2


def network(num_inputs: int, num_outputs: int) -> nn.Module:
    """Two hidden layers."""
    layers = [nn.Linear(num_inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(64, num_outputs))


class Policy(nn.Module):
    """A Gaussian over actions, and the value of an observation."""

    def __init__(self, num_obs: int, num_actions: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(num_obs, affine=False, momentum=None).eval()
        self.mean, self.value = network(num_obs, num_actions), network(num_obs, 1)
        self.log_std = nn.Parameter(torch.full((num_actions,), -0.5))

    def forward(self, obs: torch.Tensor) -> tuple[torch.distributions.Distribution, torch.Tensor]:
        obs = self.scale(obs)
        actions = torch.distributions.Normal(self.mean(obs), self.log_std.exp())
        return torch.distributions.Independent(actions, 1), self.value(obs).squeeze(-1)


@torch.no_grad()
def collect(env: Any, policy: Policy, obs: torch.Tensor) -> tuple[dict[str, Any], torch.Tensor]:
    """`STEPS` steps of every environment, time first; and the observation after them."""
    steps = []
    for _ in range(STEPS):
        actions, value = policy(obs)
        action = actions.sample()
        after, reward, terminated, truncated, info = env.step(action.clamp(-1, 1))
        # A limit is not an end of the task: what it cut off was worth something.
        cut_off = DISCOUNT * policy(info["final_obs"])[1] * (truncated & ~terminated)
        done = terminated | truncated
        steps.append((obs, action, actions.log_prob(action), value, reward, cut_off, done))
        obs = after
    names = ("obs", "action", "log_prob", "value", "reward", "cut_off", "done")
    batch = dict(zip(names, map(torch.stack, zip(*steps, strict=True)), strict=True))
    batch["advantage"] = torch.empty_like(batch["value"])
    value_after, advantage = policy(obs)[1], torch.zeros(len(obs))
    for t in reversed(range(STEPS)):
        goes_on = DISCOUNT * ~batch["done"][t]
        worth = batch["reward"][t] + batch["cut_off"][t] + goes_on * value_after
        advantage = worth - batch["value"][t] + goes_on * TRACE * advantage
        batch["advantage"][t], value_after = advantage, batch["value"][t]
    return batch, obs


def improve(policy: Policy, optimizer: Any, batch: dict[str, torch.Tensor]) -> None:
    """Several epochs of the clipped policy gradient (PPO) on one batch."""
    flat = {name: value.flatten(0, 1) for name, value in batch.items()}
    for _ in range(EPOCHS):
        for part in torch.randperm(len(flat["value"])).chunk(MINIBATCHES):
            actions, value = policy(flat["obs"][part])
            gain = flat["advantage"][part]
            value_loss = nn.functional.huber_loss(value, flat["value"][part] + gain)
            gain = (gain - gain.mean()) / (gain.std() + 1e-6)
            ratio = (actions.log_prob(flat["action"][part]) - flat["log_prob"][part]).exp()
            clipped = torch.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain)
            optimizer.zero_grad()
            (0.5 * value_loss - clipped.mean()).backward()
            nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
    policy.scale.train()(flat["obs"])  # what later observations are scaled by
    policy.scale.eval()


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train; the mean returns of the episodes that ended, by update."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--updates", type=int, default=150)
    parser.add_argument("--out", help="write the curve here, as .png or .svg")
    args = parser.parse_args(argv)
    num_envs, updates = (64, 3) if args.short else (512, args.updates)

    torch.manual_seed(0)
    venv, params = envhub.make_vec("brax::hopper", num_envs, backend="spring")
    env = to_gymnasium_vec(venv, params, seed=0, array="torch")
    policy = Policy(env.single_observation_space.shape[0], env.single_action_space.shape[0])
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    obs, _ = env.reset()
    so_far, steps, returns = torch.zeros(num_envs), [], []
    for update in range(updates):
        batch, obs = collect(env, policy, obs)
        improve(policy, optimizer, batch)
        ended = []
        for reward, done in zip(batch["reward"], batch["done"], strict=True):
            so_far += reward
            ended += so_far[done].tolist()
            so_far[done] = 0
        if ended:
            steps.append((update + 1) * STEPS * num_envs)
            returns.append(sum(ended) / len(ended))
            print(f"{steps[-1]:9} steps: return {returns[-1]:.1f}", flush=True)
    if args.out:
        figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
        axes.plot(steps, returns)
        axes.set(xlabel="steps", ylabel="return", title="brax::hopper, a policy in PyTorch")
        figure.savefig(args.out)
        plt.close(figure)
    return {"steps": steps, "returns": returns}


if __name__ == "__main__":
    main()
