"""The pools of this process, by the number that the handles of their states contain."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from envhub.errors import StaleStateError

if TYPE_CHECKING:
    from envhub.host.pool import Pool

GONE = "the environment was closed or deleted."
# The most live instances by default. Opaque states need many, because a state whose instance is
# recycled is gone for good. States with snapshots need few, because restoring an instance is often
# much cheaper than making one (ALE: 0.1 ms and 80 ms).
OPAQUE_INSTANCES, FORKABLE_INSTANCES = 256, 16
FORKABLE = (
    "With forkable=True, if the environment supports it, any state can be stepped at any time."
)

pools: weakref.WeakValueDictionary[int, Pool] = weakref.WeakValueDictionary()


def find_pool(nonce: int) -> Pool:
    """Return the pool with this number in its handles.

    Raises:
        StaleStateError: if the environment is closed or gone.
    """
    pool = pools.get(nonce)
    if pool is None:
        raise StaleStateError(GONE)
    return pool


def new_nonce() -> int:
    """Return a number that no other pool has in this process, and most likely in others."""
    nonce = 0
    while not nonce or nonce in pools:
        nonce = int.from_bytes(os.urandom(4), "little")
    return nonce
