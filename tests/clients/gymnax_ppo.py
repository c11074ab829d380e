"""PPO and recurrent PPO in the style of PureJaxRL: one function to compile is all the training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from .gymnax_log import LogWrapper, flat

CONFIG = {
    "num_envs": 8,
    "num_steps": 32,
    "num_updates": 100,
    "num_epochs": 4,
    "num_minibatches": 4,
    "learning_rate": 2.5e-3,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip": 0.2,
    "width": 64,
    "is_recurrent": False,
}


class Transition(NamedTuple):
    """A step of all environments."""

    start: Any
    obs: Any
    action: Any
    log_prob: Any
    value: Any
    reward: Any
    done: Any


class Recurrent(nn.Module):
    """A GRU over the first axis, which forgets where an episode starts."""

    @functools.partial(nn.scan, variable_broadcast="params", split_rngs={"params": False})
    @nn.compact
    def __call__(self, memory: Any, step: Any) -> Any:
        x, start = step
        memory = jnp.where(start[:, None], 0, memory)
        return nn.GRUCell(memory.shape[-1])(memory, x)


class ActorCritic(nn.Module):
    """Memory, logits and values for steps [steps, environments, …]."""

    num_actions: int
    is_recurrent: bool

    @nn.compact
    def __call__(self, memory: Any, obs: Any, start: Any) -> Any:
        width = memory.shape[-1]
        x = nn.tanh(nn.Dense(width)(flat(obs, 2)))
        if self.is_recurrent:
            memory, x = Recurrent()(memory, (x, start))
        x = nn.tanh(nn.Dense(width)(x))
        logits = nn.Dense(self.num_actions, kernel_init=nn.initializers.orthogonal(0.01))(x)
        return memory, logits, nn.Dense(1)(x)[..., 0]


def log_probs(logits: Any, action: Any) -> Any:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]


def advantages(config: Any, seen: Transition, last_value: Any) -> Any:
    """Generalised advantages of every step."""

    def backwards(carry: Any, step: Transition) -> Any:
        advantage, next_value = carry
        goes_on = config["gamma"] * (1 - step.done)
        error = step.reward + goes_on * next_value - step.value
        advantage = error + goes_on * config["gae_lambda"] * advantage
        return (advantage, step.value), advantage

    start = (jnp.zeros_like(last_value), last_value)
    return jax.lax.scan(backwards, start, seen, reverse=True)[1]


def loss_of(config: Any, network: Any, weights: Any, batch: Any) -> Any:
    """The clipped loss of one minibatch: of whole columns, so that memory may run along them."""
    memory, seen, advantage = batch
    _, logits, value = network.apply(weights, memory[0], seen.obs, seen.start)
    ratio = jnp.exp(log_probs(logits, seen.action) - seen.log_prob)
    gain = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1 - config["clip"], 1 + config["clip"])
    policy_loss = -jnp.minimum(ratio * gain, clipped * gain).mean()
    value_loss = jnp.square(value - (advantage + seen.value)).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    return policy_loss + 0.5 * value_loss - 0.01 * entropy


def make_train(env: Any, env_params: Any, **changed: Any) -> Callable[[Any], dict[str, Any]]:
    """Give a function of a key that trains, and tells the ends of all episodes and the losses."""
    config: Any = {**CONFIG, **changed}
    env, num_envs = LogWrapper(env), config["num_envs"]
    reset = jax.vmap(env.reset, (0, None))
    step_all = jax.vmap(env.step, (0, 0, 0, None))

    def train(key: Any) -> dict[str, Any]:
        network = ActorCritic(env.action_space(env_params).n, config["is_recurrent"])
        shape = env.observation_space(env_params).shape
        memory = jnp.zeros((num_envs, config["width"]))
        key, net_key, reset_key = jax.random.split(key, 3)
        nothing = jnp.zeros((1, num_envs, *shape)), jnp.ones((1, num_envs), bool)
        weights = network.init(net_key, memory, *nothing)
        optimizer = optax.chain(
            optax.clip_by_global_norm(0.5), optax.adam(config["learning_rate"], eps=1e-5)
        )
        loss_and_gradient = jax.value_and_grad(functools.partial(loss_of, config, network))

        def step(carry: Any, _: None) -> Any:
            weights, memory, state, obs, start, key = carry
            key, action_key, step_key = jax.random.split(key, 3)
            memory, logits, value = network.apply(weights, memory, obs[None], start[None])
            action = jax.random.categorical(action_key, logits[0])
            keys = jax.random.split(step_key, num_envs)
            after, state, reward, done, info = step_all(keys, state, action, env_params)
            log_prob = log_probs(logits[0], action)
            seen = Transition(start, obs, action, log_prob, value[0], reward, done)
            return (weights, memory, state, after, done, key), (seen, info)

        def descend(carry: Any, batch: Any) -> Any:
            weights, optimizer_state = carry
            loss, gradient = loss_and_gradient(weights, batch)
            change, optimizer_state = optimizer.update(gradient, optimizer_state)
            return (optax.apply_updates(weights, change), optimizer_state), loss

        def epoch(carry: Any, given: Any) -> Any:
            key, columns = given
            order = jax.random.permutation(key, num_envs).reshape(config["num_minibatches"], -1)
            parts = jax.tree.map(lambda leaf: jnp.moveaxis(leaf[:, order], 1, 0), columns)
            return jax.lax.scan(descend, carry, parts)

        def update(carry: Any, _: None) -> Any:
            weights, optimizer_state, *rest = carry
            memory = rest[0]
            carry, (seen, info) = jax.lax.scan(step, (weights, *rest), None, config["num_steps"])
            _, *rest, key = carry
            _, _, last_value = network.apply(weights, rest[0], rest[2][None], rest[3][None])
            columns = memory[None], seen, advantages(config, seen, last_value[0])
            key, *keys = jax.random.split(key, config["num_epochs"] + 1)
            learner = weights, optimizer_state
            for epoch_key in keys:
                learner, loss = epoch(learner, (epoch_key, columns))
            return (*learner, *rest, key), {**info, "loss": loss}

        obs, state = reset(jax.random.split(reset_key, num_envs), env_params)
        start = jnp.ones(num_envs, bool)
        carry = weights, optimizer.init(weights), memory, state, obs, start, key
        return jax.lax.scan(update, carry, None, config["num_updates"])[1]

    return train
