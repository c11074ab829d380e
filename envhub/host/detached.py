"""One instance that one caller steps outside JAX, without states.

A state as a value takes some 60 µs a step: handles, snapshots, the table of instances and the
arrays of a call. A caller that only ever continues from its last result needs none of that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from envhub import spaces
from envhub.errors import EnvHubError, StaleStateError
from envhub.host.fleet import is_step, named_error
from envhub.host.instance import Instance
from envhub.host.pool import Pool
from envhub.host.protocol import (
    PARAMS,
    REWARD,
    TERMINATED,
    TRUNCATED,
    Array,
    Columns,
    Form,
    InfoEntry,
    of_leaves,
    to_leaves,
)
from envhub.host.values import Actions, Observations, Values, conformed, entry_column
from envhub.spaces._trees import map_space, observed

INTEGERS = {int, np.int64, np.int32}
NUMBERS = {float, np.float64, np.float32, int}
EXACT = 2**24  # float32 holds all integers up to this one

Result = tuple[Any, float, bool, bool, dict[str, Any]]


class Detached:
    """One instance of an environment, which is not in the pool.

    Results have the values that a program would return: float32 and int32. Each array is new.

    Args:
        pool: the pool of the environment: its lock, its name, and whether it is open.
        construct: a function that makes an instance; `None` if `use` gives one.
        values: checks the arguments and the results.
        params: the params of all calls, see `flat`.

    Attributes:
        where: the numbers of the instance and of its state in the pool, for errors.
    """

    def __init__(
        self,
        pool: Pool,
        construct: Callable[[], Instance] | None,
        values: Values,
        params: Columns,
    ) -> None:
        self._pool, self._construct, self._values, self._params = pool, construct, values, params
        self._observe = reader_of(values.observations)
        shown = pool.protocol.shown
        self._reward, self._flag = shown[REWARD], shown[TERMINATED]
        self._entries = {entry.name: entry_reader(entry) for entry in pool.protocol.entries}
        self._instance: Instance | None = None
        self._is_here = False  # whether the instance is in the state of the last result
        self._row: Array | None = None  # a snapshot of that state, for an instance that is not
        self._last: tuple[Any, bool, bool] = None, False, False  # observation and flags
        self.where: tuple[Sequence[int], Sequence[int]] = (), ()
        self._why = "a copy of an episode has no state where states cannot be saved."

    def use(self, instance: Instance) -> None:
        """Reset and step this instance from now on."""
        self._instance, self._is_here, self._row = instance, False, None

    def set_params(self, params: Columns) -> None:
        """Have these params in all calls from now on."""
        if self._instance is not None and PARAMS in params:
            self._instance.set_params(params[PARAMS][0])
        self._params = params

    def follow(self, other: Detached) -> None:
        """Be in the state of another one, if it can be saved."""
        self._row, self._last, self._is_here = other.snapshot(), other._last, False

    def reset(self, seed: int) -> Any:
        """Start an episode, and return its first observation.

        Raises:
            HostEnvError: if the instance raised, or returned what does not fit.
        """
        with self._pool.lock:
            self._pool.check_usable()
            self._is_here, self._row, self._why = False, None, "its last call did not finish."
            self._last = None, False, False
            try:
                obs = self._made().reset(seed)
                seen = self._observe(obs)
            except BaseException as error:
                self._give_up(None, error)
            self._last, self._is_here = (obs, False, False), True
        return seen

    def step(self, action: Any, given: Any) -> Result:
        """Advance one step; an ended episode stays as it is.

        Args:
            action: the action, for errors.
            given: the action, as an instance takes it.

        Returns:
            The observation, the reward, whether the episode terminated, whether it was truncated,
            and the entries of `info`.

        Raises:
            HostEnvError: if the instance raised, or returned what does not fit.
            StaleStateError: if there is no state to continue from.
        """
        with self._pool.lock:
            self._pool.check_usable()
            last, terminated, truncated = self._last
            if terminated or truncated:
                return self._observe(last), 0.0, terminated, truncated, self._no_info()
            instance = self._there()
            self._is_here, self._why = False, "its last call did not finish."  # until it has
            try:
                stepped = instance.step(given)
                if not is_step(stepped):
                    raise TypeError(f"a step must return five values, not {stepped!r:.100}")
                obs, reward, terminated, truncated, info = stepped
                seen = self._observe(obs)
                if type(reward) in NUMBERS and -EXACT <= reward <= EXACT:
                    reward = float(np.float32(reward))
                else:
                    reward = float(conformed([reward], 1, self._reward, "the reward")[0])
                if type(terminated) is not bool:
                    terminated = _flag(terminated, self._flag, TERMINATED)
                if type(truncated) is not bool:
                    truncated = _flag(truncated, self._flag, TRUNCATED)
                kept = {name: read(info) for name, read in self._entries.items()}
            except BaseException as error:
                self._give_up(action, error)
            self._last = obs, terminated, truncated
            self._is_here = True
        return seen, reward, terminated, truncated, kept

    def render(self) -> Any:
        """Draw the state."""
        with self._pool.lock:
            self._pool.check_usable()
            return self._there().render()

    def snapshot(self) -> Array | None:
        """Return the snapshot of the state, uint8[K]; `None` if there is none."""
        if not self._is_here or self._values.snapshots is None:
            return self._row
        observations = self._values.observations
        packed = observations.to_bytes(observations.columns([self._last[0]]))
        return np.frombuffer(self.save(packed.tobytes()), np.uint8)

    def save(self, obs: bytes) -> bytes:
        """Return the snapshot of the state that the instance is in; the bytes are those of `obs`.

        Raises:
            HostEnvError: if the instance raised, or saved what does not fit.
        """
        form, instance, (_, *flags) = self._values.snapshots, self._instance, self._last
        assert form is not None
        assert instance is not None
        with self._pool.lock:
            try:
                return form.pack_one(instance.save(), obs, *flags)
            except BaseException as error:
                self._give_up(None, error)

    def continue_from(self, snapshot: Array) -> None:
        """Continue from a snapshot.

        Raises:
            InvalidStateError: if the snapshot is damaged, or another environment's.
        """
        form = self._values.snapshots
        assert form is not None
        rows = snapshot[None]
        form.check(rows)
        (obs,), (terminated, truncated) = self._values.saved(rows)[1], form.flags(rows)
        self._last = obs, bool(terminated[0]), bool(truncated[0])
        self._row, self._is_here = snapshot, False

    def close(self) -> None:
        """Close the instance. It may be called repeatedly."""
        with self._pool.lock:  # another thread may be at work with it
            instance, self._instance = self._instance, None
            self._is_here, self._why = False, "it was closed."
            if instance is not None:
                instance.close()

    def _made(self) -> Instance:
        """Return the instance, with its params."""
        if self._instance is None:
            assert self._construct is not None
            self._instance = self._construct()
            if PARAMS in self._params:
                self._instance.set_params(self._params[PARAMS][0])
        return self._instance

    def _there(self) -> Instance:
        """Return the instance in the state of the last result.

        Raises:
            StaleStateError: if it is not in that state, and there is no snapshot of it.
        """
        if self._is_here and self._instance is not None:
            return self._instance
        if self._row is None:
            raise StaleStateError(f"{self._pool.name}: {self._why} Call reset.")
        (saved,), (obs,) = self._values.saved(self._row[None])
        try:
            instance = self._made()
            instance.restore(saved, obs)
        except EnvHubError:
            raise
        except BaseException as error:
            self._give_up(None, error)
        self._row, self._is_here = None, True
        return instance

    def _no_info(self) -> dict[str, Any]:
        entries = self._pool.protocol.entries
        return {entry.name: np.zeros(entry.shape, entry.dtype) for entry in entries}

    def _give_up(self, action: Any, error: BaseException) -> NoReturn:
        """Drop the instance, whose state is unknown, and raise the named error."""
        instance, self._instance = self._instance, None
        if instance is not None:
            with contextlib.suppress(Exception):
                instance.close()
        if isinstance(error, KeyboardInterrupt):
            raise error
        chosen = [] if action is None else [np.asarray(action)]
        raise named_error(self._pool.name, *self.where, chosen, error) from error


def _flag(value: Any, form: Form, what: str) -> bool:
    return bool(conformed([value], 1, form, what)[0])


def entry_reader(entry: InfoEntry) -> Callable[[Any], Array]:
    """Return a function that reads an entry of an `info`, and refuses a value that does not fit."""
    name, shape, dtype = entry

    def read(info: Any) -> Array:
        return entry_column([info], entry).reshape(shape)

    if shape or dtype not in (np.int32, np.float32):
        return read
    usual, most = (INTEGERS, 2**31 - 1) if dtype == np.int32 else (NUMBERS, EXACT)

    def read_number(info: Any) -> Array:
        value: Any = info.get(name) if type(info) is dict else None
        is_usual = type(value) in usual and -most <= value <= most
        return np.array(value, dtype) if is_usual else read(info)

    return read_number


def reader_of(observations: Observations) -> Callable[[Any], Any]:
    """Return a function that reads one observation, and refuses one that does not fit.

    What it returns are new arrays of the dtypes of the space, or a NumPy integer for a `Discrete`.
    The values are those that JAX holds.
    """
    space, (form, *_) = observations.space, observations.forms

    def read(obs: Any) -> Any:
        leaves = iter([column[0] for column in observations.columns([obs])])
        return map_space(observed, space, of_leaves(space, leaves))

    if isinstance(space, spaces.Discrete):
        least, most, kind = np.iinfo(form.dtype).min, np.iinfo(form.dtype).max, space.dtype.type

        def read_number(obs: Any) -> Any:
            is_usual = type(obs) in INTEGERS and least <= obs <= most
            return kind(obs) if is_usual else read(obs)

        return read_number
    if not observations.is_single or form.dtype != space.dtype:
        return read
    shape, dtype = form

    def read_array(obs: Any) -> Any:
        if type(obs) is np.ndarray and obs.dtype == dtype and obs.shape == shape:
            return obs.copy()
        return read(obs)

    return read_array


def taker_of(actions: Actions, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that reads one action, and refuses one that does not fit.

    Args:
        actions: the actions of the environment.
        read: returns an action with the dtypes of the space, and refuses another form.
    """
    space: Any = actions.space

    def take(action: Any) -> Any:
        leaves = zip(to_leaves(space, read(action)), actions.forms, strict=True)
        columns = [leaf.astype(form.dtype)[None] for leaf, form in leaves]
        return actions.values(actions.read(columns))[0]

    if isinstance(space, spaces.Discrete):
        least, most = int(space.low), int(space.high)

        def take_number(action: Any) -> Any:
            is_usual = type(action) in INTEGERS and least <= action <= most
            return int(action) if is_usual else take(action)

        return take_number
    if not isinstance(space, spaces.Box) or actions.forms[0].dtype != space.dtype:
        return take
    shape, dtype, low, high = space.shape, space.dtype, space.low, space.high

    def take_array(action: Any) -> Any:
        is_usual = type(action) is np.ndarray and action.dtype == dtype and action.shape == shape
        if is_usual and ((action >= low) & (action <= high)).all():
            return action.copy()
        return take(action)

    return take_array
