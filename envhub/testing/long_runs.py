"""A run of many steps, as a digest of each, so that two runs can be compared across processes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import jax

from envhub._random_action import RandomAction
from envhub.testing import second_process
from envhub.testing.comparison import NotRunError, Refuted, visible
from envhub.testing.subject import Subject

LONG = 100
"""A CPU library may behave alike for some steps, and then draw what no seed decides."""


def compare_long_runs(subject: Subject) -> None:
    """Refute that a key decides `LONG` steps, or an episode that ends before.

    It takes three runs: two here, and one in another process.

    Raises:
        Refuted: if two runs differ.
        NotRunError: if another process cannot make the environment.
    """
    first = long_run(subject)
    again = long_run(subject)
    elsewhere = subject.call_elsewhere("envhub.testing.long_runs:long_run_elsewhere")
    for where, other in (("here again", again), ("in another process", elsewhere)):
        if first != other:
            pairs = zip(first, other, strict=False)
            step = next((at for at, (one, two) in enumerate(pairs) if one != two), len(other))
            raise Refuted(f"a run of the same key {where} is not the same from step {step}")


def long_run(subject: Subject) -> list[str]:
    """Return a digest of the first observation, and of each step of random legal actions."""
    env, params = subject.env, subject.params
    choose = jax.jit(RandomAction.of(env, params))
    obs, state = env.reset(subject.keys[0], params)
    found = [_digest(obs)]
    for key in jax.random.split(jax.random.key(2), LONG):
        key_action, key_step = jax.random.split(key)
        result = env.step(key_step, state, choose(key_action, obs), params)
        found.append(_digest(visible(result)))
        if result.done.all():
            break
        obs, state = result.obs, result.state
    return found


def long_run_elsewhere(recipe: Mapping[str, Any]) -> list[str]:
    """Make an environment from its recipe, and return its long run.

    Raises:
        NotRunError: if the environment cannot be made here.
    """
    try:
        subject = Subject(*second_process.make_by_recipe(recipe))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise NotRunError(f"another process cannot make it from the recipe: {what}") from error
    return long_run(subject)


def _digest(tree: Any) -> str:
    digest = hashlib.sha256()
    for array in second_process.arrays_of(tree):
        digest.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()[:16]
