"""Convert states to plain arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub._forks import refuse_after_fork
from envhub.environment import Environment
from envhub.errors import InvalidStateError, brief
from envhub.vector import VectorEnv


def pack_state(state: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Convert a state, of one environment or of a batch, to arrays that NumPy can save.

    Args:
        state: a state that `reset` or `step` returned.

    Returns:
        The leaves by name, in order. A typed key becomes its data, under a name that ends with the
        key's implementation. `np.savez(path, **pack_state(state))` writes a checkpoint.

    Examples:
        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> _, state = env.reset(jax.random.key(0), params)
        >>> saved = envhub.pack_state(state)
        >>> restored = envhub.unpack_state(env, saved)
        >>> result = env.step(jax.random.key(1), restored, 1, params)
    """
    packed = {}
    for index, leaf in enumerate(jax.tree.leaves(state)):
        name = f"{index:06}"
        if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            spec: Any = jax.random.key_impl(leaf)
            kind = spec if isinstance(spec, str) else spec._impl.name
            name, leaf = f"{name}-{kind}", jax.random.key_data(leaf)  # noqa: PLW2901
        packed[name] = np.asarray(leaf)
    return packed


def unpack_state(env: Environment | VectorEnv, arrays: Mapping[str, Any]) -> Any:
    """Convert arrays of `pack_state` back to a state.

    Args:
        env: an environment made with the same arguments; a batch for the state of a batch.
        arrays: the result of `pack_state`, or `np.load(path)` of a saved checkpoint.

    Returns:
        The state. If the environment is `checkpointable`, it continues bit for bit.

    Raises:
        InvalidStateError: if the arrays hold the state of another environment.

    Examples:
        >>> venv, params = envhub.make_vec("gymnax::CartPole-v1", 2)
        >>> _, states = venv.reset(jax.random.key(0), params)
        >>> restored = envhub.unpack_state(venv, envhub.pack_state(states))
    """
    refuse_after_fork()
    one = env.env if isinstance(env, VectorEnv) else env
    expected, structure = jax.tree.flatten(one.reset_shapes[1])
    names = sorted(arrays)
    if len(names) != len(expected):
        raise InvalidStateError(
            f"these are not the arrays of a state of {env}: got {len(names)} arrays, expected "
            f"{len(expected)}."
        )
    leaves = [_leaf(env, shape, name, arrays[name]) for shape, name in zip(expected, names)]  # noqa: B905
    return jax.tree.unflatten(structure, leaves)


def _leaf(env: Any, expected: Any, name: str, array: Any) -> jax.Array:
    _, _, kind = name.partition("-")
    array = np.asarray(array)
    if kind:
        try:
            keys: jax.Array = jax.random.wrap_key_data(jnp.asarray(array), impl=kind)
            return keys
        except (TypeError, ValueError) as error:
            raise InvalidStateError(f"{name} of a state of {env} is not a key: {error}") from error
    # A state with a legacy key was saved as an array, where the expected state has a typed key.
    is_key = jnp.issubdtype(expected.dtype, jax.dtypes.prng_key)
    if array.dtype.kind == "V" and array.dtype.itemsize == expected.dtype.itemsize:
        array = array.view(expected.dtype)  # NumPy saves bfloat16 as bytes without a meaning
    own = array.shape[array.ndim - len(expected.shape) :]
    if not is_key and (own != expected.shape or array.dtype != expected.dtype):
        raise InvalidStateError(
            f"{name} of a state of {env} must be {expected.dtype}{list(expected.shape)}; got "
            f"{brief(array.dtype)}{list(array.shape)}."
        )
    return jnp.asarray(array)
