"""Draw random actions in NumPy, within a mask of legal actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envhub import spaces
from envhub.host.instance import Instance
from envhub.host.protocol import of_leaves
from envhub.host.values import Actions
from envhub.spaces._trees import leaves_of


def legal_action(
    rng: np.random.Generator, actions: Actions, instance: Instance, obs: Any, infos: Sequence[Any]
) -> Any:
    """Return a random action that a mask of `info`, the observation or the instance allows."""
    for where in (*infos, obs):
        if isinstance(where, Mapping) and "action_mask" in where:
            return sample(actions.space, rng, where["action_mask"])
    return sample(actions.space, rng, instance.action_mask())


def sample(space: spaces.Space, rng: np.random.Generator, mask: Any = None) -> Any:
    """Return a random action: an int for `Discrete`, otherwise arrays.

    Args:
        space: the action space.
        rng: the generator that draws the action.
        mask: a mask as `gymnasium.Space.sample` takes it. For `Discrete`, an array of n entries,
            which are not 0 for legal values. For `MultiDiscrete`, such an array for each
            dimension, or these arrays joined, as in sb3-contrib; or an array of the shape `nvec`
            with an entry for each combination. For `MultiBinary`, an array of its shape: 0 and 1
            stand for themselves, and 2 for either value. For `Dict` and `Tuple`, a mask for each
            part, or `None`. A mask that does not fit, or that allows nothing, is ignored.
    """
    pairs = zip(leaves_of(space), _masks(space, mask), strict=True)
    return of_leaves(space, iter([_draw_legal(leaf, rng, part) for leaf, part in pairs]))


def _masks(space: spaces.Space, mask: Any) -> list[Any]:
    """Return the mask of each leaf, in the order of `leaves_of`; `None` for leaves without one."""
    if isinstance(space, spaces.Dict):
        named = mask if isinstance(mask, Mapping) else {}
        return [each for name in sorted(space) for each in _masks(space[name], named.get(name))]
    if isinstance(space, spaces.Tuple):
        fits = isinstance(mask, (list, tuple)) and len(mask) == len(space)
        parts = mask if fits else [None] * len(space)
        pairs = zip(space, parts, strict=True)
        return [each for child, part in pairs for each in _masks(child, part)]
    return [mask]


def _draw_legal(space: Any, rng: np.random.Generator, mask: Any) -> Any:
    if isinstance(space, spaces.Discrete):
        legal = _legal(mask, space.n)
        return int(space.low) + int(rng.choice(legal)) if len(legal) else _draw(space, rng)
    action = np.asarray(_draw(space, rng))
    if isinstance(space, spaces.MultiDiscrete):
        together = _combinations(mask, space.nvec)
        if len(together):
            return (space.low + rng.choice(together)).astype(space.dtype)
        for index, row in zip(np.ndindex(space.shape), _rows(mask, space.nvec), strict=False):
            if len(legal := _legal(row, int(space.nvec[index]))):
                action[index] = space.low[index] + rng.choice(legal)
    elif isinstance(space, spaces.MultiBinary):
        fixed = _array(mask)
        if fixed is not None and fixed.shape == space.shape:
            action = np.where((fixed == 0) | (fixed == 1), fixed, action).astype(space.dtype)
    return action


def _combinations(mask: Any, nvec: Any) -> Any:
    """Return the combinations that a mask of the shape `nvec` allows: int[count, dimensions].

    For two dimensions of two values each, the mask may also have a row for each dimension. In this
    case, the result has the combinations that are legal in both readings, if there are any.
    """
    array = _array(mask)
    if array is None or not nvec.ndim == 1 < nvec.size or array.shape != tuple(nvec):
        return ()
    allowed = np.argwhere(array)
    if array.shape != (2, 2):
        return allowed
    in_rows = [bool(array[0, one] and array[1, other]) for one, other in allowed]
    return allowed[in_rows] if any(in_rows) else allowed


def _rows(mask: Any, nvec: Any) -> list[Any]:
    """Return the mask of each dimension of a `MultiDiscrete`; no masks if they do not fit."""
    joined = _array(mask)
    if joined is not None and joined.shape == (nvec.sum(),):
        return np.split(joined, np.cumsum(nvec)[:-1])
    rows = [mask]
    for count in nvec.shape:
        fits = [isinstance(row, (list, tuple, np.ndarray)) and len(row) == count for row in rows]
        rows = [part for row in rows for part in row] if all(fits) else []
    return rows if len(rows) == nvec.size else []


def _legal(mask: Any, count: int) -> Any:
    """Return the numbers below `count` that a mask allows; no numbers if it does not fit."""
    array = _array(mask)
    return np.flatnonzero(array) if array is not None and array.shape == (count,) else ()


def _array(mask: Any) -> Any:
    """Return a mask as an array of numbers; `None` if it is not one."""
    try:
        array = np.asarray(mask)
    except ValueError:  # its parts have several lengths
        return None
    return array if array.dtype.kind in "biuf" else None


def _draw(space: Any, rng: np.random.Generator) -> Any:
    if isinstance(space, spaces.Discrete):
        return int(rng.integers(int(space.low), int(space.high) + 1))
    if space.dtype.kind != "f":
        return rng.integers(space.low, space.high, endpoint=True, dtype=space.dtype)
    return rng.uniform(np.maximum(space.low, -1e3), np.minimum(space.high, 1e3)).astype(space.dtype)
