"""One of two processes that share a batch: run as `python -m tests.one_of_two_processes 0 PORT`.

Each has two devices, compares its part of the results with what one device gives, and prints how
many episodes ended on its devices.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import envhub

NUM_ENVS, STEPS, SUITES = 8, 20, ("gymnax::CartPole-v1", "gymnasium::CartPole-v1")


def rollout(venv: Any, key: Any) -> Any:
    """A reset and some steps, all that is seen of them."""
    obs, state = venv.reset(key)

    def body(state: Any, key: Any) -> Any:
        result = venv.step(key, state, jnp.ones(NUM_ENVS, jnp.int32))
        return result.state, result._replace(state=None)

    return obs, jax.lax.scan(body, state, jax.random.split(key, STEPS))[1]


def calls(venv: Any, key: Any) -> Any:
    """The same of two calls outside of `jit`, with an action that each process makes for itself."""
    obs, state = venv.reset(key)
    result = venv.step(key, state, np.ones(NUM_ENVS, np.int32))
    return obs, result._replace(state=None)


def compare(results: Any, expected: Any) -> None:
    """Compare the parts of arrays that this process has with the same parts of one device."""
    for leaf, whole in zip(jax.tree.leaves(results), jax.tree.leaves(expected), strict=True):
        assert len(leaf.addressable_shards) == 2
        for shard in leaf.addressable_shards:
            part = np.asarray(whole)[shard.index]
            assert 4 * part.size == whole.size
            np.testing.assert_array_equal(shard.data, part)


def main(process: int, port: int) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=process)
    assert (len(jax.local_devices()), len(jax.devices())) == (2, 4)
    mesh, key = jax.sharding.Mesh(np.array(jax.devices()), ("devices",)), jax.random.key(1)
    for env_id in SUITES:
        over_all, _ = envhub.make_vec(env_id, NUM_ENVS, mesh=mesh)
        on_one, _ = envhub.make_vec(env_id, NUM_ENVS)
        expected = jax.jit(rollout, static_argnums=0)(on_one, key)
        results = jax.jit(rollout, static_argnums=0)(over_all, key)
        compare(results, expected)
        print(f"{env_id}: {int(expected[1].done.sum())} episodes ended")
    compare(calls(over_all, key), calls(on_one, key))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
