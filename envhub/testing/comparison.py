"""What a check says no with, and how it compares what two runs showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub.environment import StepResult
from envhub.testing import second_process


class Refuted(Exception):
    """A probe's no, with what it saw."""


class NotRunError(Exception):
    """A probe cannot run here; that is neither a yes nor a no."""


def visible(results: Any) -> Any:
    """All of a step but the state, whose arrays a suite may lay out as it likes."""
    if isinstance(results, StepResult):
        return results._replace(state=None)
    return [result._replace(state=None) for result in results]


def same(what: str, one: Any, other: Any) -> None:
    """Refute what is not equal to the bit."""
    same_arrays(what, one, second_process.arrays_of(other))


def close(what: str, one: Any, other: Any) -> None:
    """Refute what is not equal but for the rounding in which two programs may differ."""
    for a, b in zip(second_process.arrays_of(one), second_process.arrays_of(other), strict=True):
        if not np.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise Refuted(f"{what} differs: {a.tolist()} and {b.tolist()}"[:300])


def same_arrays(what: str, one: Any, arrays: Sequence[np.ndarray]) -> None:
    """Refute arrays of which one is not that leaf to the bit."""
    expected = second_process.arrays_of(one)
    differing = [
        f"{a.tolist()} and {b.tolist()}"
        for a, b in zip(expected, arrays, strict=True)
        if a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes()
    ]
    if differing:
        raise Refuted(f"{what} is not the same: {differing[0][:200]}")


def bits(tree: Any) -> list[bytes]:
    """The bytes of each leaf."""
    return [array.tobytes() for array in second_process.arrays_of(tree)]


def differ(variants: Any) -> Any:
    """bool[], whether anything differs between the first of the leading axis and another."""
    leaves = map(jnp.asarray, jax.tree.leaves(variants))
    apart = [~jnp.isclose(leaf[:1], leaf[1:], equal_nan=True).all() for leaf in leaves]
    return jnp.stack(apart).any()


def stack(trees: Sequence[Any]) -> Any:
    """The trees as one, on a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
