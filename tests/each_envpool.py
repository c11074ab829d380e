"""Environments of EnvPool that are made, reset and stepped, in this process.

    python -m tests.each_envpool NAME...

prints each name once its environment has been stepped and closed. EnvPool may end the process.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from envhub.adapters.envpool.fleet import PoolFleet

from envhub import registry
from envhub.host.protocol import to_leaves
from envhub.host.sampling import sample
from envhub.spaces._trees import leaves_of

SUITE: Any = registry.get("envpool")
STEPS = 3


def play(name: str) -> None:
    """Step a pool of two, whose observations must be in the space."""
    made = SUITE.recipe(name, {"num_threads": 1})
    fleet, rng, lanes = PoolFleet(made, is_exact=False), np.random.default_rng(0), np.arange(2)
    fleet.grow(1)
    seen = fleet.reset(lanes, [0, 1])
    for _ in range(STEPS):
        check(name, made.reader.observation_space, seen.obs)
        seen = fleet.step(lanes, np.stack([sample(made.reader.action_space, rng) for _ in lanes]))
    check(name, made.reader.observation_space, seen.obs)
    fleet.close()


def check(name: str, space: Any, obs: Any) -> None:
    """Check the rows of both lanes, in the dtypes that the hub makes of them."""
    columns = to_leaves(space, getattr(obs, "tree", obs))
    for part, column in zip(leaves_of(space), columns, strict=True):
        for row in column.astype(part.dtype):
            if not part.contains(row):
                raise AssertionError(f"{name}: {row} is not in {part}")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        play(name)
        print(name, flush=True)
