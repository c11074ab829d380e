"""Seeds of episodes without a program: waiting for one takes longer than most resets do."""

from __future__ import annotations

from typing import Any, cast

import jax

from envhub._seeding import traced_seed

BITS = 0xFFFFFFFF
PARITY = 0x1BD11BDA
EVEN, ODD = (13, 15, 26, 6), (17, 29, 16, 24)
ROTATIONS = EVEN, ODD, EVEN, ODD, EVEN


def seed_of_reset(key_data: Any) -> int:
    """Return the seed of the episode that a reset starts with the second half of a split key.

    Args:
        key_data: uint32[2], the data of a key; or that of another kind of key.
    """
    config = cast(Any, jax.config)
    is_usual = config.jax_default_prng_impl == "threefry2x32" and config.jax_threefry_partitionable
    if not is_usual:
        return int(_seed_of_reset(key_data))
    first, second = key_data.tolist()
    used = threefry(first, second, 0, 1)
    one, other = threefry(*used, 0, 0)
    return (one ^ other) >> 1


def threefry(key: int, other_key: int, word: int, other: int) -> tuple[int, int]:
    """Return a block of Threefry-2x32 with 20 rounds, JAX's generator, for two words."""
    keys = key, other_key, key ^ other_key ^ PARITY
    word, other = word + key, (other + other_key) & BITS
    for number, rotations in enumerate(ROTATIONS, 1):
        for places in rotations:
            word += other  # it has more than 32 bits until the end, which saves time
            other = ((other << places | other >> (32 - places)) ^ word) & BITS
        word += keys[number % 3]
        other = (other + keys[(number + 1) % 3] + number) & BITS
    return word & BITS, other


@jax.jit
def key_after(key_data: Any, calls: Any) -> Any:
    """Return the data of the key that is kept after so many calls, each of which splits it."""

    def split(_: Any, data: Any) -> Any:
        return jax.random.key_data(jax.random.split(jax.random.wrap_key_data(data))[0])

    return jax.lax.fori_loop(0, calls, split, key_data)


@jax.jit
def _seed_of_reset(key_data: Any) -> Any:
    return traced_seed(jax.random.split(jax.random.wrap_key_data(key_data))[1])
