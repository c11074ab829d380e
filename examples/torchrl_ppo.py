"""TorchRL's PPO trains on a batch of CartPoles that one compiled call steps.

    python examples/torchrl_ppo.py --out torchrl_ppo.svg

`to_torchrl` gives TorchRL's own interface for batches. The tensors of a step are the arrays
that JAX computed.
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib.pyplot as plt
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import envhub
from envhub.export import to_torchrl

NUM_ENVS, NUM_STEPS, EPOCHS, PARTS = 16, 64, 8, 4


def network(inputs: int, outputs: int) -> nn.Module:
    """A small network of two layers."""
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)
    )


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train; the mean number of steps from one end of an episode to the next, by update."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few updates, to see that it learns")
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--out", help="write the curve here, as .png or .svg")
    args = parser.parse_args(argv)
    updates = 12 if args.short else args.updates
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the networks are small: two threads wait for each other

    venv, params = envhub.make_vec("gymnax::CartPole-v1", NUM_ENVS)
    env = to_torchrl(venv, params, seed=0)
    policy = TensorDictModule(network(4, 2), in_keys=["observation"], out_keys=["logits"])
    actor = ProbabilisticActor(
        policy,
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
        default_interaction_type="random",
    )
    critic = ValueOperator(network(4, 1), in_keys=["observation"])
    advantage = GAE(gamma=0.98, lmbda=0.9, value_network=critic, average_gae=True)
    loss = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.005, critic_coeff=0.5)
    optimizer = torch.optim.Adam(loss.parameters(), lr=2e-3)

    steps, lengths, last = [], [], env.reset()
    for update in range(1, updates + 1):
        with torch.no_grad():
            seen = env.rollout(
                NUM_STEPS,
                actor,
                break_when_any_done=False,
                auto_reset=False,
                tensordict=last,
            )
            last = env.step_mdp(seen[:, -1])
            last = env.maybe_reset(last)
            advantage(seen)
        flat = seen.reshape(-1)
        for _ in range(EPOCHS):
            for part in torch.randperm(len(flat)).chunk(PARTS):
                told = loss(flat[part])
                total = told["loss_objective"] + told["loss_critic"] + told["loss_entropy"]
                optimizer.zero_grad()
                total.backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimizer.step()
        ends = max(1, int(seen["next", "done"].sum()))
        steps.append(update * NUM_ENVS * NUM_STEPS)
        lengths.append(NUM_ENVS * NUM_STEPS / ends)
        print(f"{steps[-1]:9} steps: {lengths[-1]:.0f} from end to end", flush=True)
    env.close()
    if args.out:
        figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
        axes.plot(steps, lengths)
        axes.set(xlabel="steps", ylabel="steps from end to end", title="CartPole, TorchRL's PPO")
        figure.savefig(args.out)
        plt.close(figure)
    return {"steps": steps, "lengths": lengths}


if __name__ == "__main__":
    main()
