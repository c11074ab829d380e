"""Random calls of environments of EnvPool through the hub, good and bad ones.

    python -m tests.fuzz_envpool SEED CALLS NAME...

makes as many calls of each environment, in this process, which must survive: what EnvPool is not
to be given is refused with an error of the contract. Prints how many calls were answered, and how
many refused.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
from envhub.adapters.envpool.names import family_of
from envhub.adapters.envpool.settings import OF_FAMILY

import envhub
from envhub import errors

ODD = (0, -1, 1, 3, 2**31, 2**40, 0.5, -1e9, float("nan"), float("inf"), None, "x", True, (1, 2))
ODD_NAMES = ("num_envs", "batch_size", "env_seed", "seed", "size", "base_path", "render_mode")


def options_of(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Up to two options, most of them with values that make no sense."""
    known = [*OF_FAMILY.get(family_of(name), {}), "num_threads", "max_episode_steps", "seeding"]
    chosen = rng.choice([*known, *ODD_NAMES], size=rng.integers(3), replace=False).tolist()
    return {each: ODD[rng.integers(len(ODD))] for each in chosen}


def action_of(space: Any, rng: np.random.Generator) -> Any:
    """An action, which lies outside of its space now and then, or is of another kind."""
    good = np.asarray(space.sample(jax.random.key(int(rng.integers(2**31)))))
    wrong = (
        lambda: good,
        lambda: good + np.array(100, good.dtype),
        lambda: good - np.array(100, good.dtype),
        lambda: good.astype(np.float32) * np.float32("nan"),
        lambda: np.zeros((*good.shape, 2), good.dtype),
        lambda: good.astype(np.float32) + np.float32(0.25),
        lambda: np.zeros(7, good.dtype),
        lambda: "up",
    )
    return wrong[rng.integers(len(wrong))]() if rng.random() < 0.5 else good


def play(name: str, calls: int, seed: int) -> tuple[int, int]:
    """Make that many calls; return how many were answered, and how many refused."""
    rng = np.random.default_rng([seed, len(name)])
    env, params = envhub.make(f"envpool::{name}")
    states = [env.reset(jax.random.key(seed), params)[1]]
    answered = refused = 0
    for _ in range(calls):
        key, what = jax.random.key(int(rng.integers(2**31))), rng.random()
        try:
            if what < 0.1:
                envhub.make(f"envpool::{name}", **options_of(name, rng))[0].close()
            elif what < 0.25:
                states.append(env.reset(key, params)[1])
            elif what < 0.27 and env.capabilities.renderable:
                env.render(states[-1], params)
            else:  # of the newest state, or one that may be stale
                state = states[-1] if rng.random() < 0.9 else states[rng.integers(len(states))]
                states.append(
                    env.step(key, state, action_of(env.action_space(params), rng), params).state
                )
            answered += 1
        except errors.EnvHubError:
            refused += 1
    env.close()
    return answered, refused


if __name__ == "__main__":
    seed, calls, *names = sys.argv[1:]
    for name in names:
        print(name, *play(name, int(calls), int(seed)), flush=True)
