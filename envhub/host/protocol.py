"""The names of what goes into a call to the host, and of what comes out of it.

Both ends of a call, the traced program and the pool, speak of arrays by these names alone; in what
order they cross is the transport's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub.host.fleet import Outcomes
from envhub.host.snapshot import SnapshotForm
from envhub.host.values import (
    Actions,
    Array,
    Entry,
    Form,
    Observations,
    entries,
    numbers,
    rows_of,
    stretch,
)

# What goes in. Leaves of actions have names of their own, see `Protocol.actions`.
SEED, IS_RESET, HANDLE, SNAPSHOT, PARAMS = "seed", "is_reset", "handle", "snapshot", "params"
# What comes out, beside handle and snapshot. Leaves of observations and entries of `info` have
# names of their own, see `Protocol.obs` and `Protocol.info`.
REWARD, TERMINATED, TRUNCATED = "reward", "terminated", "truncated"

Columns = dict[str, Any]
"""Arrays by name; on the host all have one leading axis."""


NO_PARAMS = np.zeros((1, 0), np.uint32)


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
        action_space, observation_space: of one instance.
        info: the entries that are kept.
        agents: the shape of a reward and of a flag: `()`, or `(num_agents,)`.
        num_params: how many numbers the params are.
        snapshots: their form; `None` for an opaque environment.

    Attributes:
        actions, obs, final_obs: the names of the leaves; `final_obs` are those before a reset.
        info: the names of the entries.
        of_the_step: the names of what belongs to the step that led to a state, and not to the
            state: it is zero where there was none, in a reset and after the end.
        start: the names of what a state shows after a reset: a snapshot if there are any, and the
            leaves of the observation.
        shown: what a state shows: that, and of the step that led there the reward, two flags and
            `info`.
        after_reset, after_step, after_both: what comes out of a call; `after_both` is that of a
            step and a reset.
    """

    def __init__(
        self,
        action_space: Actions,
        observation_space: Observations,
        info: Sequence[Entry],
        agents: tuple[int, ...],
        num_params: int,
        snapshots: SnapshotForm | None,
    ) -> None:
        self.action_space, self.observation_space = action_space, observation_space
        self.entries, self.num_params, self.snapshots = info, num_params, snapshots
        self.action_forms = _named("action", action_space.forms)
        obs = _named("obs", observation_space.forms)
        flags = {TERMINATED: Form(agents, np.bool_), TRUNCATED: Form(agents, np.bool_)}
        infos = {f"info.{name}": Form(shape, dtype) for name, shape, dtype in info}
        self._reward = {REWARD: Form(agents, np.dtype(np.float32))}
        self._flag = Form(agents, np.dtype(np.bool_))
        kept = {SNAPSHOT: Form((snapshots.size,), np.uint8)} if snapshots else {}
        final_obs = _named("final_obs", observation_space.forms)
        self.actions, self.obs, self.info = list(self.action_forms), list(obs), list(infos)
        self.final_obs = list(final_obs)
        self.of_the_step = [REWARD, *infos]
        self.start = [*kept, *obs]
        self.shown = kept | obs | self._reward | flags | infos
        handle = {HANDLE: Form((3,), np.uint32)}
        self.after_reset = handle | kept | obs
        self.after_step = handle | self.shown
        self.after_both = self.after_step | final_obs

    def read(self, inputs: Columns, size: int) -> Given:
        """What a step is given.

        Raises:
            InvalidActionError: if an action lies outside the space.
        """
        chosen = {name: stretch(inputs[name], size) for name in self.actions}
        return Given(
            stretch(inputs[HANDLE], size),
            stretch(inputs[SNAPSHOT], size) if self.snapshots else None,
            chosen,
            self.action_space.read(list(chosen.values())),
            self._params(inputs),
        )

    def seeds(self, inputs: Columns, size: int) -> tuple[Array, Array]:
        """What a reset is given: a seed for each lane, and the bits of the params."""
        return stretch(inputs[SEED], size), self._params(inputs)

    def _params(self, inputs: Columns) -> Any:
        return inputs[PARAMS].view(np.uint32) if PARAMS in inputs else NO_PARAMS

    def columns(self, outcomes: Outcomes) -> Columns:
        """What the states show in which instances are now, checked value by value.

        Raises:
            ValueError: if something is not what the spaces say, or what it was before.
        """
        size = len(outcomes.obs)
        obs = self.observation_space.columns(outcomes.obs)
        columns: Columns = dict(zip(self.obs, obs, strict=True))
        if len(outcomes.rewards):
            reward = self._reward[REWARD]
            columns[REWARD] = numbers(outcomes.rewards, size, reward, "the reward")
            terminated = numbers(outcomes.terminated, size, self._flag, "terminated")
            truncated = numbers(outcomes.truncated, size, self._flag, "truncated")
            for name, entry in zip(self.info, self.entries, strict=True):
                columns[name] = entries(outcomes.infos, entry)
        else:  # after a reset
            terminated = truncated = np.zeros((size, *self._flag.shape), np.bool_)
            for name in self.of_the_step:
                shape, dtype = self.shown[name]
                columns[name] = np.zeros((size, *shape), dtype)
        columns[TERMINATED], columns[TRUNCATED] = terminated, truncated
        if self.snapshots:
            packed = self.observation_space.to_bytes(obs)
            columns[SNAPSHOT] = self.snapshots.pack(outcomes.saved, packed, terminated, truncated)
        return columns

    def columns_of_each(
        self, outcomes: Outcomes
    ) -> tuple[list[int], Columns, dict[int, BaseException]]:
        """As `columns`, of the lanes that have nothing wrong.

        Returns:
            These lanes of the call, their columns, and what is wrong with the others.
        """
        lanes: list[int] = []
        parts: list[Columns] = []
        failures: dict[int, BaseException] = {}
        for place, lane in enumerate(outcomes.lanes or range(len(outcomes.obs))):
            try:
                parts.append(self.columns(outcomes.at(place)))
                lanes.append(lane)
            except Exception as error:
                failures[lane] = error
        if not parts:
            return lanes, {}, failures
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return lanes, joined, failures

    def of_snapshots(self, rows: Array) -> Columns:
        """What states show that ended, of their snapshots: no reward, and no `info`."""
        assert self.snapshots is not None
        obs = self.observation_space.of_bytes(self.snapshots.obs(rows))
        terminated, truncated = self.snapshots.flags(rows)
        columns = dict(zip(self.obs, obs, strict=True))
        return columns | {SNAPSHOT: rows, TERMINATED: terminated, TRUNCATED: truncated}


def _named(what: str, forms: Sequence[Form]) -> dict[str, Form]:
    return {f"{what}.{number}": form for number, form in enumerate(forms)}
