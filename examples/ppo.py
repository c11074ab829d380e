"""PPO in JAX: four seeds trained side by side in one compiled program, on any suite.

    python examples/ppo.py gymnax::CartPole-v1 --out ppo.svg
    python examples/ppo.py gymnasium::CartPole-v1
    python examples/ppo.py ale::pong
    python examples/ppo.py envpool::Pong-v5
    python examples/ppo.py envpool::CoinrunHard-v0 -o num_levels=3 --held-out num_levels=0

Only the id differs. gymnax's CartPole is written in JAX, Gymnasium's CartPole runs in Python, and
Pong runs in C++ threads. `jax.vmap(train)` trains four seeds of each. In a callback environment,
every step is one callback for all environments of all seeds. With `--held-out`, the trained
policies play in an environment with other options too: here, in all levels of Coinrun instead of
three. A dot is the mean return in the levels of training, and a cross in the other ones.
"""

from __future__ import annotations

import argparse
import ast
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import envhub
from envhub.wrappers import RecordEpisodeStatistics

DISCOUNT, LAMBDA, CLIP, ENTROPY = 0.99, 0.95, 0.2, 0.01
SEEDS, EPOCHS, MINIBATCHES = 4, 4, 4
WINDOW = 5  # updates make a point of a curve
EPISODES = 64  # that each seed plays after training


class Size(NamedTuple):
    """How much each seed is trained."""

    num_envs: int
    num_steps: int
    num_updates: int
    learning_rate: float


# By whether observations are pictures, and whether it shall be short.
SIZES = {
    (False, False): Size(16, 64, 150, 2.5e-3),
    (False, True): Size(16, 64, 20, 2.5e-3),
    (True, False): Size(8, 128, 25, 5e-4),
    (True, True): Size(2, 32, 5, 5e-4),
}


class ActorCritic(nn.Module):
    """Logits of the actions and a value, from a vector or from pictures [frames, height, width]."""

    num_actions: int
    of_pictures: bool

    @nn.compact
    def __call__(self, obs: Any) -> tuple[Any, Any]:
        if self.of_pictures:
            x = jnp.moveaxis(obs, -3, -1) / 255.0
            x = nn.relu(nn.Dense(32)(patches(x, 6)))
            x = nn.relu(nn.Dense(64)(patches(x, 2)))
            to_actor = to_critic = nn.relu(nn.Dense(128)(x.reshape(*x.shape[:-3], -1)))
        else:
            to_actor = nn.tanh(nn.Dense(64)(nn.tanh(nn.Dense(64)(obs))))
            to_critic = nn.tanh(nn.Dense(64)(nn.tanh(nn.Dense(64)(obs))))
        logits = nn.Dense(self.num_actions, kernel_init=nn.initializers.orthogonal(0.01))(to_actor)
        return logits, nn.Dense(1)(to_critic)[..., 0]


def patches(pictures: Any, size: int) -> Any:
    """Cut pictures [..., height, width, channels] into squares, all numbers of one in a row.

    A dense layer on these is a convolution that takes steps of its own size. Each seed has weights
    of its own, and XLA computes such convolutions on CPUs several times as slowly as products. What
    is left at the right and at the bottom is cut off.
    """
    *batch, height, width, channels = pictures.shape
    rows, columns = height // size, width // size
    whole = pictures[..., : rows * size, : columns * size, :]
    cut = whole.reshape(*batch, rows, size, columns, size, channels)
    return jnp.moveaxis(cut, -4, -3).reshape(*batch, rows, columns, size * size * channels)


class Game(NamedTuple):
    """A batch of environments, and the network that plays in them."""

    venv: envhub.VectorEnv
    params: Any
    network: ActorCritic
    size: Size

    def policy(self, weights: Any) -> Any:
        """Draws the actions of a batch."""

        def act(weights: Any, key: Any, obs: Any) -> Any:
            return jax.random.categorical(key, self.network.apply(weights, obs)[0])

        return jax.tree_util.Partial(act, weights)


def make_game(env_id: str, is_short: bool, options: dict[str, Any]) -> Game:
    """Make the batch that a seed is trained with."""
    env, _ = envhub.make(env_id, **options)
    of_pictures = len(env.observation_space().shape) == 3
    size = SIZES[of_pictures, is_short]
    wrappers = [RecordEpisodeStatistics]
    venv, params = envhub.make_vec(env_id, size.num_envs, wrappers=wrappers, **options)
    network = ActorCritic(int(venv.single_action_space().n), of_pictures)
    return Game(venv, params, network, size)


def make_train(game: Game) -> Any:
    """A function that trains from a key, and returns learning curves and the weights."""
    venv, params, network, size = game
    total = size.num_updates * EPOCHS * MINIBATCHES
    optimizer = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.adam(optax.linear_schedule(size.learning_rate, 0.0, total), eps=1e-5),
    )

    def update(carry: Any, _: None) -> Any:
        weights, memory, key, last = carry
        key, shuffle_key = jax.random.split(key)
        policy = game.policy(weights)
        seen = envhub.rollout(venv, params, policy, key, size.num_steps, state=last)
        batch = batch_of(network, weights, seen)

        def epoch(carry: Any, key: Any) -> Any:
            order = jax.random.permutation(key, size.num_envs * size.num_steps)
            order = order.reshape(MINIBATCHES, -1)
            return jax.lax.scan(descend, carry, order)

        def descend(carry: Any, chosen: Any) -> Any:
            weights, memory = carry
            minibatch = jax.tree.map(lambda leaf: leaf[chosen], batch)
            gradient = jax.grad(loss)(weights, network, minibatch)
            change, memory = optimizer.update(gradient, memory)
            return (optax.apply_updates(weights, change), memory), None

        keys = jax.random.split(shuffle_key, EPOCHS)
        (weights, memory), _ = jax.lax.scan(epoch, (weights, memory), keys)
        ended, returns = seen.info["_episode"], seen.info["episode"]["r"]
        sums = {"episodes": ended, "returns": jnp.where(ended, returns, 0), "rewards": seen.reward}
        return (weights, memory, seen.key, seen.last), jax.tree.map(jnp.sum, sums)

    def train(key: Any) -> tuple[dict[str, Any], Any]:
        network_key, reset_key, key = jax.random.split(key, 3)
        obs, state = venv.reset(reset_key, params)
        weights = network.init(network_key, obs)
        start = (weights, optimizer.init(weights), key, (obs, state))
        (weights, *_), sums = jax.lax.scan(update, start, None, size.num_updates)
        sums = jax.tree.map(lambda leaf: leaf.reshape(-1, WINDOW).sum(-1), sums)
        steps = WINDOW * size.num_envs * size.num_steps
        curves = {
            "steps": jnp.arange(steps, steps * len(sums["returns"]) + 1, steps),
            "returns": sums["returns"] / sums["episodes"],  # NaN where no episode ended
            "rewards": sums["rewards"] / steps,
        }
        return curves, weights

    return train


def scores(game: Game, weights: Any) -> Any:
    """The mean return of the policy of each seed."""

    def score(weights: Any, key: Any) -> Any:
        policy = game.policy(weights)
        return envhub.evaluate(game.venv, game.params, policy, key, EPISODES).returns.mean()

    return jax.jit(jax.vmap(score))(weights, jax.random.split(jax.random.key(1), SEEDS))


def batch_of(network: ActorCritic, weights: Any, seen: envhub.Trajectory) -> dict[str, Any]:
    """What the loss is of: a row for each step, with advantages as GAE(lambda) estimates them."""
    logits, values = network.apply(weights, seen.obs)
    # `final_obs` is what the step led to, where the next episode has begun too: so an episode that
    # a limit cut is continued by its value, and one that terminated is not.
    _, next_values = network.apply(weights, seen.info["final_obs"])
    errors = seen.reward + DISCOUNT * jnp.where(seen.terminated, 0, next_values) - values

    def backwards(advantage: Any, step: Any) -> Any:
        error, done = step
        advantage = error + DISCOUNT * LAMBDA * jnp.where(done, 0, advantage)
        return advantage, advantage

    none = jnp.zeros_like(errors[0])
    _, advantages = jax.lax.scan(backwards, none, (errors, seen.done), reverse=True)
    rows = {
        "obs": seen.obs,
        "action": seen.action,
        "log_prob": log_prob(logits, seen.action),
        "advantage": advantages,
        "target": advantages + values,
    }
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rows)


def log_prob(logits: Any, actions: Any) -> Any:
    """Of each action."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), actions[..., None], -1)[..., 0]


def loss(weights: Any, network: ActorCritic, batch: dict[str, Any]) -> Any:
    """The clipped objective of PPO, the error of the values, and a bonus for entropy."""
    logits, values = network.apply(weights, batch["obs"])
    advantage = batch["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ratio = jnp.exp(log_prob(logits, batch["action"]) - batch["log_prob"])
    clipped = jnp.clip(ratio, 1 - CLIP, 1 + CLIP)
    gain = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    return 0.25 * jnp.square(values - batch["target"]).mean() - gain - ENTROPY * entropy


def draw(env_id: str, curves: dict[str, Any], path: str) -> None:
    """Draw the learning curve of each seed, and beside it how it plays what was held out."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    lines = axes.plot(curves["steps"].T, curves["returns"].T, linewidth=1)
    for name, marker in (("trained", "o"), ("held_out", "x")):
        for line, steps, score in zip(lines, curves["steps"], curves.get(name, ()), strict=False):
            axes.plot(steps[-1] * 1.03, score, marker, color=line.get_color())
    axes.set(title=f"PPO on {env_id}, {SEEDS} seeds")
    axes.set(xlabel="steps of each seed", ylabel="return of an episode")
    figure.savefig(path)
    plt.close(figure)


def keyword(text: str) -> tuple[str, Any]:
    """Read `NAME=VALUE`."""
    name, _, value = text.partition("=")
    return name, ast.literal_eval(value)


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Train, and return for each seed the returns of episodes and the rewards of steps."""
    parser = argparse.ArgumentParser(description="PPO, four seeds under vmap")
    parser.add_argument("env_id", nargs="?", default="gymnax::CartPole-v1")
    parser.add_argument("-o", "--option", action="append", type=keyword, help="of the environment")
    parser.add_argument(
        "--held-out",
        action="append",
        type=keyword,
        help="of what is played after training",
    )
    parser.add_argument("--short", action="store_true", help="less training")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    options = parser.parse_args(argv)
    given = dict(options.option or [])
    game = make_game(options.env_id, options.short, given)
    keys = jax.random.split(jax.random.key(0), SEEDS)
    curves, weights = jax.jit(jax.vmap(make_train(game)))(keys)
    if options.held_out:
        other = make_game(options.env_id, options.short, {**given, **dict(options.held_out)})
        curves |= {"trained": scores(game, weights), "held_out": scores(other, weights)}
    curves = jax.tree.map(np.asarray, curves)
    if options.out:
        draw(options.env_id, curves, options.out)
    return {name: curve.tolist() for name, curve in curves.items()}


if __name__ == "__main__":
    found = main()
    for seed, returns in enumerate(found["returns"]):
        print(f"seed {seed}:", *(f"{each:.1f}" for each in returns))
    for name in ("trained", "held_out"):
        if name in found:
            print(f"{name}:", *(f"{each:.1f}" for each in found[name]))
