"""The names of the inputs and outputs of a callback.

The traced program and the pool refer to arrays by these names alone. The transport decides in which
order it passes the arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub import spaces
from envhub.spaces._trees import leaves_of

Array = np.ndarray[Any, Any]
Columns = dict[str, Any]
"""Arrays by name. In a callback, all have one leading axis with a row for each lane."""

# The inputs. The leaves of actions have their own names, see `Protocol.actions`.
SEED, IS_RESET, HANDLE, SNAPSHOT, PARAMS = "seed", "is_reset", "handle", "snapshot", "params"
# The outputs, besides handle and snapshot. The leaves of observations and the entries of `info`
# have their own names, see `Protocol.obs` and `Protocol.info`.
REWARD, TERMINATED, TRUNCATED = "reward", "terminated", "truncated"


class Form(NamedTuple):
    """The shape and dtype of one row of a column."""

    shape: tuple[int, ...]
    dtype: Any


class InfoEntry(NamedTuple):
    """An entry of `info` that the environment keeps."""

    name: str
    shape: tuple[int, ...]
    dtype: Any


class Given(NamedTuple):
    """The arguments of a step, lane by lane.

    Attributes:
        handles: uint32[size, 3].
        snapshots: uint8[size, K]; `None` for opaque states.
        chosen: the leaves of the actions by name.
        actions: the leaves with the dtypes of the space; a value that rounding put outside a bound
            is the bound.
        params: uint32[size, P], the bits of the params; uint32[1, P] if all lanes have the same.
    """

    handles: Any
    snapshots: Any
    chosen: Columns
    actions: Sequence[Array]
    params: Any

    def at(self, lanes: Any) -> Given:
        """Return the arguments of some lanes."""
        return Given(
            self.handles[lanes],
            None if self.snapshots is None else self.snapshots[lanes],
            {name: leaf[lanes] for name, leaf in self.chosen.items()},
            [leaf[lanes] for leaf in self.actions],
            rows_of(self.params, lanes),
        )


class Protocol:
    """The names, shapes and dtypes of the arrays in the calls of one environment.

    Args:
        actions, obs: the leaves of an action and of an observation.
        info: the entries of `info` that the environment keeps.
        agents: the shape of a reward and of a flag: `()`, or `(num_agents,)`.
        num_params: the number of numbers in the params.
        snapshot_size: the size of a snapshot in bytes; 0 for opaque states.

    Attributes:
        agents: as above.
        actions, obs, final_obs: the names of the leaves; `final_obs` names those of the last
            observation before a reset.
        info: the names of the entries.
        of_the_step: the names of the reward and of `info`. They belong to the step that led to a
            state; they are zero after a reset, and in a step of an ended episode.
        chosen: the forms of the leaves of an action.
        start: the forms of the snapshot, if there is one, and of the observation.
        shown: the forms of `start`, of the reward, of the two flags and of `info`.
        after_reset, after_step, after_both: the forms of the outputs of a call; `after_both` is for
            a call that steps and resets.
    """

    def __init__(
        self,
        actions: Sequence[Form],
        obs: Sequence[Form],
        info: Sequence[InfoEntry],
        agents: tuple[int, ...],
        num_params: int,
        snapshot_size: int,
    ) -> None:
        self.entries, self.num_params, self.agents = info, num_params, agents
        self.chosen, observed = _named("action", actions), _named("obs", obs)
        final = _named("final_obs", obs)
        flag = Form(agents, np.dtype(np.bool_))
        reward = {REWARD: Form(agents, np.dtype(np.float32))}
        infos = {f"info.{name}": Form(shape, dtype) for name, shape, dtype in info}
        snapshot = {SNAPSHOT: Form((snapshot_size,), np.uint8)} if snapshot_size else {}
        self.actions, self.obs, self.final_obs = list(self.chosen), list(observed), list(final)
        self.info = list(infos)
        self.of_the_step = [REWARD, *infos]
        self.start = snapshot | observed
        self.shown = self.start | reward | {TERMINATED: flag, TRUNCATED: flag} | infos
        handle = {HANDLE: Form((3,), np.uint32)}
        self.after_reset, self.after_step = handle | self.start, handle | self.shown
        self.after_both = self.after_step | final


def _named(what: str, forms: Sequence[Form]) -> dict[str, Form]:
    return {f"{what}.{number}": form for number, form in enumerate(forms)}


def to_leaves(space: spaces.Space, value: Any) -> list[Any]:
    """Return the leaves of a value, in the order of `leaves_of`, for containers of any type."""
    if isinstance(space, spaces.Dict):
        return [leaf for name in sorted(space) for leaf in to_leaves(space[name], value[name])]
    if isinstance(space, spaces.Tuple):
        pairs = zip(space, value, strict=True)
        return [leaf for child, part in pairs for leaf in to_leaves(child, part)]
    return [value]


def to_columns(space: spaces.Space, values: Sequence[Any]) -> list[Sequence[Any]]:
    """Return the leaves of several values: for each leaf, in the same order, that of all values."""
    parts: list[tuple[spaces.Space, Sequence[Any]]]
    if isinstance(space, spaces.Dict):
        parts = [(space[name], [value[name] for value in values]) for name in sorted(space)]
    elif isinstance(space, spaces.Tuple):
        parts = list(zip(space, zip(*values, strict=True), strict=True))
    else:
        return [values]
    return [column for child, part in parts for column in to_columns(child, part)]


def of_leaves(space: spaces.Space, leaves: Iterator[Any]) -> Any:
    """Return the value with these leaves: the inverse of `to_leaves`."""
    if isinstance(space, spaces.Dict):
        return {name: of_leaves(space[name], leaves) for name in sorted(space)}
    if isinstance(space, spaces.Tuple):
        return tuple(of_leaves(child, leaves) for child in space)
    return next(leaves)


def rows_of(column: Array, lanes: Any) -> Array:
    """Return the rows of some lanes; a column with one row for all lanes stays as it is."""
    return column if len(column) == 1 else column[lanes]


def why_not_held(space: spaces.Space) -> str:
    """Return why JAX cannot hold the integers of a space; empty if it can.

    The whole range of a dtype is not a bound: there each value is checked as it comes.
    """
    for leaf in leaves_of(space):
        kind = np.dtype(leaf.dtype).kind
        if kind in "iu":
            low, high = int(np.min(leaf.low)), int(np.max(leaf.high))
            own, most = np.iinfo(leaf.dtype), np.iinfo(f"{kind}4")
            is_bounded = low > own.min, high < own.max
            if (is_bounded[0] and low < most.min) or (is_bounded[1] and high > most.max):
                return f"{leaf} has integers beyond 32 bits, which JAX cannot hold."
    return ""
