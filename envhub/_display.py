"""Format values for people, in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from envhub._tracing import is_traced

MANY = 8


def lines(title: str, rows: Mapping[str, str]) -> str:
    """Return a title, and below it a line for each name, with the names in a column."""
    width = max(map(len, rows), default=0)
    below = (f"  {name:{width}}  {text}".rstrip() for name, text in rows.items())
    return "\n".join([title, *below])


def table(rows: Iterable[tuple[object, object]]) -> str:
    """Return an HTML table of names and their values."""
    cells = ([html.escape(str(each), quote=False) for each in row] for row in rows)
    body = (f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in cells)
    return f"<table>{''.join(body)}</table>"


def brief(value: Any) -> str:
    """Return a short text: for arrays their dtype and shape, and the elements of small arrays."""
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _array(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name!r}: {brief(each)}' for name, each in value.items())}}}"
    leaves = jax.tree.leaves(value)
    if value is None or any(leaf is value for leaf in leaves):
        return repr(value)
    if type(value) in (tuple, list) and len(value) <= MANY:
        return f"({', '.join(map(brief, value))})"
    return f"{type(value).__name__} of {len(leaves)} array{'s' * (len(leaves) != 1)}"


def _array(array: Any) -> str:
    kind = f"{array.dtype}{list(array.shape)}"
    if is_traced(array):
        return f"{kind} traced"
    is_key = isinstance(array, jax.Array) and jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key)
    elsewhere = isinstance(array, jax.Array) and not array.is_fully_addressable
    if is_key or elsewhere or array.size > MANY:
        return kind
    return f"{kind} {flat_text(np.asarray(array))}"


def flat_text(array: Any) -> str:
    """Return an array in one line, abbreviated if it is large; floats have six digits."""
    formatter: Any = {"float_kind": _float}
    with np.printoptions(threshold=MANY, edgeitems=1, formatter=formatter):
        return " ".join(str(array).split())


def _float(number: Any) -> str:
    text = f"{number:g}"
    return f"{text}." if text.lstrip("-").isdigit() else text
