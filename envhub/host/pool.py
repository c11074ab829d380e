"""The pool of instances behind the states of an environment. It answers compiled programs.

The pool reads a call, classifies its lanes, moves instances and shows their new states, in that
order. So no instance moves before all arguments are checked, and nothing is recorded before all
results are checked. NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from envhub import _forks
from envhub.errors import EnvHubError, ForkedProcessError, StaleStateError
from envhub.host import pools
from envhub.host.fleet import Fleet, deferred, named_error
from envhub.host.outcomes import Counts, Outcomes
from envhub.host.protocol import HANDLE, SEED, Columns, Given, Protocol, rows_of
from envhub.host.states import (
    AGAIN,
    ENDED,
    LOST,
    STALE,
    STEP,
    UNSET,
    Batch,
    Rows,
    States,
    are_distinct,
    firsts,
)
from envhub.host.values import Values, params_of, stretch

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
        self._max_instances = max_instances
        self._largest_batch = 1
        self._applied: tuple[Any, bytes] | None = None  # slots and params of the last call
        self._calls = self._resets = self._steps = 0
        self._is_open = True
        self.lock = threading.RLock()
        pools.pools[self.nonce] = self

    @property
    def counts(self) -> Counts:
        """The counts of all calls so far."""
        processes = self._fleet.processes
        return Counts(len(self._states), self._calls, self._resets, self._steps, processes)

    def expect(self, size: int) -> None:
        """Announce a batch that arrives in several calls, which then counts as one large batch."""
        self._largest_batch = max(self._largest_batch, size)

    def name_state(self, resets: int = 0, steps: int = 0) -> tuple[int, int, int]:
        """Return the handle of a new state, and count the call outside the pool that led to it."""
        self._calls += 1
        self._resets += resets
        self._steps += steps
        return self._states.name()

    def serve(self, answer: Answer, inputs: Columns, outputs: Columns, size: int) -> None:
        """Answer one call from a compiled program; `error` keeps its exception."""
        try:
            with self.lock, deferred():  # no interrupt comes between moving and recording it
                self._largest_batch = max(self._largest_batch, size)
                self._calls += 1
                self._states.now += 1
                if not self._is_open or self._made_in != _forks.generation:
                    self.check_usable()  # a call less in every step
                answer(self, inputs, outputs, size)
        except BaseException as error:  # also an interrupt that was deferred
            self.error = error
            raise

    # What programs call.

    def reset(self, inputs: Columns, outputs: Columns, size: int) -> None:
        """Start episodes, each in its own instance."""
        seeds, params = stretch(inputs[SEED], size), params_of(inputs)
        lanes = np.arange(size)
        while len(lanes):  # once, unless a call on forkable states has more lanes than instances
            slots = self._claim(len(lanes), [])
            now, lanes = lanes[: len(slots)], lanes[len(slots) :]
            self._apply(slots, rows_of(params, now))
            self._resets += len(slots)
            outcomes = self._ask(self._fleet.reset, slots, seeds[now].tolist())
            batch = self._settle(slots, outcomes, -1, {})
            shown = {name: batch.shown[name] for name in self.protocol.start}
            self._show(outputs, now, batch.handles, shown)

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
        slots = self._states.restart(outputs[HANDLE], lanes)
        if slots is None:
            return False
        seeds = stretch(inputs[SEED], len(outputs[HANDLE]))[lanes]
        self._resets += len(lanes)
        outcomes = self._ask(self._fleet.reset, slots, seeds.tolist())
        batch = self._settle(slots, outcomes, 0, {}, within=lanes)  # no generation is 0
        shown = {name: batch.shown[name][lanes] for name in self.protocol.start}
        self._show(outputs, lanes, batch.handles[lanes], shown)
        return True

    def step(self, inputs: Columns, outputs: Columns, size: int) -> None:
        """Advance states. Nothing moves unless all handles and actions are valid."""
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

    def render(self, handle: Any, row: Any) -> Any:
        """Draw a state; `row` is its snapshot if it has one."""
        with self.lock:
            self.check_usable()
            slot = self._states.find(handle)
            if slot < 0:
                if self._snapshots is None:
                    self._refuse(handle)
                self._snapshots.check(row[None])
                slots = self._claim(1, [])
                self._ask(self._fleet.restore, slots, *self._values.saved(row[None]))
                slot = int(slots[0])
            return self._ask(self._fleet.render, (), slot)

    def close(self) -> None:
        """Close every instance; states of this pool are stale from now on."""
        with self.lock:
            self._is_open = False
            pools.pools.pop(self.nonce, None)
            self._fleet.close()

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
            free = self._claim(len(lost), slots[stepped])
            later = np.concatenate([later, lost[len(free) :]])
            lost = lost[: len(free)]
            if len(free):
                saved = self._values.saved(given.snapshots[lost])
                self._ask(self._fleet.restore, free, *saved)
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
        self._apply(slots, given.params)
        self._steps += len(slots)
        actions = self._values.actions
        shaped = actions.tree if self._fleet.takes_columns else actions.values
        outcomes = self._ask(self._fleet.step, slots, shaped(given.actions))
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
        why = self._states.why_stale(handle, self._capacity)
        raise StaleStateError(f"{self.name}: {why}. {pools.FORKABLE}")

    # Instances.

    @property
    def _capacity(self) -> int:
        least = pools.FORKABLE_INSTANCES if self._snapshots else pools.OPAQUE_INSTANCES
        return self._max_instances or max(least, 2 * self._largest_batch)

    def _claim(self, count: int, busy: Any) -> Any:
        """Return slots for other states: idle slots, new slots, and the least recently used.

        Returns:
            At most `count` slots, none of which is busy.

        Raises:
            StaleStateError: if there are too few, and states cannot be restored.
        """
        states, capacity = self._states, self._capacity
        is_opaque = self._snapshots is None
        idle, others = states.candidates(busy, keep_used=is_opaque)
        new = max(0, min(count - len(idle), capacity - len(states)))
        if is_opaque and len(idle) + new + len(others) < count:
            raise StaleStateError(
                f"{self.name}: one call needs more environments than max_instances={capacity} "
                "allows. Make it with a larger max_instances, or wrap a function that makes it."
            )
        if new:
            self._ask(self._fleet.grow, (), new)
            states.grow(new)
        added = np.arange(len(states) - new, len(states))
        found = np.concatenate([idle, added, others])[:count]
        states.forget(found)
        states.touch(found)
        return found

    def _apply(self, slots: Any, values: Any) -> None:
        """Set these params in the instances that have others.

        Args:
            slots: int[n].
            values: the bits of the params, uint32[n, P], or [1, P] for all of them.
        """
        bits = values.tobytes()
        if self._applied and slots is self._applied[0] and bits == self._applied[1]:
            return  # nearly always, because a call mostly continues the batch of the last call
        in_force = self._states.rows.params
        changed = (in_force[slots] != values).any(-1)
        if changed.any():
            new = np.broadcast_to(values, (len(slots), values.shape[1]))[changed]
            self._ask(self._fleet.set_params, slots[changed], new.view(np.float32))
            in_force[slots[changed]] = new
        self._applied = slots, bits

    def _ask(self, method: Callable[..., Any], slots: Any, *arguments: Any) -> Any:
        """Call a method of the fleet; if it raises, these instances have no state any more.

        The instances of a lost worker have no state then either. An `EnvHubError` comes from the
        adapter, for example for an invalid snapshot. What a reset or step raises is in its outcome.
        """
        try:
            if not len(slots):
                return method(*arguments)
            return method(slots if self._fleet.takes_columns else slots.tolist(), *arguments)
        except EnvHubError:
            self._forget(slots)
            raise
        except BaseException as error:
            lost = {*map(int, slots), *getattr(error, "lost", ())}
            failed = self._failed(sorted(lost), {}, error)
            raise failed from (error if failed is not error else error.__cause__)

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
            self._forget(slots)  # the states that ended, which the failed reset is not about
        if lanes:
            origin = before[lanes] if np.ndim(before) else before
            moved = {name: leaf[lanes] for name, leaf in chosen.items()}
            self._states.record(slots[lanes], origin, shown, moved)
        self._forget([*outcomes.lost, *self._fleet.replace_all(slots.tolist(), failures)])
        failures |= outcomes.failures
        failed = sorted(failures)
        error = failures[failed[0]]
        action = {name: leaf[failed[0]] for name, leaf in chosen.items()}
        named = self._failed(slots[failed].tolist(), action, error)
        raise named from (error if named is not error else error.__cause__)

    def _failed(self, slots: Sequence[int], action: Columns, error: BaseException) -> BaseException:
        """Return the error to raise; the instances hold no state any more."""
        generations = self._states.rows.generation[slots].tolist()
        self._forget(slots)
        if isinstance(error, KeyboardInterrupt):
            return error
        return named_error(self.name, slots, generations, list(action.values()), error)

    def _forget(self, slots: Any) -> None:
        slots = list(slots)
        self._states.forget(slots)
        self._states.rows.params[slots] = UNSET
        self._applied = None
