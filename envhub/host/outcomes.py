"""The results of a call to several instances, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Column = Sequence[Any] | np.ndarray[Any, Any]


class Stacked:
    """The observations of several lanes as one value, whose leaves have a leading axis.

    Args:
        tree: the value, with the structure of the space.
        size: the number of lanes.
    """

    def __init__(self, tree: Any, size: int) -> None:
        self.tree, self._size = tree, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, places: Sequence[int]) -> Stacked:
        """Return the observations of some lanes."""
        return Stacked(_rows_of(self.tree, list(places)), len(places))


def _rows_of(tree: Any, places: list[int]) -> Any:
    if isinstance(tree, Mapping):
        return {name: _rows_of(part, places) for name, part in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(_rows_of(part, places) for part in tree)
    return tree[places]


def _some(column: Any, places: Sequence[int]) -> Any:
    """Return some entries of a column, or of each column in a mapping."""
    if isinstance(column, Mapping):
        return {name: _some(each, places) for name, each in column.items()}
    if isinstance(column, np.ndarray | Stacked):
        return column[list(places)]
    return [column[place] for place in places] if len(column) else ()


class Outcomes(NamedTuple):
    """The results of a call to several instances, in columns with an entry for each lane.

    A column is a sequence or an array. The hub keeps the arrays and never writes them, so a fleet
    that writes an array again must give a copy.

    Attributes:
        obs: the observations, with the structure of the space; `Stacked` if the space has several
            leaves and the fleet has columns.
        rewards: numbers; for several agents, an array for each lane. Empty after a reset.
        terminated, truncated: flags; for several agents, an array for each lane. Empty likewise.
        infos: the entries of `info`, as a dict for each lane or as a column for each entry.
        saved: the result of each instance's `save`; empty if the fleet does not save.
        lanes: the lanes of the call that the columns have; `None` for all of them, in order.
        failures: the exceptions by lane. The instances of these lanes were replaced by new ones. A
            lane that is neither in `lanes` nor in `failures` was not touched.
        lost: the numbers of further instances whose state is gone, because their worker is gone.
    """

    obs: Column | Stacked
    rewards: Column
    terminated: Column
    truncated: Column
    infos: Sequence[Mapping[str, Any]] | Mapping[str, Column]
    saved: Sequence[bytes]
    lanes: Sequence[int] | None = None
    failures: Mapping[int, BaseException] = {}
    lost: Sequence[int] = ()

    def some(
        self,
        places: Sequence[int],
        lanes: Sequence[int] | None = None,
        failures: Mapping[int, BaseException] | None = None,
    ) -> Outcomes:
        """Return some of the lanes that the columns have."""
        columns = [_some(column, places) for column in self[:6]]
        obs, rewards, terminated, truncated, infos, saved = columns
        return Outcomes(
            obs, rewards, terminated, truncated, infos, saved, lanes, failures or {}, self.lost
        )


class Counts(NamedTuple):
    """The counts of all instances of an environment together.

    Attributes:
        instances: the number of live instances.
        calls: the number of calls from programs.
        resets, steps: the number of resets and of steps.
        processes: the ids of the processes that run instances, with `workers="process"` or `"ray"`.
    """

    instances: int
    calls: int
    resets: int
    steps: int
    processes: list[int]


OF_LANES = Outcomes._fields[:6]
"""The fields with an entry for each lane."""
