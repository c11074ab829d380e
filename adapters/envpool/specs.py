"""What EnvPool says of the arrays of an environment, as spaces and as what a fleet reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from envhub import spaces
from envhub.host.outcomes import Stacked

FEW = 2**20  # values of an integer that are counted, and not a range

Array = np.ndarray[Any, Any]


class Reader:
    """Reads what a pool sends: a column of each array, with a row for each lane.

    Args:
        spec: EnvPool's, of one environment.
        agents: how many act in it; several have a leading axis.

    Attributes:
        agents: as above.
        actors: how many of them act in a step.
        observation_space, action_space: of one environment.
        infos: the entries of `info`.
        action_dtype: what the pool takes.
    """

    def __init__(self, spec: Any, agents: int = 1) -> None:
        self.agents = self.actors = agents
        keys, forms = (
            list(spec._state_keys),
            dict(zip(spec._state_keys, spec._state_spec, strict=True)),
        )
        observed = [key for key in keys if key.partition(":")[0] == "obs"]
        self.observation_space, paths = _observed(
            {key: space_of(forms[key], agents) for key in observed}
        )
        self._places = {key: place for place, key in enumerate(keys)}
        self._paths = {self._places[key]: path for key, path in paths.items()}
        self._is_each = [-1 in forms[key][1] for key in keys]
        kept = [
            key
            for key in keys
            if key.startswith("info:") and not key.endswith("env_id") and 0 not in forms[key][1]
        ]
        self._infos = {key.removeprefix("info:"): self._places[key] for key in kept}
        self.infos = [*self._infos, "elapsed_step"]
        self.action_dtype = np.dtype(spec._action_spec[-1][0])
        self.action_space = acted(spec, agents)

    def leave_out(self, *keys: str) -> None:
        """Leave entries out of `info`, by EnvPool's names."""
        for key in keys:
            del self._infos[key.removeprefix("info:")]
        self.infos = [*self._infos, "elapsed_step"]

    def has(self, key: str) -> bool:
        """Whether a pool sends an array of this name."""
        return key in self._places

    def obs(self, sent: Sequence[Array]) -> Any:
        """The observations of all lanes."""
        if len(self._paths) == 1:
            return sent[next(iter(self._paths))]
        tree: dict[str, Any] = {}
        for place, path in self._paths.items():
            _put(tree, path, sent[place])
        return Stacked(tree, len(sent[0]))

    def info(self, sent: Sequence[Array], elapsed: Array) -> dict[str, Array]:
        """The entries of `info` of all lanes."""
        return {
            **{name: sent[place] for name, place in self._infos.items()},
            "elapsed_step": elapsed,
        }

    def stacked(self, sent: Sequence[Sequence[Array]]) -> list[Array]:
        """What environments of several agents sent one by one, as if they were one batch."""
        return [
            np.stack(column) if is_each else np.concatenate(column)
            for is_each, column in zip(self._is_each, zip(*sent, strict=True), strict=True)
        ]

    def column(self, sent: Sequence[Array], key: str) -> Array:
        """One array by EnvPool's name."""
        return sent[self._places[key]]


def space_of(form: Any, agents: int = 1) -> spaces.Space:
    """The space of an observation.

    Text is an array of bytes. Doubles are float32, for JAX has no others.
    """
    dtype, shape, low, high = _bounds(form, agents)
    if dtype.kind == "b":
        return spaces.Box(False, True, shape, np.bool_)
    if dtype.kind == "f":
        return spaces.Box(low, high, shape, np.float32)
    if not shape and int(high) - int(low) < FEW:
        return spaces.Discrete(int(high) - int(low) + 1, int(low), dtype)
    return spaces.Box(low, high, shape, dtype)


def acted(spec: Any, agents: int = 1) -> spaces.Space:
    """The space of an action."""
    dtype, shape, low, high = _bounds(spec._action_spec[-1], agents)
    is_counted = dtype.kind in "iu" or bool(spec._action_spec[-1][4])
    if is_counted and not shape:
        return spaces.Discrete(int(high) - int(low) + 1, int(low))
    if is_counted:
        count = np.broadcast_to(np.asarray(high, np.int64) - low + 1, shape)
        return spaces.MultiDiscrete(count, np.int32, np.broadcast_to(low, shape))
    if "cfg_path" in spec._config_keys and not np.isfinite(low).any():
        # ViZDoom's buttons, which are pressed or not: EnvPool calls them numbers of any size.
        return spaces.MultiBinary(shape)
    return spaces.Box(low, high, shape, np.float32)


def _bounds(form: Any, agents: int) -> tuple[np.dtype[Any], tuple[int, ...], Any, Any]:
    """The dtype and shape of one lane, and the bounds; the least positive float is no bound."""
    dtype, shape, (low, high), (each_low, each_high), _ = form
    shape = tuple(agents if size == -1 else size for size in shape if size != -1 or agents > 1)
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        low = -np.inf if low in (float(limits.tiny), float(limits.min)) else low
        high = np.inf if high == float(limits.max) else high
    if len(each_low) or len(each_high):
        low = np.reshape(each_low, shape) if len(each_low) else low
        high = np.reshape(each_high, shape) if len(each_high) else high
    return dtype, shape, low, high


def _observed(
    leaves: Mapping[str, spaces.Space],
) -> tuple[spaces.Space, dict[str, list[str]]]:
    """The space of observations, and where in it each array belongs."""
    if len(leaves) == 1:
        ((key, space),) = leaves.items()
        return space, {key: []}
    paths = {key: key.partition(":")[2].split(".") for key in leaves}
    tree: dict[str, Any] = {}
    for key, path in paths.items():
        _put(tree, path, leaves[key])
    return _nested(tree), paths


def _nested(tree: Mapping[str, Any]) -> spaces.Dict:
    return spaces.Dict(
        {name: _nested(part) if isinstance(part, dict) else part for name, part in tree.items()}
    )


def _put(tree: dict[str, Any], path: Sequence[str], leaf: Any) -> None:
    *folders, name = path
    for folder in folders:
        tree = tree.setdefault(folder, {})
    tree[name] = leaf


Ends = Callable[[Reader, Sequence[Array]], Array]


def terminated_by(family: str, reader: Reader) -> Ends:
    """How to tell that the MDP ended, of what a pool sends.

    EnvPool's flags are `done` and `trunc`, which is true at a limit even where the MDP ended there.
    """
    named = next((key for key in ("terminated", "info:terminated") if reader.has(key)), "")
    if named and family != "atari":  # there it says that the game is over, and not a life
        return lambda reader, sent: reader.column(sent, named).astype(np.bool_)
    if family == "minigrid":  # which rewards or punishes what ends, but for lava
        return lambda reader, sent: (
            _done(reader, sent)
            | (reader.column(sent, "done") & (reader.column(sent, "reward") != 0))
        )
    if reader.has("info:crashed"):
        return lambda reader, sent: (
            _done(reader, sent)
            | (reader.column(sent, "done") & reader.column(sent, "info:crashed"))
        )
    if reader.has("info:players.crashed"):  # one crash ends the episode for all
        return lambda reader, sent: (
            _done(reader, sent)
            | (reader.column(sent, "done") & reader.column(sent, "info:players.crashed").any(1))
        )
    return _done


def _done(reader: Reader, sent: Sequence[Array]) -> Array:
    found: Array = reader.column(sent, "done") & ~reader.column(sent, "trunc")
    return found
