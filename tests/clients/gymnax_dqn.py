"""DQN in the style of PureJaxRL: the whole training is one function to compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from .gymnax_log import LogWrapper, flat

CONFIG = {
    "num_envs": 8,
    "num_steps": 3000,
    "buffer_size": 8192,
    "batch_size": 64,
    "learning_starts": 100,
    "target_every": 50,
    "explored": 1000,
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "width": 64,
}


class QNetwork(nn.Module):
    """The value of each action."""

    num_actions: int
    width: int

    @nn.compact
    def __call__(self, obs: Any) -> Any:
        x = flat(obs, 1)
        for _ in range(2):
            x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(self.num_actions)(x)


def make_train(env: Any, env_params: Any, **changed: Any) -> Callable[[Any], dict[str, Any]]:
    """Give a function of a key that trains, and tells the ends of all episodes and the losses."""
    config: Any = {**CONFIG, **changed}
    env, num_envs = LogWrapper(env), config["num_envs"]
    reset = jax.vmap(env.reset, (0, None))
    step_all = jax.vmap(env.step, (0, 0, 0, None))
    rows = config["buffer_size"] // num_envs

    def train(key: Any) -> dict[str, Any]:
        network = QNetwork(env.action_space(env_params).n, config["width"])
        optimizer = optax.adam(config["learning_rate"])
        key, net_key, reset_key = jax.random.split(key, 3)
        shape = env.observation_space(env_params).shape
        weights = network.init(net_key, jnp.zeros((1, *shape)))

        def loss_of(weights: Any, target: Any, batch: Any) -> Any:
            obs, action, reward, done, after = batch
            best = network.apply(target, after).max(-1)
            wanted = reward + config["gamma"] * (1 - done) * best
            value = jnp.take_along_axis(network.apply(weights, obs), action[:, None], -1)[:, 0]
            return jnp.square(value - wanted).mean()

        def act(weights: Any, key: Any, obs: Any, step: Any) -> Any:
            explore_key, action_key = jax.random.split(key)
            keys = jax.random.split(action_key, num_envs)
            by_chance = jax.vmap(env.action_space(env_params).sample)(keys)
            epsilon = jnp.maximum(0.05, 1 - step / config["explored"])
            explores = jax.random.uniform(explore_key, num_envs) < epsilon
            return jnp.where(explores, by_chance, network.apply(weights, obs).argmax(-1))

        def step(carry: Any, step: Any) -> Any:
            weights, target, memory, buffer, state, obs, key = carry
            key, act_key, step_key, batch_key = jax.random.split(key, 4)
            action = act(weights, act_key, obs, step)
            keys = jax.random.split(step_key, num_envs)
            after, state, reward, done, info = step_all(keys, state, action, env_params)
            seen = obs, action, reward, done, after
            buffer = jax.tree.map(lambda kept, new: kept.at[step % rows].set(new), buffer, seen)
            row_key, lane_key = jax.random.split(batch_key)
            size = config["batch_size"]
            row = jax.random.randint(row_key, size, 0, jnp.minimum(step + 1, rows))
            lane = jax.random.randint(lane_key, size, 0, num_envs)
            batch = jax.tree.map(lambda leaf: leaf[row, lane], buffer)
            loss, gradient = jax.value_and_grad(loss_of)(weights, target, batch)
            change, memory = optimizer.update(gradient, memory)
            changed = optax.apply_updates(weights, change)
            learns, copies = step >= config["learning_starts"], step % config["target_every"] == 0
            weights = jax.tree.map(lambda new, old: jnp.where(learns, new, old), changed, weights)
            target = jax.tree.map(lambda new, old: jnp.where(copies, new, old), weights, target)
            carry = weights, target, memory, buffer, state, after, key
            return carry, {**info, "loss": loss}

        obs, state = reset(jax.random.split(reset_key, num_envs), env_params)
        action = jnp.zeros(num_envs, env.action_space(env_params).dtype)
        none = obs, action, jnp.zeros(num_envs), jnp.zeros(num_envs, bool), obs
        buffer = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), none)
        carry = weights, weights, optimizer.init(weights), buffer, state, obs, key
        return jax.lax.scan(step, carry, jnp.arange(config["num_steps"]))[1]

    return train
