"""What is known while a program is traced, and what is known only when it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_traced(*trees: Any) -> bool:
    """Whether an array among the leaves is known only when the program runs."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def numpy_for(*trees: Any) -> Any:
    """`numpy`, or `jax.numpy` where one of the leaves is traced."""
    return jnp if is_traced(*trees) else np


@contextlib.contextmanager
def concrete_if_known(params: Any) -> Iterator[Any]:
    """Compute a space as outside of `jit`, unless it depends on traced params.

    Suites compute bounds with `jax.numpy`, which a surrounding trace would make abstract.

    Yields:
        The params, of which those that are known are numbers and arrays of NumPy.
    """
    if is_traced(params):
        yield params
        return
    with jax.ensure_compile_time_eval():
        yield jax.device_get(params)
