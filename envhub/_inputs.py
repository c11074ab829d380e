"""What callers hand in: keys, params and actions, checked before a suite sees them.

Shapes, dtypes and structures are static in JAX, so these checks run while a program is traced
and cost nothing in the compiled one.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.errors import InvalidActionError, InvalidKeyError, InvalidParamsError, brief
from envhub.spaces._trees import map_space

_ARRAYS = (jax.Array, np.ndarray, np.generic, bool, int, float)


def check_key(key: Any) -> None:
    """Refuse what is not one PRNG key, typed or legacy `uint32[2]` (`uint32[4]` for rbg).

    Raises:
        InvalidKeyError: naming what was given and how to make a key.
    """
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", ())
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        single, batched = shape == (), bool(shape)
    else:
        is_legacy = dtype == np.uint32
        single = is_legacy and shape in ((2,), (4,))
        batched = is_legacy and not single and shape[-1:] in ((2,), (4,))
    if single:
        return
    given = f"an array of {dtype}{list(shape)}" if dtype is not None else repr(key)
    hint = (
        "For a batch of keys, vmap the call: jax.vmap(env.reset, in_axes=(0, None))(keys, params)."
        if batched
        else "Make one with jax.random.key(seed)."
    )
    raise InvalidKeyError(f"expected one PRNG key, got {given}. {hint}")


def check_params(params: Any, default: Any) -> None:
    """Refuse params that do not have the structure of the default ones.

    A field whose default is `None` may hold anything; other leaves must be arrays or numbers.

    Raises:
        InvalidParamsError: naming the structure that is expected.
    """
    structure: Any = jax.tree.structure(default, is_leaf=lambda leaf: leaf is None)
    try:
        if default is None and params is not None:
            raise ValueError("this environment has no params")
        structure.flatten_up_to(params)
    except (ValueError, TypeError) as error:
        raise InvalidParamsError(
            f"params do not fit this environment: got {brief(params)}, expected the structure of "
            f"env.default_params, {brief(default)}. Change fields with "
            "params.replace(field=value)."
        ) from error
    check_arrays("params", params, InvalidParamsError)


def check_arrays(what: str, tree: Any, error: type[Exception]) -> None:
    """Refuse leaves that JAX cannot hold, as `error`, which names the first of them."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if not isinstance(leaf, _ARRAYS):
            where = what + jax.tree_util.keystr(path)
            raise error(f"{where} is {leaf!r}, which is neither an array nor a number.")


def conform_action(space: spaces.Space, action: Any) -> Any:
    """The action in the dtypes of its space, for a suite that is particular about them.

    Integers of any width fit an integer space, and integers and floats a float one: navix 4.0 and
    craftax 1.6 fail inside a `lax.cond` on anything but int32.

    Raises:
        InvalidActionError: if structure, shape or kind do not fit the space.
    """
    try:
        return map_space(_conform_leaf, space, action)
    except (TypeError, ValueError, KeyError) as error:
        message = f"the action {brief(action)} does not fit {space}: {error}"
        raise InvalidActionError(message) from error


def _conform_leaf(space: Any, leaf: Any) -> jax.Array:
    if not isinstance(leaf, _ARRAYS):
        raise TypeError("it is not an array")
    array = jnp.asarray(leaf)
    if array.shape != space.shape:
        raise ValueError(f"its shape is {array.shape}, not {space.shape}")
    accepted = "if" if space.dtype.kind == "f" else "iu"
    if array.dtype.kind not in accepted:
        raise TypeError(f"its dtype is {array.dtype}, not {space.dtype}")
    return array.astype(jax.dtypes.canonicalize_dtype(space.dtype))
