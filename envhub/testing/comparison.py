"""The exceptions of the checks, and comparisons of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub.environment import StepResult
from envhub.testing import second_process


class Refuted(Exception):
    """A check or a probe says no, with its observation."""


class NotRunError(Exception):
    """A check or a probe cannot run here, which is neither a yes nor a no."""


def visible(results: Any) -> Any:
    """Return a step without its state, whose layout is up to the suite."""
    if isinstance(results, StepResult):
        return results._replace(state=None)
    return [result._replace(state=None) for result in results]


def same(what: str, one: Any, other: Any) -> None:
    """Refute values that are not equal bit for bit."""
    same_arrays(what, one, second_process.arrays_of(other))


def close(what: str, one: Any, other: Any) -> None:
    """Refute values that differ by more than the rounding of two programs."""
    for a, b in zip(second_process.arrays_of(one), second_process.arrays_of(other), strict=True):
        if not np.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise Refuted(f"{what} differs: {a.tolist()} and {b.tolist()}"[:300])


def same_arrays(what: str, one: Any, arrays: Sequence[np.ndarray]) -> None:
    """Refute arrays that do not equal the leaves bit for bit."""
    expected = second_process.arrays_of(one)
    differing = [
        f"{a.tolist()} and {b.tolist()}"
        for a, b in zip(expected, arrays, strict=True)
        if a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes()
    ]
    if differing:
        raise Refuted(f"{what} is not the same: {differing[0][:200]}")


def bits(tree: Any) -> list[bytes]:
    """Return the bytes of each leaf."""
    return [array.tobytes() for array in second_process.arrays_of(tree)]


def differ(variants: Any) -> Any:
    """Tell whether any element of the leading axis differs from the first: bool[]."""
    leaves = map(jnp.asarray, jax.tree.leaves(variants))
    apart = [~jnp.isclose(leaf[:1], leaf[1:], equal_nan=True).all() for leaf in leaves]
    return jnp.stack(apart).any()


def stack(trees: Sequence[Any]) -> Any:
    """Stack trees on a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
