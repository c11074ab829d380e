"""Ten agents of jumanji's Connector learn through PettingZoo's parallel interface.

    python examples/pettingzoo_connector.py --out connector.svg

`to_pettingzoo` gives a dict of observations, rewards and flags by agent, and the actions that are
legal as masks. The learner is Q-learning with one table for all agents: each learns from its own
steps, and knows the direction of its target and its legal moves.
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import envhub
from envhub.export import to_pettingzoo

DISCOUNT, RATE, EXPLORED = 0.95, 0.1, 0.05
WINDOW = 10  # episodes make a point of the curve


def situation(obs: dict[str, Any]) -> int:
    """Number what an agent knows: the direction of its target, and which moves are legal."""
    grid, mask = obs["observation"]["grid"], obs["action_mask"]
    heads, targets = np.argwhere(grid == 2), np.argwhere(grid == 3)
    # An agent that is connected stands on its target.
    row, column = np.sign(targets[0] - heads[0]) if len(heads) and len(targets) else (0, 0)
    return int((3 * (row + 1) + column + 1) * 16 + mask[1:] @ (1, 2, 4, 8))


def choose(values: Any, mask: Any, generator: np.random.Generator) -> int:
    """A legal action: mostly one of the greatest value."""
    legal = np.flatnonzero(mask)
    if generator.random() < EXPLORED:
        return int(generator.choice(legal))
    best = legal[values[legal] == values[legal].max()]
    return int(generator.choice(best))


def play(env: Any, table: Any, generator: np.random.Generator) -> float:
    """Learn from one episode, and return the mean return of the agents."""
    obs, _ = env.reset()
    total = 0.0
    while env.agents:
        known = {agent: situation(obs[agent]) for agent in env.agents}
        actions = {
            agent: choose(table[known[agent]], obs[agent]["action_mask"], generator)
            for agent in env.agents
        }
        obs, rewards, terminated, _, _ = env.step(actions)
        for agent, action in actions.items():
            values = table[situation(obs[agent])][obs[agent]["action_mask"] == 1]
            goes_on = 0.0 if terminated[agent] else DISCOUNT * values.max()
            error = rewards[agent] + goes_on - table[known[agent], action]
            table[known[agent], action] += RATE * error
            total += rewards[agent]
    return total / env.max_num_agents


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train; the mean return of an agent, by windows of episodes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="few episodes, to see that it learns")
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--out", help="write the curve here, as .png or .svg")
    args = parser.parse_args(argv)
    env = to_pettingzoo(*envhub.make("jumanji::Connector-v3"), seed=0)
    table, generator = np.zeros((9 * 16, 5)), np.random.default_rng(0)
    episodes, returns = [], []
    for start in range(0, 40 if args.short else args.episodes, WINDOW):
        played = [play(env, table, generator) for _ in range(WINDOW)]
        episodes.append(start + WINDOW)
        returns.append(float(np.mean(played)))
        print(f"{episodes[-1]:5} episodes: return {returns[-1]:.2f}", flush=True)
    env.close()
    if args.out:
        figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
        axes.plot(episodes, returns)
        axes.set(xlabel="episodes", ylabel="return of an agent")
        axes.set(title="Connector, independent Q-learning through PettingZoo")
        figure.savefig(args.out)
        plt.close(figure)
    return {"episodes": episodes, "returns": returns}


if __name__ == "__main__":
    main()
