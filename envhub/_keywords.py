"""Sort the keywords of `make` into options of a suite's constructor and fields of the params."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import registry
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, brief, did_you_mean
from envhub.suite import is_accepted

OWN = ("autoreset", "options", "params", "wrappers")  # keywords of `make` itself
OF_WORKERS = ("num_workers", "ray_options", "workers")  # of callback environments
OF_BATCHES = ("batched_params", "mesh", "num_envs", "sharding")  # further ones of `make_vec`


def explicit(env_id: str, what: str, given: Any) -> dict[str, Any]:
    """Return the value of `options=` or `params=` as a dict.

    Args:
        env_id: the id, for errors.
        what: `"options"` or `"params"`.
        given: the value; `None` for an empty dict.

    Raises:
        InvalidOptionError: if it is not a dict with strings as keys.
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
    """Return the keywords for the suite's constructor, and those that override params.

    Args:
        env_id: the id, for errors.
        accepted: the keywords that the constructor takes.
        kwargs: keywords for the constructor or for the params.
        options: keywords for the constructor.
        params: keywords that override fields of the params.

    Raises:
        InvalidOptionError: if a keyword is given twice, or the constructor does not take an option.
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
    """Return a copy of the default params with new values of some fields, and of derived fields.

    Args:
        env_id: the id, for errors.
        env: the environment.
        overrides: the new values by field.
        accepted: the keywords that the constructor takes, for errors.

    Raises:
        InvalidOptionError: if a field is unknown, or a value has another shape or kind or, if it
            is the episode limit, is not positive.
    """
    params = env.default_params
    fields = (
        [field.name for field in dataclasses.fields(params)]
        if dataclasses.is_dataclass(params)
        else []
    )
    for name in overrides:
        if name not in fields:
            raise _unknown(env_id, name, accepted | set(fields))
    checked = {
        name: _checked(env_id, name, getattr(params, name), value)
        for name, value in overrides.items()
    }
    if not checked:
        return params
    limit = env.limited_by
    if limit in checked and not np.all(np.asarray(checked[limit]) >= 1):
        raise InvalidOptionError(f"{env_id}: {limit} must be positive, got {checked[limit]!r}.")
    params = dataclasses.replace(params, **checked)
    return dataclasses.replace(params, **(env.derived_params(params, set(checked)) | checked))


HELD = (bool, int, float, np.ndarray, np.generic, jax.Array)
"""What a leaf of params may be."""


def _checked(env_id: str, name: str, default: Any, value: Any) -> Any:
    """Return a value with the kind of its default: a number, or an array of the same shape.

    Raises:
        InvalidOptionError: if it does not fit the default.
    """
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
    """Return a value as it is, but an int for a float field as a float.

    JAX does not take ints beyond 32 bits, and would trace programs again for an int. A field whose
    default is `None` may hold anything.
    """
    is_float = old is not None and jnp.result_type(old).kind == "f"
    return float(new) if is_float and isinstance(new, int) else new


def _fits(old: Any, new: Any) -> bool:
    if old is None:  # a field that may hold whatever JAX holds, such as a model
        return all(isinstance(leaf, HELD) for leaf in jax.tree.leaves(new))
    if not isinstance(new, HELD):
        return False
    dtype = jnp.result_type(old)
    if isinstance(new, (int, np.integer)) and dtype.kind in "iu":
        return not jnp.shape(old) and np.iinfo(dtype).min <= int(new) <= np.iinfo(dtype).max
    if isinstance(new, (int, float)) and not isinstance(new, bool) and dtype.kind == "f":
        # A finite number must be finite in the dtype too.
        is_held: bool = np.isfinite(np.float64(new).astype(dtype)).item() or not math.isfinite(new)
        return not jnp.shape(old) and is_held
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}[dtype.kind]
    return jnp.shape(new) == jnp.shape(old) and jnp.result_type(new).kind in kinds


def _unknown(env_id: str, name: str, known: Collection[str]) -> InvalidOptionError:
    names = sorted(known)
    hint = did_you_mean(name, [*names, *OWN, *OF_BATCHES])
    instead = registry.get(env_id.partition("::")[0]).instead
    if name in instead:
        hint = f" Give {instead[name]}."
    elif name in OF_BATCHES:
        hint = f" envhub.make_vec does: envhub.make_vec({env_id!r}, num_envs)."
    elif name in OF_WORKERS:
        hint = f" It has no workers: envhub.make_vec({env_id!r}, num_envs) steps many at once."
    return InvalidOptionError(
        f"{env_id} does not take {name!r}.{hint} It takes: {', '.join(names) or 'no keywords'}."
    )
