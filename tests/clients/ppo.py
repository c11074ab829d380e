"""PPO in one file, in the style of CleanRL: it knows Gymnasium and PyTorch, and an id.

python tests/clients/ppo.py --env-id envhub.gym:gymnax/CartPole-v1
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env-id", default="CartPole-v1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--total-timesteps", type=int, default=60_000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--num-envs", type=int, default=16)
    parser.add_argument("--num-steps", type=int, default=64)
    parser.add_argument("--gamma", type=float, default=0.99)
    parser.add_argument("--gae-lambda", type=float, default=0.95)
    parser.add_argument("--num-minibatches", type=int, default=4)
    parser.add_argument("--update-epochs", type=int, default=4)
    parser.add_argument("--clip-coef", type=float, default=0.2)
    return parser.parse_args(argv)


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """Orthogonal weights and no bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


def network(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    """Two hidden layers."""
    hidden = [layer(inputs, 64), nn.Tanh(), layer(64, 64), nn.Tanh()]
    return nn.Sequential(*hidden, layer(64, outputs, gain))


class Agent(nn.Module):
    """An actor and a critic."""

    def __init__(self, envs: Any) -> None:
        super().__init__()
        size = int(np.prod(envs.single_observation_space.shape))
        self.critic = network(size, 1, 1.0)
        self.actor = network(size, int(envs.single_action_space.n), 0.01)

    def forward(self, obs: torch.Tensor) -> tuple[torch.distributions.Categorical, torch.Tensor]:
        obs = obs.flatten(1)
        return torch.distributions.Categorical(logits=self.actor(obs)), self.critic(obs).squeeze(-1)


def advantages(
    args: argparse.Namespace, rewards: torch.Tensor, values: torch.Tensor, ends: torch.Tensor
) -> torch.Tensor:
    """Generalised advantages; `values` and `ends` have one more step than the rewards."""
    found, last = torch.zeros_like(rewards), torch.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        goes_on = 1 - ends[step + 1]
        error = rewards[step] + args.gamma * values[step + 1] * goes_on - values[step]
        last = error + args.gamma * args.gae_lambda * goes_on * last
        found[step] = last
    return found


def update(
    args: argparse.Namespace, agent: Agent, optimizer: Any, batch: dict[str, torch.Tensor]
) -> None:
    """Some epochs over the batch, in minibatches."""
    for _ in range(args.update_epochs):
        for chosen in torch.randperm(len(batch["action"])).chunk(args.num_minibatches):
            part = {name: values[chosen] for name, values in batch.items()}
            policy, value = agent(part["obs"])
            ratio = (policy.log_prob(part["action"]) - part["log_prob"]).exp()
            gain = part["advantage"]
            gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
            loss = -torch.min(gain * ratio, gain * clipped).mean()
            loss += 0.5 * (value - part["return"]).square().mean() - 0.01 * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


def main(argv: Sequence[str] | None = None) -> list[float]:
    """Train, and give the return of every episode in the order in which they ended."""
    args = arguments(argv)
    torch.manual_seed(args.seed)
    envs = gymnasium.make_vec(args.env_id, num_envs=args.num_envs)
    envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
    agent = Agent(envs)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    obs, end = torch.as_tensor(envs.reset(seed=args.seed)[0]), torch.zeros(args.num_envs)
    returns: list[float] = []
    for _ in range(args.total_timesteps // (args.num_envs * args.num_steps)):
        steps, ends, rewards = [], [end], []
        for _ in range(args.num_steps):
            with torch.no_grad():
                policy, value = agent(obs)
            action = policy.sample()
            steps.append((obs, action, policy.log_prob(action), value))
            after, reward, terminated, truncated, info = envs.step(action.numpy())
            rewards.append(torch.as_tensor(reward, dtype=torch.float32))
            if "episode" in info:
                returns += info["episode"]["r"][info["_episode"]].tolist()
            obs, end = torch.as_tensor(after), torch.as_tensor(terminated | truncated).float()
            ends.append(end)
        with torch.no_grad():
            last_value = agent(obs)[1]
        names = ("obs", "action", "log_prob", "value")
        batch = dict(zip(names, map(torch.stack, zip(*steps, strict=True)), strict=True))
        values = torch.cat([batch.pop("value"), last_value[None]])
        batch["advantage"] = advantages(args, torch.stack(rewards), values, torch.stack(ends))
        batch["return"] = batch["advantage"] + values[:-1]
        # A step after an end resets, and its action did nothing.
        played = torch.stack(ends[:-1]) == 0
        update(args, agent, optimizer, {name: each[played] for name, each in batch.items()})
    envs.close()
    return returns


if __name__ == "__main__":
    print(main()[-20:])
