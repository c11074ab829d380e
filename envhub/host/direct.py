"""Answer calls outside `jit` without a callback: the results come back as one array.

A compiled program with a callback takes 60 to 300 µs a call outside `jit`. There the arguments are
known, so the pool answers them at once, and a small program unpacks the results.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from envhub._arrays import placed
from envhub._seeding import traced_seed
from envhub.host.alone import Parts, bytes_of
from envhub.host.pool import Answer, Pool
from envhub.host.protocol import HANDLE, PARAMS, SEED, SNAPSHOT, Array, Columns, Form, Protocol
from envhub.host.transport import from_bytes, num_bytes

KINDS = {"i": "iu", "u": "iu", "f": "iuf"}
"""The kinds of the dtypes of actions that fit a kind of space, see `conform_action`."""

TAKEN = (np.ndarray, np.generic, int, float, jax.Array)
"""What an action may be, here as in a program."""


class Packed:
    """Columns of one lane as views of one array of bytes.

    Args:
        forms: the forms of the columns by name.
    """

    def __init__(self, forms: Mapping[str, Form]) -> None:
        # The widest dtypes come first, so that all views are aligned.
        names = sorted(forms, key=lambda name: -np.dtype(forms[name].dtype).itemsize)
        sizes = [num_bytes(forms[name]) for name in names]
        starts = list(itertools.accumulate(sizes, initial=0))
        self._size = starts.pop()
        self._places = [
            (name, (1, *forms[name].shape), np.dtype(forms[name].dtype), start)
            for name, start in zip(names, starts, strict=True)
        ]

    def new(self) -> tuple[Array, Columns]:
        """Return a new array and its views: JAX may read an array after the call that got it."""
        packed = np.empty(self._size, np.uint8)
        views = {
            name: np.ndarray(shape, dtype, packed, start)
            for name, shape, dtype, start in self._places
        }
        return packed, views

    def join(self, parts: Parts) -> Array:
        """Return the array with these values of the columns."""
        each = [np.asarray(parts[name], dtype).tobytes() for name, _, dtype, _ in self._places]
        return np.frombuffer(b"".join(each), np.uint8)

    def unpack(self, packed: jax.Array) -> Columns:
        """Return the columns without the leading axis; it is called in a program."""
        columns = {}
        for name, shape, dtype, start in self._places:
            form = Form(shape[1:], dtype)
            columns[name] = from_bytes(packed[start : start + num_bytes(form)], form)
        return columns


class Direct:
    """Answers calls of one environment outside `jit`.

    Args:
        pool: the pool with the instances.
        protocol: the names of the arrays.
        started: converts the columns of a reset to its results.
        stepped: converts the columns of a step to its results.
        params: the params of all calls, see `flat`.
    """

    def __init__(
        self,
        pool: Pool,
        protocol: Protocol,
        started: Callable[[Columns], Any],
        stepped: Callable[[Columns], Any],
        params: Columns,
    ) -> None:
        self._pool, self._protocol, self._params = pool, protocol, params
        self._bits = bytes_of(params)
        self._after: dict[Answer, Packed] = {
            Pool.reset: Packed(protocol.after_reset),
            Pool.step: Packed(protocol.after_step),
        }
        self._started = jax.jit(lambda packed: started(self._after[Pool.reset].unpack(packed)))
        self._stepped = jax.jit(lambda packed: stepped(self._after[Pool.step].unpack(packed)))
        self._seed = jax.jit(traced_seed)
        self._array = type(placed(0.0))
        self._last: tuple[Any, Columns] = None, {}  # a state, and the arguments that it is
        (self._action, form), *more = protocol.chosen.items()
        self._is_single, self._form = not more, form
        self._of_states = [name for name in (HANDLE, SNAPSHOT) if name in protocol.after_step]

    def reset(self, key: Any) -> Any:
        """Start an episode; `None` if the key is committed to a device."""
        if getattr(key, "committed", True):
            return None
        seed = np.asarray(self._seed(key))
        if self._pool.alone is None:
            packed, _ = self.call(Pool.reset, {SEED: seed[None], **self._params})
            return self._unpacked(self._started, packed)
        with self._pool.lock:
            play = functools.partial(self._pool.alone.reset, params=self._params)
            return self._of_alone(Pool.reset, self._started, play, int(seed))

    def step(self, state: Any, action: Any) -> Any:
        """Advance one step; `None` if the arguments are not the usual ones."""
        action, given = self._conformed(action), self._given(state)
        if action is None or given is None:
            return None
        packed, views = self.call(Pool.step, {**given, self._action: action, **self._params})
        result = self._unpacked(self._stepped, packed)
        self._last = (
            result.state,
            {name: views[name] for name in (HANDLE, SNAPSHOT) if name in views},
        )
        return result

    def go_on(self, state: Any, action: Any) -> Any:
        """Advance the episode that began last, if it is in this state; otherwise return `None`."""
        alone = self._pool.alone
        if alone is None or state is not alone.state or state is None:
            return None
        if alone.params != self._bits:
            return None
        if type(action) is not int or action not in alone.numbers:
            row = self._conformed(action)
            if row is None:
                return None
            action = row[0]
        with self._pool.lock:
            if state is alone.state:  # still, if there are several threads
                return self._of_alone(Pool.step, self._stepped, alone.step, action)
        return None

    def _of_alone(
        self, answer: Answer, unpack: Any, play: Callable[[Any], Parts], given: Any
    ) -> Any:
        alone = self._pool.alone
        assert alone is not None
        self._pool.error = None
        packed = self._after[answer].join(self._pool.at_work(play, given))
        result = self._unpacked(unpack, packed)
        alone.state = None if alone.has_ended else result[1]
        return result

    def render(self, state: Any, params: Columns) -> Any:
        """Draw the episode that began last, if it is in this state; otherwise return `None`."""
        alone = self._pool.alone
        if alone is None or state is None or alone.params != bytes_of(params):
            return None
        with self._pool.lock:  # another thread does not step the instance before it is drawn
            return alone.render() if state is alone.state else None

    def call(self, answer: Answer, inputs: Columns) -> tuple[Array, Columns]:
        """Return the outputs of a call to the pool: as bytes, and as views of them."""
        packed, views = self._after[answer].new()
        self._pool.error = None
        self._pool.serve(answer, inputs, views, 1)
        return packed, views

    def _conformed(self, action: Any) -> Array | None:
        if not (self._is_single and isinstance(action, TAKEN)):
            return None  # a program takes no lists either
        array, (shape, dtype) = np.asarray(action), self._form
        if array.shape != shape:
            return None
        if array.dtype.kind not in KINDS.get(dtype.kind, ""):
            return None
        with np.errstate(over="ignore"):  # infinity is what JAX makes of it, too
            own = array.astype(dtype)
        is_cut = dtype.kind != "f" and array.dtype != dtype and (own != array).any()
        return None if is_cut else own[None]

    def _given(self, state: Any) -> Columns | None:
        last, given = self._last
        if state is last:  # as in most loops: the arrays of the last call are at hand
            return given
        handle, snapshot = state.handle, state.snapshot
        if type(handle) is not self._array or handle.committed or handle.shape != (3,):
            return None
        given = {HANDLE: np.asarray(handle)[None]}
        form = self._protocol.start.get(SNAPSHOT)
        if form:
            if type(snapshot) is not self._array or snapshot.shape != form.shape:
                return None
            given[SNAPSHOT] = np.asarray(snapshot)[None]
        return given

    def _unpacked(self, unpack: Any, packed: Array) -> Any:
        config: Any = jax.config
        if not (config.jax_transfer_guard or config.jax_transfer_guard_host_to_device):
            return unpack(packed)  # a context takes 3 µs
        with jax.transfer_guard_host_to_device("allow"):
            return unpack(packed)


def flat(params: Any) -> Columns:
    """Return concrete params as an argument of the pool."""
    leaves = [np.ravel(np.asarray(leaf, np.float32)) for leaf in jax.tree.leaves(params)]
    return {PARAMS: np.concatenate(leaves)[None]} if leaves else {}
