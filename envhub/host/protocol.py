"""The names of what goes into a call to the host, and of what comes out of it.

Both ends of a call, the traced program and the pool, speak of arrays by these names alone; in what
order they cross is the transport's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub import spaces

Array = np.ndarray[Any, Any]
Columns = dict[str, Any]
"""Arrays by name; on the host all have one leading axis, with a row for each lane."""

# What goes in. Leaves of actions have names of their own, see `Protocol.actions`.
SEED, IS_RESET, HANDLE, SNAPSHOT, PARAMS = "seed", "is_reset", "handle", "snapshot", "params"
# What comes out, beside handle and snapshot. Leaves of observations and entries of `info` have
# names of their own, see `Protocol.obs` and `Protocol.info`.
REWARD, TERMINATED, TRUNCATED = "reward", "terminated", "truncated"


class Form(NamedTuple):
    """What one lane has of a column."""

    shape: tuple[int, ...]
    dtype: Any


class InfoEntry(NamedTuple):
    """An entry of `info` that is kept."""

    name: str
    shape: tuple[int, ...]
    dtype: Any


class Given(NamedTuple):
    """What a step is given, lane by lane.

    Attributes:
        handles: uint32[size, 3].
        snapshots: uint8[size, K], if there are any.
        chosen: the leaves of the actions.
        actions: the same as instances take them.
        params: uint32[size, P], the bits of the params; or [1, P], the same for all.
    """

    handles: Any
    snapshots: Any
    chosen: Columns
    actions: Sequence[Any]
    params: Any

    def at(self, lanes: Any) -> Given:
        """Some of the lanes."""
        return Given(
            self.handles[lanes],
            None if self.snapshots is None else self.snapshots[lanes],
            {name: leaf[lanes] for name, leaf in self.chosen.items()},
            [self.actions[lane] for lane in lanes.tolist()],
            rows_of(self.params, lanes),
        )


class Protocol:
    """What calls about one environment are made of.

    Args:
        actions, obs: the leaves of an action and of an observation.
        info: the entries that are kept.
        agents: the shape of a reward and of a flag: `()`, or `(num_agents,)`.
        num_params: how many numbers the params are.
        snapshot_size: in bytes; 0 for an opaque environment.

    Attributes:
        actions, obs, final_obs: the names of the leaves; `final_obs` are those before a reset.
        info: the names of the entries.
        of_the_step: the names of what belongs to the step that led to a state, and not to the
            state: it is zero where there was none, in a reset and after the end.
        chosen: what decides, with its state, where a lane goes, beside params.
        start: what a state shows after a reset: a snapshot if there are any, and the observation.
        shown: what a state shows: that, and of the step that led there the reward, two flags and
            `info`.
        after_reset, after_step, after_both: what comes out of a call; `after_both` is that of a
            step and a reset.
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
        self.entries, self.num_params = info, num_params
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
    """The leaves of a value, in the order of `leaves_of`, whatever containers the library used."""
    if isinstance(space, spaces.Dict):
        return [leaf for name in sorted(space) for leaf in to_leaves(space[name], value[name])]
    if isinstance(space, spaces.Tuple):
        pairs = zip(space, value, strict=True)
        return [leaf for child, part in pairs for leaf in to_leaves(child, part)]
    return [value]


def of_leaves(space: spaces.Space, leaves: Iterator[Any]) -> Any:
    """The inverse of `to_leaves`."""
    if isinstance(space, spaces.Dict):
        return {name: of_leaves(space[name], leaves) for name in sorted(space)}
    if isinstance(space, spaces.Tuple):
        return tuple(of_leaves(child, leaves) for child in space)
    return next(leaves)


def rows_of(column: Array, lanes: Any) -> Array:
    """Those of some lanes; of one row for all, that one."""
    return column if len(column) == 1 else column[lanes]
