"""Recurrent PPO: a policy with a memory, one program for MiniGrid in Python and twice in JAX.

    python examples/recurrent_ppo.py minigrid::MiniGrid-Empty-Random-5x5-v0 --out recurrent.svg
    python examples/recurrent_ppo.py xminigrid::MiniGrid-EmptyRandom-5x5
    python examples/recurrent_ppo.py navix::Navix-Empty-Random-5x5-v0

Only the id differs. MiniGrid runs in Python behind a callback, XLand-MiniGrid and navix are written
in JAX. Each shows a small grid of numbers: kinds of things, their colours and their states.
MiniGrid shows a direction and a mission in words too, which the network leaves aside. A GRU
remembers what it saw in this episode, and forgets it where the next one starts. The seeds are
trained one after the other in one compiled program, by `jax.lax.map`.
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
SEEDS, EPOCHS, MINIBATCHES = 3, 4, 4
NUM_ENVS, NUM_STEPS, RATE = 16, 32, 2e-3
WINDOW = 10  # updates make a point of a curve
KINDS, WIDTH = 16, 64


class Learner(NamedTuple):
    """What an update changes."""

    weights: Any
    optimizer: Any
    key: Any
    last: Any  # the observations and states from which the next steps start
    memory: Any  # float32[num_envs, WIDTH], before the last observations
    is_first: Any  # bool[num_envs], where the last observation is the first of an episode


class Seen(NamedTuple):
    """What a step of the batch showed, before and after it."""

    obs: Any
    is_first: Any
    action: Any
    log_prob: Any
    value: Any
    next_value: Any
    reward: Any
    terminated: Any
    done: Any
    ended: Any
    returns: Any


class ActorCritic(nn.Module):
    """One step of the network: from a memory and observations to a memory, logits and values."""

    num_actions: int

    @nn.compact
    def __call__(self, memory: Any, grid: Any, is_first: Any) -> tuple[Any, Any, Any]:
        x = jax.nn.one_hot(grid.reshape(len(grid), -1), KINDS).reshape(len(grid), -1)
        memory = jnp.where(is_first[:, None], 0, memory)
        memory, x = nn.GRUCell(WIDTH)(memory, nn.relu(nn.Dense(WIDTH)(x)))
        logits = nn.Dense(self.num_actions, kernel_init=nn.initializers.orthogonal(0.01))(x)
        return memory, logits, nn.Dense(1)(x)[..., 0]


def grid_of(seen: Any) -> Any:
    """The grid in an observation or a space; MiniGrid calls it the image."""
    return seen["image"] if isinstance(seen, dict | spaces.Dict) else seen


def make_train(env_id: str, num_updates: int) -> Any:
    """A function that trains from a key, and returns learning curves."""
    venv, params = envhub.make_vec(env_id, NUM_ENVS, wrappers=[RecordEpisodeStatistics])
    seen, taken = grid_of(venv.single_observation_space()), venv.single_action_space()
    if not (isinstance(taken, spaces.Discrete) and getattr(seen, "dtype", None) == jnp.uint8):
        raise SystemExit(f"{venv} must show a grid of small numbers and have discrete actions.")
    network = ActorCritic(int(taken.n))
    rate = optax.linear_schedule(RATE, 0.0, num_updates * EPOCHS * MINIBATCHES)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))

    def act(weights: Any, carry: Any, key: Any) -> Any:
        (obs, state), memory, is_first = carry
        key_action, key_step = jax.random.split(key)
        memory, logits, value = network.apply(weights, memory, grid_of(obs), is_first)
        action = jax.random.categorical(key_action, logits)
        result = venv.step(key_step, state, action, params)
        # What the step led to, where the next episode has begun too.
        final = grid_of(result.info["final_obs"])
        _, _, next_value = network.apply(weights, memory, final, jnp.zeros_like(is_first))
        shown = Seen(
            grid_of(obs), is_first, action, log_prob(logits, action), value, next_value,
            result.reward, result.terminated, result.done,
            result.info["_episode"], result.info["episode"]["r"],
        )  # fmt: skip
        return ((result.obs, result.state), memory, result.done), shown

    def update(learner: Learner, _: None) -> Any:
        weights, memory = learner.weights, learner.memory
        key, key_shuffle, key_steps = jax.random.split(learner.key, 3)
        carry = learner.last, memory, learner.is_first
        keys = jax.random.split(key_steps, NUM_STEPS)
        carry, seen = jax.lax.scan(lambda carry, key: act(weights, carry, key), carry, keys)
        advantage = advantages(seen)
        batch = seen, advantage, advantage + seen.value

        def descend(given: Any, lanes: Any) -> Any:
            weights, state = given
            chosen = jax.tree.map(lambda leaf: leaf[:, lanes], batch)
            gradient = jax.grad(loss)(weights, network, memory[lanes], chosen)
            change, state = optimizer.update(gradient, state)
            return (optax.apply_updates(weights, change), state), None

        orders = jax.vmap(lambda key: jax.random.permutation(key, NUM_ENVS))(
            jax.random.split(key_shuffle, EPOCHS)
        )
        orders = orders.reshape(EPOCHS * MINIBATCHES, -1)
        (weights, state), _ = jax.lax.scan(descend, (weights, learner.optimizer), orders)
        sums = seen.ended.sum(), jnp.where(seen.ended, seen.returns, 0).sum()
        return Learner(weights, state, key, *carry), sums

    def train(key: Any) -> dict[str, Any]:
        key_network, key_reset, key = jax.random.split(key, 3)
        obs, state = venv.reset(key_reset, params)
        memory, is_first = jnp.zeros((NUM_ENVS, WIDTH)), jnp.ones(NUM_ENVS, bool)
        weights = network.init(key_network, memory, grid_of(obs), is_first)
        start = Learner(weights, optimizer.init(weights), key, (obs, state), memory, is_first)
        _, sums = jax.lax.scan(update, start, None, num_updates)
        episodes, returns = (each.reshape(-1, WINDOW).sum(-1) for each in sums)
        steps = WINDOW * NUM_ENVS * NUM_STEPS * jnp.arange(1, len(returns) + 1)
        return {"steps": steps, "returns": returns / episodes}  # NaN where no episode ended

    return train


def loss(weights: Any, network: ActorCritic, memory: Any, batch: Any) -> Any:
    """The clipped objective of PPO over whole sequences, with errors of values and entropy."""
    seen, advantage, target = batch

    def replay(memory: Any, step: Any) -> Any:
        memory, logits, value = network.apply(weights, memory, *step)
        return memory, (logits, value)

    _, (logits, values) = jax.lax.scan(replay, memory, (seen.obs, seen.is_first))
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ratio = jnp.exp(log_prob(logits, seen.action) - seen.log_prob)
    clipped = jnp.clip(ratio, 1 - CLIP, 1 + CLIP)
    gain = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    return 0.5 * jnp.square(values - target).mean() - gain - ENTROPY * entropy


def advantages(seen: Seen) -> Any:
    """GAE(lambda): a limit cuts the sum and is continued by its value, an end is not."""
    errors = seen.reward + DISCOUNT * jnp.where(seen.terminated, 0, seen.next_value) - seen.value

    def backwards(advantage: Any, step: Any) -> Any:
        error, done = step
        advantage = error + DISCOUNT * LAMBDA * jnp.where(done, 0, advantage)
        return advantage, advantage

    return jax.lax.scan(backwards, jnp.zeros(NUM_ENVS), (errors, seen.done), reverse=True)[1]


def log_prob(logits: Any, actions: Any) -> Any:
    """Of each action."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), actions[..., None], -1)[..., 0]


def draw(env_id: str, curves: dict[str, Any], path: str) -> None:
    """Draw the learning curve of each seed."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(curves["steps"].T, curves["returns"].T, linewidth=1)
    axes.set(title=f"Recurrent PPO on {env_id}, {SEEDS} seeds", ylim=(0, 1))
    axes.set(xlabel="steps of each seed", ylabel="return of an episode")
    figure.savefig(path)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train, and return for each seed the mean returns of episodes, by windows of updates."""
    parser = argparse.ArgumentParser(description="PPO with a recurrent policy")
    parser.add_argument("env_id", nargs="?", default="navix::Navix-Empty-Random-5x5-v0")
    parser.add_argument("--short", action="store_true", help="less training")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    options = parser.parse_args(argv)
    train = make_train(options.env_id, 40 if options.short else 100)
    keys = jax.random.split(jax.random.key(0), SEEDS)
    curves = jax.jit(lambda keys: jax.lax.map(train, keys))(keys)
    curves = jax.tree.map(np.asarray, curves)
    if options.out:
        draw(options.env_id, curves, options.out)
    return {name: curve.tolist() for name, curve in curves.items()}


if __name__ == "__main__":
    for seed, returns in enumerate(main()["returns"]):
        print(f"seed {seed}:", *(f"{each:.2f}" for each in returns))
