"""DQN in one file, in the style of CleanRL: it knows Gymnasium and PyTorch, and an id.

python tests/clients/dqn.py --env-id envhub.gym:gymnax/CartPole-v1
"""

from __future__ import annotations

import argparse
import copy
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
    parser.add_argument("--total-timesteps", type=int, default=10_000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--gamma", type=float, default=0.99)
    parser.add_argument("--end-e", type=float, default=0.05)
    parser.add_argument("--exploration-fraction", type=float, default=0.3)
    parser.add_argument("--learning-starts", type=int, default=500)
    parser.add_argument("--train-frequency", type=int, default=2)
    parser.add_argument("--target-network-frequency", type=int, default=250)
    return parser.parse_args(argv)


class Replay:
    """The last transitions, as arrays."""

    def __init__(self, size: int, shape: tuple[int, ...], seed: int) -> None:
        self._obs = np.zeros((2, size, *shape), np.float32)
        self._action = np.zeros(size, np.int64)
        self._reward, self._terminated = np.zeros((2, size), np.float32)
        self._count, self._generator = 0, np.random.default_rng(seed)

    def add(self, obs: Any, after: Any, action: Any, reward: float, terminated: bool) -> None:
        """Keep one, in the place of the oldest."""
        place = self._count % len(self._action)
        self._obs[:, place] = obs, after
        self._action[place], self._reward[place] = action, reward
        self._terminated[place] = terminated
        self._count += 1

    def sample(self, number: int) -> list[torch.Tensor]:
        """Some of them."""
        chosen = self._generator.integers(0, min(self._count, len(self._action)), number)
        arrays = (*self._obs, self._action, self._reward, self._terminated)
        return [torch.as_tensor(each[chosen]) for each in arrays]


def learn(
    args: argparse.Namespace, network: nn.Module, target: nn.Module, optimizer: Any, replay: Replay
) -> None:
    """One step of gradient descent."""
    obs, after, action, reward, terminated = replay.sample(args.batch_size)
    with torch.no_grad():
        wanted = reward + args.gamma * target(after).amax(1) * (1 - terminated)
    value = network(obs).gather(1, action[:, None]).squeeze(1)
    optimizer.zero_grad()
    nn.functional.smooth_l1_loss(value, wanted).backward()
    optimizer.step()


def main(argv: Sequence[str] | None = None) -> list[float]:
    """Train, and give the return of every episode in the order in which they ended."""
    args = arguments(argv)
    torch.manual_seed(args.seed)
    generator = np.random.default_rng(args.seed)
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make(args.env_id))
    env.action_space.seed(args.seed)
    size = int(np.prod(env.observation_space.shape or ()))
    hidden = [nn.Flatten(), nn.Linear(size, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()]
    network = nn.Sequential(*hidden, nn.Linear(84, int(env.action_space.n)))  # type: ignore[attr-defined]
    target = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=args.learning_rate)
    replay = Replay(args.total_timesteps, env.observation_space.shape or (), args.seed)
    obs, _ = env.reset(seed=args.seed)
    returns: list[float] = []
    for step in range(args.total_timesteps):
        explored = step / (args.exploration_fraction * args.total_timesteps)
        if generator.random() < max(args.end_e, 1 - explored * (1 - args.end_e)):
            action = env.action_space.sample()
        else:
            with torch.no_grad():
                action = network(torch.as_tensor(obs)[None]).argmax().item()
        after, reward, terminated, truncated, info = env.step(action)
        replay.add(obs, after, action, float(reward), terminated)
        obs = after
        if terminated or truncated:
            returns.append(float(info["episode"]["r"]))
            obs, _ = env.reset()
        if step >= args.learning_starts and step % args.train_frequency == 0:
            learn(args, network, target, optimizer, replay)
        if step % args.target_network_frequency == 0:
            target.load_state_dict(network.state_dict())
    env.close()
    return returns


if __name__ == "__main__":
    print(main()[-20:])
