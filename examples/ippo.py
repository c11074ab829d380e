"""Independent PPO: the agents of an environment share weights, and each learns from its own steps.

    python examples/ippo.py jaxmarl::MPE_simple_spread_v3 --out ippo.svg
    python examples/ippo.py jumanji::LevelBasedForaging-v0

Only the id differs. Agents with equal spaces are an axis of every array, so one network answers
for all of them, and `jax.vmap(train)` trains several seeds. Foraging shows which actions are legal
as `action_mask`, and the policy chooses among those. An agent that is done before the others
learns nothing from the steps in which it waits.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import envhub
from envhub import spaces
from envhub.wrappers import RecordEpisodeStatistics

DISCOUNT, LAMBDA, CLIP, ENTROPY = 0.99, 0.95, 0.2, 0.01
SEEDS, EPOCHS, MINIBATCHES = 2, 4, 4
NUM_ENVS, NUM_STEPS, RATE = 32, 64, 1e-3
WINDOW = 10  # updates make a point of a curve


class Learner(NamedTuple):
    """What an update changes."""

    weights: Any
    memory: Any  # the optimizer's
    key: Any
    last: Any  # the observations and states from which the next steps start
    done: Any  # bool[num_envs, num_agents], of the last step


class ActorCritic(nn.Module):
    """Logits of the actions and a value, for each agent."""

    num_actions: int

    @nn.compact
    def __call__(self, obs: Any) -> tuple[Any, Any]:
        seen = dict(obs) if isinstance(obs, dict) else {"observation": obs}
        mask = seen.pop("action_mask", True)
        rank = max(part.ndim for part in seen.values())
        parts = [part.reshape(*part.shape[: rank - 1], -1) for part in seen.values()]
        x = jnp.concatenate(parts, -1)
        x = jnp.sign(x) * jnp.log1p(jnp.abs(x))  # counts are large, and positions are small
        to_actor = nn.tanh(nn.Dense(64)(nn.tanh(nn.Dense(64)(x))))
        to_critic = nn.tanh(nn.Dense(64)(nn.tanh(nn.Dense(64)(x))))
        logits = nn.Dense(self.num_actions, kernel_init=nn.initializers.orthogonal(0.01))(to_actor)
        return jnp.where(mask, logits, -1e9), nn.Dense(1)(to_critic)[..., 0]


def make_train(env_id: str, num_updates: int) -> Any:
    """A function that trains from a key, and returns learning curves."""
    venv, params = envhub.make_vec(env_id, NUM_ENVS, wrappers=[RecordEpisodeStatistics])
    network = ActorCritic(num_actions(venv))
    rate = optax.linear_schedule(RATE, 0.0, num_updates * EPOCHS * MINIBATCHES)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))

    def act(weights: Any, key: Any, obs: Any) -> Any:
        return jax.random.categorical(key, network.apply(weights, obs)[0])

    def update(learner: Learner, _: None) -> Any:
        weights, memory, key, last, done = learner
        key, shuffle_key = jax.random.split(key)
        policy = jax.tree_util.Partial(act, weights)
        seen = envhub.rollout(venv, params, policy, key, NUM_STEPS, state=last)
        batch = batch_of(network, weights, seen, done)

        def epoch(carry: Any, key: Any) -> Any:
            order = jax.random.permutation(key, len(batch["advantage"])).reshape(MINIBATCHES, -1)
            return jax.lax.scan(descend, carry, order)

        def descend(carry: Any, chosen: Any) -> Any:
            weights, memory = carry
            minibatch = jax.tree.map(lambda leaf: leaf[chosen], batch)
            gradient = jax.grad(loss)(weights, network, minibatch)
            change, memory = optimizer.update(gradient, memory)
            return (optax.apply_updates(weights, change), memory), None

        keys = jax.random.split(shuffle_key, EPOCHS)
        (weights, memory), _ = jax.lax.scan(epoch, (weights, memory), keys)
        ended, returns = seen.info["_episode"], seen.info["episode"]["r"].mean(-1)
        sums = ended.sum(), jnp.where(ended, returns, 0).sum()
        return Learner(weights, memory, seen.key, seen.last, seen.done[-1]), sums

    def train(key: Any) -> dict[str, Any]:
        network_key, reset_key, key = jax.random.split(key, 3)
        obs, state = venv.reset(reset_key, params)
        weights = network.init(network_key, obs)
        done = jnp.zeros((NUM_ENVS, venv.num_agents), bool)
        start = Learner(weights, optimizer.init(weights), key, (obs, state), done)
        _, sums = jax.lax.scan(update, start, None, num_updates)
        episodes, returns = (each.reshape(-1, WINDOW).sum(-1) for each in sums)
        steps = WINDOW * NUM_ENVS * NUM_STEPS * jnp.arange(1, len(returns) + 1)
        return {"steps": steps, "returns": returns / episodes}

    return train


def num_actions(venv: envhub.VectorEnv) -> int:
    """How many actions each agent has."""
    seen, taken = venv.single_observation_space(), venv.single_action_space()
    parts = seen.values() if isinstance(seen, spaces.Dict) else [seen]
    shapes = [getattr(part, "shape", None) for part in parts]  # None: of several parts again
    are_vectors = None not in shapes and max(map(len, shapes)) == 2
    is_fitting = are_vectors and isinstance(taken, spaces.MultiDiscrete)
    if venv.observation_agents != "leading" or not is_fitting:
        raise SystemExit(
            f"{venv} must show each of several agents a vector or a dict of vectors, and take one "
            f"number from each. It shows {seen} and takes {taken}."
        )
    return int(taken.nvec[0])


def batch_of(
    network: ActorCritic, weights: Any, seen: envhub.Trajectory, done: Any
) -> dict[str, Any]:
    """What the loss is of: a row for each step of each agent, with advantages from GAE(lambda)."""
    logits, values = network.apply(weights, seen.obs)
    _, next_values = network.apply(weights, seen.info["final_obs"])
    errors = seen.reward + DISCOUNT * jnp.where(seen.terminated, 0, next_values) - values

    def backwards(advantage: Any, step: Any) -> Any:
        error, done = step
        advantage = error + DISCOUNT * LAMBDA * jnp.where(done, 0, advantage)
        return advantage, advantage

    none = jnp.zeros_like(errors[0])
    _, advantages = jax.lax.scan(backwards, none, (errors, seen.done), reverse=True)
    before = jnp.concatenate([done[None], seen.done[:-1]])
    rows = {
        "obs": seen.obs,
        "action": seen.action,
        "log_prob": log_prob(logits, seen.action),
        "advantage": advantages,
        "target": advantages + values,
        "acts": ~before | before.all(-1, keepdims=True),  # where all were done, all start anew
    }
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[3:]), rows)


def log_prob(logits: Any, actions: Any) -> Any:
    """Of each action."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), actions[..., None], -1)[..., 0]


def loss(weights: Any, network: ActorCritic, batch: dict[str, Any]) -> Any:
    """The clipped objective of PPO, the error of the values, and a bonus for entropy."""
    logits, values = network.apply(weights, batch["obs"])
    acts, advantage = batch["acts"], batch["advantage"]
    spread = advantage.std(where=acts) + 1e-8
    advantage = (advantage - advantage.mean(where=acts)) / spread
    ratio = jnp.exp(log_prob(logits, batch["action"]) - batch["log_prob"])
    clipped = jnp.clip(ratio, 1 - CLIP, 1 + CLIP)
    gain = jnp.minimum(ratio * advantage, clipped * advantage)
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1)
    error = jnp.square(values - batch["target"])
    return (0.25 * error - gain - ENTROPY * entropy).mean(where=acts)


def draw(env_id: str, curves: dict[str, Any], path: str) -> None:
    """Draw the learning curve of each seed."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(curves["steps"].T, curves["returns"].T, linewidth=1)
    axes.set(title=f"Independent PPO on {env_id}, {SEEDS} seeds")
    axes.set(xlabel="steps of each seed", ylabel="mean return of an agent")
    figure.savefig(path)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train, and return for each seed the mean returns of agents, by windows of updates."""
    parser = argparse.ArgumentParser(description="PPO of several agents with shared weights")
    parser.add_argument("env_id", nargs="?", default="jaxmarl::MPE_simple_spread_v3")
    parser.add_argument("--short", action="store_true", help="less training")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    options = parser.parse_args(argv)
    train = make_train(options.env_id, 40 if options.short else 200)
    keys = jax.random.split(jax.random.key(0), SEEDS)
    curves = jax.tree.map(np.asarray, jax.jit(jax.vmap(train))(keys))
    if options.out:
        draw(options.env_id, curves, options.out)
    return {name: curve.tolist() for name, curve in curves.items()}


if __name__ == "__main__":
    for seed, returns in enumerate(main()["returns"]):
        print(f"seed {seed}:", *(f"{each:.2f}" for each in returns))
