"""Seeds of episodes without a program: waiting for one takes longer than most resets do."""

from __future__ import annotations

from typing import Any, cast

import jax

from envhub._seeding import seed_after_step, seed_of_words


def seed_of_reset(key_data: Any) -> int:
    """Return the seed of the episode that a reset starts with the second half of a split key.

    Args:
        key_data: uint32[2], the data of a key; or that of another kind of key.
    """
    config = cast(Any, jax.config)
    is_usual = config.jax_default_prng_impl == "threefry2x32" and config.jax_threefry_partitionable
    if not is_usual:
        return int(_seed_of_reset(key_data))
    seed: int = seed_of_words(*key_data.tolist())
    return seed


@jax.jit
def key_after(key_data: Any, calls: Any) -> Any:
    """Return the data of the key that is kept after so many calls, each of which splits it."""

    def split(_: Any, data: Any) -> Any:
        return jax.random.key_data(jax.random.split(jax.random.wrap_key_data(data))[0])

    return jax.lax.fori_loop(0, calls, split, key_data)


@jax.jit
def _seed_of_reset(key_data: Any) -> Any:
    return seed_after_step(jax.random.wrap_key_data(key_data))
