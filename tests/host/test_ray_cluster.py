"""A cluster of three nodes on this machine, whose actors and nodes are killed while it trains."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from tests.packages import needed

pytestmark = pytest.mark.full

CARTPOLE = "gymnasium::CartPole-v1"
ENVS, ACTORS, STEPS = 64, 8, 16  # 8 × 8 environments
KILLS, MOST_RETRIES = 50, 1


@pytest.fixture(scope="module")
def cluster(ray: Any) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster()
    made.add_node(num_cpus=1, include_dashboard=False, _system_config=FAST_CHECKS)
    ray.init(address=made.address)
    for _ in range(2):
        made.add_node(num_cpus=ACTORS)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def ray() -> Any:
    return needed("ray")


FAST_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 2,
}


class Training:
    """REINFORCE of a linear policy: a loop whose params follow from every reward."""

    def __init__(self, env: Any, params: Any) -> None:
        self.retries: list[int] = []
        step = jax.vmap(lambda state, action: env.step(KEY, state, action, params))

        def collect(theta: Any, key: Any, states: Any, obs: Any) -> Any:
            def body(carry: Any, key: Any) -> Any:
                states, obs = carry
                actions = jax.random.categorical(key, obs @ theta).astype(jnp.int32)
                result = step(states, actions)
                return (result.state, result.obs), (obs, actions, result.reward)

            return jax.lax.scan(body, (states, obs), jax.random.split(key, STEPS))

        def update(theta: Any, seen: Any) -> Any:
            obs, actions, rewards = seen

            def loss(theta: Any) -> Any:
                logits = jax.nn.log_softmax(obs @ theta)
                chosen = jnp.take_along_axis(logits, actions[..., None], -1)[..., 0]
                return -(chosen * (rewards - rewards.mean())).mean() + 0.01 * (theta**2).sum()

            return theta - 0.1 * jax.grad(loss)(theta)

        self._collect, self._update = jax.jit(collect), jax.jit(update)
        self._reset = jax.jit(jax.vmap(lambda key: env.reset(key, params)))

    def run(self, updates: int) -> Any:
        """Train, and repeat what fails because an actor is gone."""
        theta = jnp.zeros((4, 2))
        for update in range(updates):
            keys = jax.random.split(jax.random.fold_in(KEY, update), ENVS)
            obs, states = self._repeated(self._reset, keys)
            _, seen = self._repeated(self._collect, theta, keys[0], states, obs)
            theta = self._update(theta, seen)
        return np.asarray(theta)

    def _repeated(self, call: Any, *arguments: Any) -> Any:
        for tries in range(100):
            try:
                result = jax.block_until_ready(call(*arguments))
            except Exception as error:
                if "HostEnvError" not in f"{type(error).__name__}: {error}":
                    raise
                continue
            self.retries += [tries] * (tries > 0)
            return result
        raise AssertionError("it fails for ever")


KEY = jax.random.key(0)


def test_a_training_in_which_actors_are_killed_is_the_undisturbed_one(cluster: Any) -> None:
    updates = 60
    serial = Training(*envhub.make(CARTPOLE, max_instances=ENVS)).run(updates)
    options = {"num_cpus": 0.5, "scheduling_strategy": "SPREAD"}
    env, params = envhub.make(
        CARTPOLE, workers="ray", num_workers=ACTORS, ray_options=options, max_instances=ENVS
    )
    training, ended, killed = Training(env, params), threading.Event(), []

    def kill() -> None:
        rng = np.random.default_rng(0)
        while len(killed) < KILLS and not ended.wait(rng.uniform(0.2, 1.0)):
            processes = env.counts.processes
            if processes:
                killed.append(int(rng.choice(processes)))
                try:
                    os.kill(killed[-1], signal.SIGKILL)
                except ProcessLookupError:
                    killed.pop()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        rounds = []
        while len(killed) < KILLS:
            rounds.append(training.run(updates))
    finally:
        ended.set()
        killer.join()
    rounds.append(training.run(updates))
    for found in rounds:
        np.testing.assert_array_equal(found, serial)
    assert training.retries, "nothing was disturbed"
    assert len({place.node for place in env.workers}) > 1
    env.close()


def test_a_node_that_is_removed_is_named_and_its_instances_start_elsewhere(
    cluster: Any,
) -> None:
    extra = cluster.add_node(num_cpus=2, resources={"extra": 2})
    cluster.wait_for_nodes()
    options = {"num_cpus": 0.1, "resources": {"extra": 1}}
    env, params = envhub.make(
        CARTPOLE, workers="ray", num_workers=2, ray_options=options, forkable=True
    )
    keys = jax.random.split(KEY, 4)
    _, states = jax.vmap(env.reset, (0, None))(keys, params)
    step = jax.vmap(lambda state: env.step(KEY, state, 1, params))
    expected = step(states)
    node = env.workers[0].node
    cluster.remove_node(extra)
    with pytest.raises(errors.HostEnvError) as caught:
        step(step(states).state)
    assert node in str(caught.value)
    cluster.add_node(num_cpus=2, resources={"extra": 2})  # a node that joins is used
    cluster.wait_for_nodes()
    found = step(states)
    np.testing.assert_array_equal(found.obs, expected.obs)
    assert {place.node for place in env.workers}.isdisjoint({node})
    env.close()
