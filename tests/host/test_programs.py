"""What XLA does to a callback, and what comes of it: exactly the wanted steps of the instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import envhub
from envhub._sharding import shard_map
from envhub.host import transport

KEY, RIGHT = jax.random.key(0), jnp.int32(1)
Program = Callable[[Any, Any], Any]


@pytest.fixture(params=["cpu", "portable"])
def transported(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both transports: the one of a CPU, and the one that other platforms have."""
    if request.param == "cpu" and jax.default_backend() != "cpu":
        pytest.skip(reason=f"{jax.default_backend()} has the other transport alone")
    transport.force_portable = request.param == "portable"
    yield request.param
    transport.force_portable = False


def batch(env: Any, count: int = 4) -> Any:
    return jax.vmap(lambda key: env.reset(key)[1])(jax.random.split(KEY, count))


def step(env: Any, state: Any, action: Any = RIGHT) -> Any:
    return env.step(KEY, state, action)


def output_unused(env: Any, state: Any) -> Any:
    step(env, state)
    return 0


def two_identical_calls(env: Any, state: Any) -> Any:
    return step(env, state).obs, step(env, state).obs


def scan_of_the_same_state(env: Any, state: Any) -> Any:
    return lax.scan(lambda carry, _: (carry, step(env, state).obs), 0, None, 5)


def scan_of_the_next_state(env: Any, state: Any) -> Any:
    return lax.scan(lambda carry, _: (step(env, carry).state, None), state, None, 5)


def scan_whose_result_is_unused(env: Any, state: Any) -> Any:
    scan_of_the_next_state(env, state)
    return 0


def cond_under_vmap(env: Any, state: Any) -> Any:
    def one(state: Any, taken: Any) -> Any:
        return lax.cond(taken, lambda state: step(env, state).state, lambda state: state, state)

    return jax.vmap(one)(batch(env), jnp.array([True, False, False, False]))


def while_under_vmap(env: Any, state: Any) -> Any:
    def one(state: Any, count: Any) -> Any:
        def body(carry: Any) -> Any:
            return carry[0] + 1, step(env, carry[1]).state

        return lax.while_loop(lambda carry: carry[0] < count, body, (0, state))[1]

    return jax.vmap(one)(batch(env), jnp.array([1, 2, 3, 4]))


def nested_vmap(env: Any, state: Any) -> Any:
    states = jax.vmap(jax.vmap(lambda key: env.reset(key)[1]))(jax.random.split(KEY, (3, 4)))
    return jax.vmap(jax.vmap(lambda state: step(env, state).obs))(states)


def checkpointed(env: Any, state: Any) -> Any:
    def total(weight: Any) -> Any:
        def body(carry: Any, _: Any) -> Any:
            result = step(env, carry[0])
            return (result.state, carry[1] + weight * result.reward), None

        return lax.scan(jax.checkpoint(body), (state, jnp.float32(0)), None, 6)[0][1]

    return jax.grad(total)(1.0)


# Of a state that is a snapshot, a step whose result nobody can see need not be taken. A lane of a
# `cond` is stepped all the same, because XLA runs both branches; what it gave is thrown away.
WANTED: list[tuple[Program, int, int]] = [
    (output_unused, 1, 0),
    (two_identical_calls, 1, 1),
    (scan_of_the_same_state, 1, 1),
    (scan_of_the_next_state, 5, 5),
    (scan_whose_result_is_unused, 5, 0),
    (cond_under_vmap, 4, 4),
    (while_under_vmap, 13, 13),  # 10, and one more for each lane that waits for the others
    (nested_vmap, 12, 12),
    (checkpointed, 6, 11),
]


@pytest.fixture(scope="module")
def envs() -> Iterator[dict[bool, Any]]:
    made = {
        forkable: envhub.make("gymnasium::CartPole-v1", forkable=forkable)[0]
        for forkable in (False, True)
    }
    yield made
    for env in made.values():
        env.close()


@pytest.mark.parametrize("forkable", [False, True], ids=["opaque", "forkable"])
@pytest.mark.parametrize(("program", "opaque", "forked"), WANTED)
def test_steps_of_a_program(
    program: Program,
    opaque: int,
    forked: int,
    forkable: bool,
    envs: dict[bool, Any],
    transported: str,
) -> None:
    env = envs[forkable]
    _, state = env.reset(KEY)
    before = env.counts.steps
    jax.block_until_ready(jax.jit(lambda state: program(env, state))(state))
    jax.effects_barrier()
    assert env.counts.steps - before == (forked if forkable else opaque)


@pytest.mark.parametrize("forkable", [False, True], ids=["opaque", "forkable"])
@pytest.mark.skipif(
    jax.__version_info__ < (0, 5), reason="jax 0.4.35 hangs now and then: no flag is claimed there"
)
def test_sharded_by_xla_or_by_shard_map(forkable: bool, envs: dict[bool, Any]) -> None:
    env = envs[forkable]
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("device",))
    split = jax.sharding.PartitionSpec("device")

    def obs(state: Any) -> Any:
        return step(env, state).obs

    expected = jax.block_until_ready(jax.vmap(obs)(batch(env)))
    before = env.counts.steps
    placed = jax.device_put(batch(env), jax.sharding.NamedSharding(mesh, split))
    automatic = jax.jit(jax.vmap(obs))(placed)
    mapped = shard_map(jax.vmap(obs), mesh=mesh, in_specs=(split,), out_specs=split)
    manual = jax.jit(mapped)(batch(env))
    np.testing.assert_array_equal(automatic, expected)
    np.testing.assert_array_equal(manual, expected)
    assert env.counts.steps - before == 8


def test_four_seeds_train_while_each_is_evaluated(envs: dict[bool, Any]) -> None:
    """Two evaluations interleaved with a rollout, under vmap: none disturbs another."""
    env = envs[False]

    def rollout(key: Any, evaluate: bool) -> Any:
        _, state = env.reset(key)

        def body(state: Any, action: Any) -> Any:
            result = step(env, state, action)
            if evaluate:
                for seed in range(2):
                    _, other = env.reset(jax.random.fold_in(key, seed))
                    other = step(env, other, 1 - action).state
                    step(env, other, action)
            return result.state, result.obs

        return lax.scan(body, state, jnp.array([0, 1, 0, 1, 0, 1], jnp.int32))[1]

    keys = jax.random.split(KEY, 4)
    plain = jax.jit(jax.vmap(lambda key: rollout(key, False)))(keys)
    disturbed = jax.jit(jax.vmap(lambda key: rollout(key, True)))(keys)
    np.testing.assert_array_equal(plain, disturbed)


def test_a_seed_gives_gymnasiums_own_episode(envs: dict[bool, Any]) -> None:
    import gymnasium

    own = gymnasium.make("CartPole-v1")
    own_obs, _ = own.reset(seed=envhub.host_seed(KEY))
    for env in envs.values():
        obs, state = env.reset(KEY)
        np.testing.assert_array_equal(obs, own_obs)
    result, ended = step(env, state), False
    while not ended:
        own_obs, reward, ended, _, _ = own.step(1)
        np.testing.assert_array_equal(result.obs, own_obs)
        assert (result.reward, result.terminated) == (reward, ended)
        result = step(env, result.state)


def test_no_gradient_flows_through_the_host(envs: dict[bool, Any]) -> None:
    env = envs[True]
    _, state = env.reset(KEY)
    gradient = jax.jit(jax.grad(lambda weight: (step(env, state).obs * weight).sum()))(2.0)
    assert np.isfinite(gradient)
    assert gradient != 0
