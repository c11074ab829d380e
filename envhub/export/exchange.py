"""Exchange arrays with callers outside JAX: JAX arrays, or PyTorch tensors of the same memory."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envhub._forks import refuse_after_fork
from envhub.errors import InvalidActionError, InvalidOptionError, MissingDependencyError

Kind = Literal["numpy", "jax", "torch"]


class Exchange(NamedTuple):
    """Functions that convert returned arrays and given actions."""

    outwards: Callable[[Any], Any]
    inwards: Callable[[Any], Any]


def exchange_of(kind: Kind) -> Exchange | None:
    """Return the exchange for a kind of arrays; `None` for NumPy's, which leave the device.

    Raises:
        InvalidOptionError: if the kind is unknown.
        MissingDependencyError: if PyTorch is requested but not installed.
    """
    if kind == "numpy":
        return None
    if kind == "jax":
        return Exchange(_same, _same)
    if kind != "torch":
        raise InvalidOptionError(f"array must be 'numpy', 'jax' or 'torch', got {kind!r}.")
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingDependencyError(
            "array='torch' needs the package 'torch', which is not installed. Run: "
            "pip install torch"
        ) from error
    return Exchange(_to_tensors, _from_tensors)


# At the top level, where pickle finds them.


def _same(tree: Any) -> Any:
    return tree


def _to_tensors(tree: Any) -> Any:
    torch: Any = importlib.import_module("torch")
    # When all is computed, nobody reads the action any more: it may be written to again.
    jax.block_until_ready(tree)  # type: ignore[no-untyped-call]
    return jax.tree.map(torch.from_dlpack, tree)


def _from_tensors(action: Any) -> Any:
    refuse_after_fork()
    try:
        return jax.tree.map(_from_tensor, action)
    except Exception as error:  # there is no common base of what the two libraries raise
        raise InvalidActionError(
            "the action is not a NumPy array or a tensor on the device of the observations: "
            f"{error}"
        ) from error


def _from_tensor(tensor: Any) -> Any:
    if isinstance(tensor, np.ndarray):  # which TorchRL makes of actions, unless it is told not to
        return jnp.asarray(tensor)
    # On the CPU, a compiled call takes NumPy arrays faster than DLPack does; they have no bfloat16.
    on_cpu = tensor.device.type == jax.default_backend() == "cpu"
    if on_cpu and str(tensor.dtype) != "torch.bfloat16":
        return tensor.detach().numpy()
    # JAX narrows 64-bit integers while x64 mode is off, and takes no tensor with gaps.
    return jnp.from_dlpack(tensor.detach().contiguous())
