"""What the keywords of `make` mean: options of a suite's constructor, or fields of the params."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub.environment import Environment
from envhub.errors import InvalidOptionError, brief, did_you_mean
from envhub.suite import is_accepted

OWN = ("autoreset", "options", "params", "wrappers")  # of `make`
OF_BATCHES = ("batched_params", "mesh", "num_envs", "sharding")  # of `make_vec`


def explicit(env_id: str, what: str, given: Any) -> dict[str, Any]:
    """What was given as `options=` or `params=`.

    Raises:
        InvalidOptionError: if it is no dict by name.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidOptionError(
            f"{what}= of make must be a dict by name, got {brief(given)}. If {env_id} takes a "
            "keyword "
            f"{what!r}, give options={{{what!r}: …}}."
        )
    return dict(given)


def sort_keywords(
    env_id: str,
    accepted: Collection[str],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    params: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which keywords go to the suite's constructor, and which override params.

    Args:
        env_id: for errors.
        accepted: what the constructor takes.
        kwargs: keywords that may be either.
        options: those for the constructor.
        params: those that override fields of the params.

    Raises:
        InvalidOptionError: if one is given twice, or the constructor does not take an option.
    """
    for name in options:
        if not is_accepted(name, accepted):
            raise _unknown(env_id, name, accepted)
    own = {name: kwargs[name] for name in kwargs if is_accepted(name, accepted)}
    overrides = {name: kwargs[name] for name in kwargs if name not in own}
    twice = sorted({*(own.keys() & options.keys()), *(overrides.keys() & params.keys())})
    if twice:
        raise InvalidOptionError(f"{env_id} was given {', '.join(map(repr, twice))} twice.")
    return {**own, **options}, {**overrides, **params}


def override_params(
    env_id: str, env: Environment, overrides: Mapping[str, Any], accepted: set[str]
) -> Any:
    """The default params with some fields replaced, and what follows from those: a copy.

    Each is checked for its shape and kind.
    """
    params = env.default_params
    fields = [field.name for field in dataclasses.fields(params)] if params is not None else []
    for name in overrides:
        if name not in fields:
            raise _unknown(env_id, name, accepted | set(fields))
    checked = {
        name: _checked(env_id, name, getattr(params, name), value)
        for name, value in overrides.items()
    }
    if not checked:
        return params
    params = dataclasses.replace(params, **checked)
    return dataclasses.replace(params, **(env.derived_params(params, set(checked)) | checked))


def _checked(env_id: str, name: str, default: Any, value: Any) -> Any:
    """A param must be as its default is: a number for a number, an array of the same shape."""
    leaves: Any
    structure: Any
    leaves, structure = jax.tree.flatten(default, is_leaf=lambda leaf: leaf is None)
    try:
        given = structure.flatten_up_to(value)
        if all(map(_fits, leaves, given)):
            return jax.tree.unflatten(structure, map(_as_kind, leaves, given))
    except (ValueError, TypeError, OverflowError):
        pass
    raise InvalidOptionError(
        f"{env_id}: {name}={brief(value)} does not fit the default {default!r}: give a number or "
        "an array of the same shape and kind, which its dtype can hold. Several are "
        "given to calls under vmap, or to a batch of batched_params."
    )


def _as_kind(old: Any, new: Any) -> Any:
    """An int for a float field is a float: JAX takes no int beyond 32 bits, and would be retraced.

    A field whose default is `None` may hold anything.
    """
    is_float = old is not None and jnp.result_type(old).kind == "f"
    return float(new) if is_float and isinstance(new, int) else new


def _fits(old: Any, new: Any) -> bool:
    if not isinstance(new, (bool, int, float, np.ndarray, np.generic, jax.Array)):
        return old is None and new is None
    if old is None:
        return True
    dtype = jnp.result_type(old)
    if isinstance(new, (int, np.integer)) and dtype.kind in "iu":
        return not jnp.shape(old) and np.iinfo(dtype).min <= int(new) <= np.iinfo(dtype).max
    if isinstance(new, (int, float)) and not isinstance(new, bool) and dtype.kind == "f":
        # What is finite stays so.
        is_held: bool = np.isfinite(np.float64(new).astype(dtype)).item() or not math.isfinite(new)
        return not jnp.shape(old) and is_held
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}[dtype.kind]
    return jnp.shape(new) == jnp.shape(old) and jnp.result_type(new).kind in kinds


def _unknown(env_id: str, name: str, known: Collection[str]) -> InvalidOptionError:
    names = sorted(known)
    hint = did_you_mean(name, [*names, *OWN, *OF_BATCHES])
    if name in OF_BATCHES:
        hint = f" envhub.make_vec does: envhub.make_vec({env_id!r}, num_envs)."
    return InvalidOptionError(
        f"{env_id} does not take {name!r}.{hint} It takes: {', '.join(names) or 'no keywords'}."
    )
