"""A small training, whose params follow from every reward; a driver of a cluster may be run as it.

    python -m tests.host.training ADDRESS CHECKPOINT UPDATES

continues the training of a checkpoint, which it writes after each update, until so many are done.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import envhub

CARTPOLE = "gymnasium::CartPole-v1"
ENVS, ACTORS, STEPS = 64, 8, 16  # 8 × 8 environments
ON_ACTORS = {
    "workers": "ray",
    "num_workers": ACTORS,
    "ray_options": {"num_cpus": 0.5, "scheduling_strategy": "SPREAD"},
}
KEY = jax.random.key(0)


class Training:
    """REINFORCE of a linear policy, in which episodes go on from update to update.

    Attributes:
        venv: the environments.
        retries: for each call that failed, how often it was repeated.
        theta: the params of the policy.
        done: the number of updates.
    """

    def __init__(self, **how: Any) -> None:
        self.venv, params = envhub.make_vec(CARTPOLE, ENVS, max_instances=ENVS, **how)
        self.retries: list[int] = []
        venv = self.venv

        def collect(theta: Any, key: Any, states: Any, obs: Any) -> Any:
            def body(carry: Any, key: Any) -> Any:
                states, obs = carry
                chosen = jax.random.categorical(key, obs @ theta)
                result = venv.step(key, states, chosen, params)
                return (result.state, result.obs), (obs, chosen, result.reward)

            return jax.lax.scan(body, (states, obs), jax.random.split(key, STEPS))

        self._collect, self._update = jax.jit(collect), jax.jit(_update)
        self.theta, self.done = jnp.zeros((4, 2)), 0
        self._obs, self._states = venv.reset(KEY, params)

    def update(self) -> None:
        """Do one update, and repeat what fails because an actor is gone."""
        key = jax.random.fold_in(KEY, self.done)
        given = (self.theta, key, self._states, self._obs)
        (self._states, self._obs), seen = self._repeated(self._collect, *given)
        self.theta = self._update(self.theta, seen)
        self.done += 1

    def _repeated(self, call: Any, *arguments: Any) -> Any:
        for tries in range(5):
            try:
                result = jax.block_until_ready(call(*arguments))
            except Exception as error:
                if "HostEnvError" not in f"{type(error).__name__}: {error}":
                    raise
                failed = error
            else:
                self.retries += [tries] * (tries > 0)
                return result
        raise failed

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        states = envhub.pack_state(self._states)
        own = {"theta": self.theta, "done": self.done, "obs": self._obs}
        with path.with_suffix(".new").open("wb") as file:
            np.savez(file, **{f"state:{name}": leaf for name, leaf in states.items()}, **own)
        os.replace(path.with_suffix(".new"), path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        with np.load(path) as file:
            found = dict(file)
        states = {name: leaf for name, leaf in found.items() if name.startswith("state:")}
        states = {name.removeprefix("state:"): leaf for name, leaf in states.items()}
        self._states = envhub.unpack_state(self.venv, states)
        self.theta, self._obs = jnp.asarray(found["theta"]), jnp.asarray(found["obs"])
        self.done = int(found["done"])


def _update(theta: Any, seen: Any) -> Any:
    obs, actions, rewards = seen

    def loss(theta: Any) -> Any:
        logits = jax.nn.log_softmax(obs @ theta)
        chosen = jnp.take_along_axis(logits, actions[..., None], -1)[..., 0]
        gains = jnp.cumsum(rewards[::-1], 0)[::-1]
        return -(chosen * (gains - gains.mean())).mean() + 0.01 * (theta**2).sum()

    return theta - 0.1 * jax.grad(loss)(theta)


def main(address: str, checkpoint: str, updates: str) -> None:
    """Train, as a driver."""
    import ray

    ray.init(address=address)
    training, path = Training(**ON_ACTORS), Path(checkpoint)
    if path.exists():
        training.load(path)
    while training.done < int(updates):
        training.update()
        training.save(path)
        print(training.done, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
