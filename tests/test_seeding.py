"""Seeds that are computed without `jax.random` are those that JAX's functions give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envhub import _seeding
from tests.wide import wide_numbers

KEYS: dict[str, Callable[[int], Any]] = {
    "typed": jax.random.key,
    "legacy": jax.random.PRNGKey,
    "rbg": lambda seed: jax.random.key(seed, impl="rbg"),
    "unsafe_rbg": lambda seed: jax.random.key(seed, impl="unsafe_rbg"),
}


def by_jax(key: Any) -> Any:
    return jax.random.bits(jax.random.split(key)[1], dtype=jnp.uint32) >> 1


@pytest.mark.parametrize("is_partitionable", [True, False])
@pytest.mark.parametrize("kind", KEYS)
def test_the_seed_after_a_step(kind: str, is_partitionable: bool) -> None:
    batches = jnp.stack([KEYS[kind](seed) for seed in range(12)]).reshape(
        3, 4, *jnp.shape(KEYS[kind](0))
    )
    with jax.threefry_partitionable(is_partitionable):
        is_known = _seeding.is_threefry(batches[0, 0])
        assert is_known == (is_partitionable and "rbg" not in kind)
        ours = jax.vmap(jax.vmap(_seeding.seed_after_step))
        seeds = jax.jit(ours)(batches)
        assert seeds.dtype == jnp.uint32
        np.testing.assert_array_equal(seeds, jax.vmap(jax.vmap(by_jax))(batches))
        np.testing.assert_array_equal(seeds, ours(batches))
        text = jax.jit(ours).lower(batches).as_text()
    assert ("while" in text) <= (not is_known)  # which XLA would hand from thread to thread


def test_ints_have_the_seeds_of_arrays() -> None:
    rng = np.random.default_rng(0)
    for words in rng.integers(2**32, size=(20, 2), dtype=np.uint32):
        key = jax.random.wrap_key_data(jnp.asarray(words))
        with jax.threefry_partitionable(True):
            assert _seeding.seed_of_words(*words.tolist()) == by_jax(key)
            assert _seeding.seed_after_step(key) == by_jax(key)


def test_seeds_with_wide_numbers() -> None:
    with wide_numbers(), jax.threefry_partitionable(True):
        key = jax.random.key(5)
        seed = jax.jit(_seeding.seed_after_step)(key)
        assert seed.dtype == jnp.uint32
        assert seed == by_jax(key)
