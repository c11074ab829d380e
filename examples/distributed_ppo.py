"""PPO whose learners share a mesh of devices, and whose instances live in actors of Ray.

    python examples/distributed_ppo.py --out curve.svg           # all of it on this machine
    python examples/distributed_ppo.py --address HOST:6379       # the actors on a cluster

Two processes have a device each. `jax.distributed` makes one mesh of them, over which the batch
is split: each process drives its half of the environments, and XLA adds up the gradients. The
environment is a callback environment, so the instances of each half live in actors of Ray, on
whatever node has room. On two machines, start one process on each:

    python examples/distributed_ppo.py --address HOST:6379 --coordinator HOST:1234 --process 0
    python examples/distributed_ppo.py --address HOST:6379 --coordinator HOST:1234 --process 1
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import socket
import subprocess
import sys
import traceback
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import envhub
from envhub.host import HostEnvironment
from envhub.wrappers import RecordEpisodeStatistics

ENV_ID, PROCESSES, ACTORS = "gymnasium::CartPole-v1", 2, 2  # actors of each process
NUM_ENVS, NUM_STEPS, EPOCHS, MINIBATCHES = 32, 64, 4, 4
DISCOUNT, LAMBDA, CLIP, ENTROPY, LEARNING_RATE = 0.99, 0.95, 0.2, 0.01, 5e-3


class ActorCritic(nn.Module):
    """Logits of two actions, and a value."""

    @nn.compact
    def __call__(self, obs: Any) -> tuple[Any, Any]:
        to_actor = nn.tanh(nn.Dense(64)(nn.tanh(nn.Dense(64)(obs))))
        to_critic = nn.tanh(nn.Dense(64)(nn.tanh(nn.Dense(64)(obs))))
        logits = nn.Dense(2, kernel_init=nn.initializers.orthogonal(0.01))(to_actor)
        return logits, nn.Dense(1)(to_critic)[..., 0]


NETWORK = ActorCritic()
OPTIMIZER = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(LEARNING_RATE, eps=1e-5))


def act(weights: Any, key: Any, obs: Any) -> Any:
    """An action for each observation."""
    return jax.random.categorical(key, NETWORK.apply(weights, obs)[0])


def update(venv: Any, params: Any, copied: Any, carry: Any) -> Any:
    """Collect a batch, and descend; every process calls this at the same time."""
    (weights, memory), key, last = carry
    key, shuffle_key = jax.random.split(key)
    policy = jax.tree_util.Partial(act, weights)
    seen = envhub.rollout(venv, params, policy, key, NUM_STEPS, state=last)
    batch = batch_of(weights, seen)

    def descend(carry: Any, rows: Any) -> Any:
        weights, memory = carry
        gradient = jax.grad(loss)(weights, jax.tree.map(lambda leaf: leaf[rows], batch))
        change, memory = OPTIMIZER.update(gradient, memory)
        return (optax.apply_updates(weights, change), memory), None

    # A minibatch has some steps of all environments, so that nothing moves between the devices.
    keys = jax.random.split(shuffle_key, EPOCHS)
    orders = jax.vmap(lambda key: jax.random.permutation(key, NUM_STEPS))(keys)
    orders = orders.reshape(EPOCHS * MINIBATCHES, -1)
    learned, _ = jax.lax.scan(descend, (weights, memory), orders)
    ended, returns = seen.info["_episode"], seen.info["episode"]["r"]
    mean = jnp.where(ended, returns, 0).sum() / ended.sum()
    learned, mean = jax.lax.with_sharding_constraint((learned, mean), copied)
    return (learned, seen.key, seen.last), mean


def batch_of(weights: Any, seen: envhub.Trajectory) -> dict[str, Any]:
    """What the loss is of, by step and environment, with advantages as GAE(lambda) has them."""
    logits, values = NETWORK.apply(weights, seen.obs)
    _, next_values = NETWORK.apply(weights, seen.info["final_obs"])
    errors = seen.reward + DISCOUNT * jnp.where(seen.terminated, 0, next_values) - values

    def backwards(advantage: Any, step: Any) -> Any:
        error, done = step
        advantage = error + DISCOUNT * LAMBDA * jnp.where(done, 0, advantage)
        return advantage, advantage

    none = jnp.zeros_like(errors[0])
    _, advantages = jax.lax.scan(backwards, none, (errors, seen.done), reverse=True)
    return {
        "obs": seen.obs,
        "action": seen.action,
        "log_prob": log_prob(logits, seen.action),
        "advantage": advantages,
        "target": advantages + values,
    }


def log_prob(logits: Any, actions: Any) -> Any:
    """Of each action."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), actions[..., None], -1)[..., 0]


def loss(weights: Any, batch: dict[str, Any]) -> Any:
    """The clipped objective of PPO, the error of the values, and a bonus for entropy."""
    logits, values = NETWORK.apply(weights, batch["obs"])
    advantage = batch["advantage"]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ratio = jnp.exp(log_prob(logits, batch["action"]) - batch["log_prob"])
    clipped = jnp.clip(ratio, 1 - CLIP, 1 + CLIP)
    gain = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    return 0.25 * jnp.square(values - batch["target"]).mean() - gain - ENTROPY * entropy


def learn(options: argparse.Namespace) -> dict[str, Any]:
    """Train, as one of the processes."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(options.coordinator, PROCESSES, options.process)
    how: dict[str, Any] = {}
    if options.workers == "ray":
        import ray

        if options.address:
            ray.init(options.address, log_to_driver=False)
        actors = {"num_cpus": 0.25, "scheduling_strategy": "SPREAD"}
        how = {"workers": "ray", "num_workers": ACTORS, "ray_options": actors}
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("devices",))
    venv, params = envhub.make_vec(
        ENV_ID, NUM_ENVS, mesh=mesh, wrappers=[RecordEpisodeStatistics], **how
    )
    copied = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    network_key, reset_key, key = jax.random.split(jax.random.key(0), 3)
    weights = NETWORK.init(network_key, jnp.zeros(4))
    carry = (weights, OPTIMIZER.init(weights)), key, venv.reset(reset_key, params)
    step = jax.jit(functools.partial(update, venv, params, copied))
    returns = []
    for _ in range(10 if options.short else 24):
        carry, mean = step(carry)
        returns.append(float(mean))
    weights = jax.tree.map(np.asarray, carry[0][0])
    found = {
        "returns": returns,
        "weights": float(sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(weights))),
        "nodes": sorted({place.node for place in venv.find(HostEnvironment).workers}),
    }
    venv.close()
    return found


def learn_together(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Start all processes on this machine, and return what each found."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, __file__, "--coordinator", coordinator]
    command += ["--workers", options.workers, "--address", options.address]
    command += ["--short"] * options.short
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    started = [
        subprocess.Popen([*command, "--process", str(each)], **piped) for each in range(PROCESSES)
    ]
    told = [process.communicate()[0].splitlines() for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a process failed, and said why above")
    return [json.loads(lines[-1]) for lines in told]


def draw(returns: list[float], path: str) -> None:
    """Draw the learning curve."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(NUM_ENVS * NUM_STEPS * np.arange(1, len(returns) + 1), returns)
    axes.set(title=f"PPO on {ENV_ID}: {PROCESSES} processes, {PROCESSES * ACTORS} actors")
    axes.set(xlabel="steps of all environments", ylabel="return of an episode")
    figure.savefig(path)
    plt.close(figure)


def main(argv: list[str] | None = None) -> Any:
    """Train, and return what each process found; returns are NaN where no episode ended."""
    parser = argparse.ArgumentParser(description="PPO over two processes and a cluster of Ray")
    parser.add_argument("--address", default="", help="of the Ray cluster; by default a new one")
    parser.add_argument("--coordinator", help="host and port of process 0")
    parser.add_argument("--process", type=int, help="the number of this process")
    parser.add_argument("--workers", default="ray", choices=["ray", "serial"])
    parser.add_argument("--short", action="store_true", help="less training")
    parser.add_argument("--out", help="where the figure goes: .svg or .png")
    options = parser.parse_args(argv)
    if options.process is not None:
        try:
            found = learn(options)
        except BaseException:
            traceback.print_exc()
            # JAX's orderly exit waits for the other processes, which wait for this one. Without
            # it, they notice at once that this one is gone.
            os._exit(1)
        print(json.dumps(found))
        return found
    results = learn_together(options)
    returns = results[0]["returns"]
    print(f"return of an episode: {returns[0]:.0f} at first, {returns[-1]:.0f} at last")
    if options.out:
        draw(returns, options.out)
    return results


if __name__ == "__main__":
    main()
