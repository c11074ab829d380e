"""The pool of instances behind the states of an environment. It answers compiled programs.

The pool reads a call, classifies its lanes, moves instances and shows their new states, in that
order. So no instance moves before all arguments are checked, and nothing is recorded before all
results are checked. NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from envhub import _forks
from envhub.errors import ForkedProcessError, StaleStateError
from envhub.host import pools
from envhub.host.fleet import Fleet, deferred
from envhub.host.outcomes import Counts, Outcomes
from envhub.host.protocol import HANDLE, SEED, Columns, Given, Protocol, rows_of
from envhub.host.slots import Slots
from envhub.host.states import (
    AGAIN,
    ENDED,
    LOST,
    STALE,
    STEP,
    Batch,
    Rows,
    States,
    are_distinct,
    firsts,
)
from envhub.host.values import Values, params_of, stretch

if TYPE_CHECKING:
    from envhub.host.alone import Alone

EVERYONE = slice(None)
NOBODY = np.zeros(0, np.intp)

Answer = Callable[["Pool", Columns, Columns, int], None]
"""The function with which a pool answers a call."""


class Pool:
    """All instances of one environment.

    Args:
        name: the name of the environment, for errors.
        fleet: the runner of the instances; it has one instance.
        protocol: the names of the arrays of calls.
        values: reads and checks these arrays.
        max_instances: the most live instances; `None` for 256, or 16 with snapshots, or as many as
            two of the largest batches need.

    Attributes:
        protocol: as above.
        error: of the last call that failed.
        slots: the instances.
        alone: runs the episode that began last by itself; `None` if the pool runs all.
        lock: held while an instance is at work.
    """

    def __init__(
        self,
        name: str,
        fleet: Fleet,
        protocol: Protocol,
        values: Values,
        max_instances: int | None,
    ) -> None:
        self.name = name
        self.nonce = pools.new_nonce()
        self._made_in = _forks.generation
        self._fleet = fleet
        self.error: BaseException | None = None
        self.protocol, self._values, self._snapshots = protocol, values, values.snapshots
        rows = Rows(protocol.shown, protocol.chosen, protocol.num_params)
        self._states = States(self.nonce, rows, values.snapshots)
        how: dict[str, Any] = {"is_saved": bool(values.snapshots), "max_instances": max_instances}
        self.slots = Slots(name, fleet, self._states, **how)
        self._calls = self._resets = self._steps = 0
        self._is_open = True
        self.alone: Alone | None = None
        self._lone: Alone | None = None  # what serves the current call, if it is of one lane
        self.lock = threading.RLock()
        pools.pools[self.nonce] = self

    @property
    def counts(self) -> Counts:
        """The counts of all calls so far."""
        processes = self._fleet.processes
        return Counts(len(self._states), self._calls, self._resets, self._steps, processes)

    def expect(self, size: int) -> None:
        """Announce a batch that arrives in several calls, which then counts as one large batch."""
        self.slots.largest_batch = max(self.slots.largest_batch, size)

    def count(self, resets: int = 0, steps: int = 0) -> None:
        """Count what an episode does that is run by itself."""
        self._resets += resets
        self._steps += steps
        if steps:
            self._states.last_step = self._states.now

    @property
    def now(self) -> int:
        """The number of the current call."""
        return self._states.now

    def new_generation(self) -> int:
        """Return the generation of a new state, which is not in the table."""
        return self._states.new_generation()

    def serve(self, answer: Answer, inputs: Columns, outputs: Columns, size: int) -> None:
        """Answer one call from a compiled program; `error` keeps its exception."""
        self.at_work(self._answer, answer, inputs, outputs, size)

    def at_work(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """Return what one call returns; `error` keeps its exception."""
        try:
            with self.lock, deferred():  # no interrupt comes between moving and recording it
                self._calls += 1
                self._states.now += 1
                if not self._is_open or self._made_in != _forks.generation:
                    self.check_usable()  # a call less in every step
                return do(*arguments)
        except BaseException as error:  # also an interrupt that was deferred
            self.error = error
            raise

    def _answer(self, answer: Answer, inputs: Columns, outputs: Columns, size: int) -> None:
        self.slots.largest_batch = max(self.slots.largest_batch, size)
        self._lone = self.alone if self.slots.largest_batch == 1 else None
        if self.alone and not self._lone:
            self.alone.give_back()
        answer(self, inputs, outputs, size)

    # What programs call.

    def reset(self, inputs: Columns, outputs: Columns, size: int) -> None:
        """Start episodes, each in its own instance."""
        if self._lone:
            self._lone.answer_reset(inputs, outputs)
            return
        seeds, params = stretch(inputs[SEED], size), params_of(inputs)
        lanes = np.arange(size)
        while len(lanes):  # once, unless a call on forkable states has more lanes than instances
            slots = self.slots.claim(len(lanes), [])
            now, lanes = lanes[: len(slots)], lanes[len(slots) :]
            self.slots.apply(slots, rows_of(params, now))
            self._resets += len(slots)
            outcomes = self.slots.ask(self._fleet.reset, slots, seeds[now].tolist())
            batch = self._settle(slots, outcomes, -1, {})
            self._show(outputs, now, batch.handles, batch.shown)

    def restart(self, inputs: Columns, outputs: Columns, lanes: Any) -> bool:
        """Start episodes in the instances in which episodes ended in this call, if possible.

        The batch then keeps its instances, and the next call continues it.

        Args:
            inputs: the arguments of the call.
            outputs: the outputs, in which all lanes are answered.
            lanes: int[n], the lanes whose episodes ended.

        Returns:
            Whether the lanes were answered.
        """
        if self._fleet.prepares:
            return False
        if self._lone:
            self._lone.give_back()
        slots = self._states.restart(outputs[HANDLE], lanes)
        if slots is None or self._lone:
            return False
        seeds = stretch(inputs[SEED], len(outputs[HANDLE]))[lanes]
        self._resets += len(lanes)
        outcomes = self.slots.ask(self._fleet.reset, slots, seeds.tolist())
        batch = self._settle(slots, outcomes, 0, {}, within=lanes)  # no generation is 0
        self._show(outputs, lanes, batch.handles, batch.shown)
        return True

    def step(self, inputs: Columns, outputs: Columns, size: int) -> None:
        """Advance states. Nothing moves unless all handles and actions are valid."""
        if self._lone:
            if self._lone.answer_step(inputs, outputs):
                return
            self._lone.give_back()
        self._states.last_step = self._states.now
        given = self._values.read(inputs, size)
        slots = self._states.continued(given.handles)
        if slots is not None:
            self._advance(outputs, EVERYONE, slots, given)
            return
        if self._snapshots:
            self._snapshots.check(given.snapshots)
        lanes = np.arange(size)
        while len(later := self._wave(outputs, lanes, given)):  # of one state, or too many
            lanes, given = lanes[later], given.at(later)

    def render(self, handle: Any, row: Any, params: Columns) -> Any:
        """Draw a state with these params; `row` is its snapshot, if it has one."""
        with self.lock:
            self.check_usable()
            if self.alone:
                self.alone.give_back()
            slot = self._states.find(handle)
            slots = np.array([slot]) if slot >= 0 else self._restored(handle, row)
            before = self._states.rows.params[slots]
            self.slots.apply(slots, params_of(params))
            try:
                return self.slots.ask(self._fleet.render, (), int(slots[0]))
            finally:
                if self._states.find(handle) >= 0:  # it goes on with the params of its last step
                    self.slots.apply(slots, before)

    def _restored(self, handle: Any, row: Any) -> Any:
        """Return the slot of an instance that now is in the state of a snapshot: int[1]."""
        if self._snapshots is None:
            self._refuse(handle)
        self._snapshots.check(row[None])
        slots = self.slots.claim(1, [])
        self.slots.ask(self._fleet.restore, slots, *self._values.saved(row[None]))
        return slots

    def close(self) -> None:
        """Close every instance; states of this pool are stale from now on."""
        with self.lock:
            self._is_open = False
            pools.pools.pop(self.nonce, None)
            self._fleet.close()
            if self.alone:
                self.alone.close()

    def check_usable(self) -> None:
        """Refuse a closed environment, and a process that was forked since."""
        if not self._is_open:
            raise StaleStateError(f"{self.name}: {pools.GONE}")
        if self._made_in != _forks.generation:
            raise ForkedProcessError(  # its states would have the names of the parent's
                f"{self.name} was made before this process was forked; make it here. {_forks.SPAWN}"
            )

    # The lanes of a step.

    def _wave(self, outputs: Columns, lanes: Any, given: Given) -> Any:
        """Answer the lanes that can be answered together, and return the remaining lanes.

        Args:
            outputs: the outputs of all lanes.
            lanes: the lanes to answer.
            given: the arguments of these lanes.
        """
        kinds, slots = self._states.classify(given)
        count = np.bincount(kinds, minlength=STALE + 1).tolist()
        if count[STALE]:
            self._refuse(given.handles[np.argmax(kinds == STALE)])
        if count[AGAIN] or count[ENDED]:
            self._show_what_is_there(outputs, lanes, kinds, slots, given)
        stepped, later = np.flatnonzero(kinds == STEP), NOBODY
        if not are_distinct(slots[stepped]):
            is_first = firsts(slots[stepped]) == np.arange(len(stepped))
            later, stepped = stepped[~is_first], stepped[is_first]
        lost = np.flatnonzero(kinds == LOST)
        if len(lost):
            free = self.slots.claim(len(lost), slots[stepped])
            later = np.concatenate([later, lost[len(free) :]])
            lost = lost[: len(free)]
            if len(free):
                saved = self._values.saved(given.snapshots[lost])
                self.slots.ask(self._fleet.restore, free, *saved)
                slots[lost] = free
                stepped = np.concatenate([stepped, lost])
        if len(stepped) == len(lanes):
            is_all = len(lanes) == len(outputs[HANDLE])
            self._advance(outputs, EVERYONE if is_all else lanes, slots, given)
        elif len(stepped):
            self._advance(outputs, lanes[stepped], slots[stepped], given.at(stepped))
        return later

    def _advance(self, outputs: Columns, lanes: Any, slots: Any, given: Given) -> None:
        """Step instances in place."""
        self.slots.apply(slots, given.params)
        self._steps += len(slots)
        actions = self._values.actions
        shaped = actions.tree if self._fleet.takes_columns else actions.values
        outcomes = self.slots.ask(self._fleet.step, slots, shaped(given.actions))
        # These are copies, because the arguments of a call are gone after it.
        chosen = {name: leaf.copy() for name, leaf in given.chosen.items()}
        batch = self._settle(slots, outcomes, given.handles[:, 1].copy(), chosen)
        self._show(outputs, lanes, batch.handles, batch.shown)

    def _show(self, outputs: Columns, lanes: Any, handles: Any, shown: Columns) -> None:
        outputs[HANDLE][lanes] = handles
        for name, column in shown.items():
            outputs[name][lanes] = column

    def _show_what_is_there(
        self, outputs: Columns, lanes: Any, kinds: Any, slots: Any, given: Given
    ) -> None:
        """Answer the lanes that move nothing: a repeated transition, or an ended episode.

        An ended state never changes, so lanes may overrun in a `while`. Its snapshot is enough,
        without an instance.
        """
        held = np.flatnonzero((kinds == AGAIN) | (kinds == ENDED) & (slots >= 0))
        if len(held):
            shown = {name: column[slots[held]] for name, column in self._states.rows.shown.items()}
            self._show(outputs, lanes[held], self._states.handles(slots[held]), shown)
            self._states.touch(slots[held])
        gone = np.flatnonzero((kinds == ENDED) & (slots < 0))
        if len(gone):
            shown = self._values.of_snapshots(given.snapshots[gone])
            self._show(outputs, lanes[gone], given.handles[gone], shown)
        ended = lanes[kinds == ENDED]
        if len(ended):
            for name in self.protocol.of_the_step:
                outputs[name][ended] = 0

    def _refuse(self, handle: Any) -> NoReturn:
        why = self._states.why_stale(handle, self.slots.capacity)
        raise StaleStateError(f"{self.name}: {why}. {pools.FORKABLE}")

    # The results of instances.

    def _settle(
        self, slots: Any, outcomes: Outcomes, before: Any, chosen: Columns, within: Any = None
    ) -> Batch:
        """Record the states that instances are in now, after checking them; see `States.record`.

        Lanes that fail are left out, and their instances are replaced. The others stay usable: for
        the same transition again, they answer with the recorded result.

        Raises:
            BaseException: the named exception of the first failed lane.
        """
        if not outcomes.failures:
            try:
                shown = self._values.columns(outcomes)
            except Exception:
                pass  # lane by lane then
            else:
                return self._states.record(slots, before, shown, chosen, within)
        lanes, shown, failures = self._values.columns_of_each(outcomes)
        if len(lanes) == len(slots):  # shapes differed, and each is good by itself
            return self._states.record(slots, before, shown, chosen, within)
        if within is not None:
            self.slots.forget(slots)  # the states that ended, which the failed reset is not about
        if lanes:
            origin = before[lanes] if np.ndim(before) else before
            moved = {name: leaf[lanes] for name, leaf in chosen.items()}
            self._states.record(slots[lanes], origin, shown, moved)
        self.slots.forget([*outcomes.lost, *self._fleet.replace_all(slots.tolist(), failures)])
        failures |= outcomes.failures
        failed = sorted(failures)
        error = failures[failed[0]]
        action = {name: leaf[failed[0]] for name, leaf in chosen.items()}
        named = self.slots.failed(slots[failed].tolist(), action, error)
        raise named from (error if named is not error else error.__cause__)
