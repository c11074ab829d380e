"""The instances behind the states of an environment: claimed, given params, lent and replaced.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from envhub.errors import EnvHubError, StaleStateError
from envhub.host import pools
from envhub.host.fleet import Fleet, SerialFleet, named_error
from envhub.host.instance import Instance
from envhub.host.protocol import Columns
from envhub.host.states import UNSET, Batch, States


class Slots:
    """The places of a table of states, each with an instance of a fleet.

    Args:
        name: the name of the environment, for errors.
        fleet: the runner of the instances; those of a `SerialFleet` can be lent.
        states: the table.
        is_saved: whether states have snapshots.
        max_instances: see `Pool`.

    Attributes:
        largest_batch: the number of lanes of the largest batch so far.
    """

    def __init__(
        self,
        name: str,
        fleet: Fleet,
        states: States,
        *,
        is_saved: bool,
        max_instances: int | None,
    ) -> None:
        self._name, self._fleet, self._states = name, fleet, states
        self._is_saved, self._max_instances = is_saved, max_instances
        self._applied: tuple[Any, bytes] | None = None  # slots and params of the last call
        self.largest_batch = 1

    @property
    def capacity(self) -> int:
        """The most live instances."""
        least = pools.FORKABLE_INSTANCES if self._is_saved else pools.OPAQUE_INSTANCES
        return self._max_instances or max(least, 2 * self.largest_batch)

    def claim(self, count: int, busy: Any) -> Any:
        """Return slots for other states: idle slots, new slots, and the least recently used.

        Returns:
            At most `count` slots, none of which is busy.

        Raises:
            StaleStateError: if there are too few, and states cannot be restored.
        """
        states, capacity = self._states, self.capacity
        is_opaque = not self._is_saved
        idle, others = states.candidates(busy, keep_used=is_opaque)
        new = max(0, min(count - len(idle), capacity - len(states)))
        if is_opaque and len(idle) + new + len(others) < count:
            raise StaleStateError(
                f"{self._name}: one call needs more environments than max_instances={capacity} "
                "allows. Make it with a larger max_instances, or wrap a function that makes it."
            )
        if new:
            self.ask(self._fleet.grow, (), new)
            states.grow(new)
        added = np.arange(len(states) - new, len(states))
        found = np.concatenate([idle, added, others])[:count]
        states.forget(found)
        states.touch(found)
        return found

    def apply(self, slots: Any, values: Any) -> None:
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
            self.ask(self._fleet.set_params, slots[changed], new.view(np.float32))
            in_force[slots[changed]] = new
        self._applied = slots, bits

    def ask(self, method: Callable[..., Any], slots: Any, *arguments: Any) -> Any:
        """Call a method of the fleet; if it raises, these instances have no state any more.

        The instances of a lost worker have no state then either. An `EnvHubError` comes from the
        adapter, for example for an invalid snapshot. What a reset or step raises is in its outcome.
        """
        try:
            if not len(slots):
                return method(*arguments)
            return method(slots if self._fleet.takes_columns else slots.tolist(), *arguments)
        except EnvHubError:
            self.forget(slots)
            raise
        except BaseException as error:
            lost = {*map(int, slots), *getattr(error, "lost", ())}
            failed = self.failed(sorted(lost), {}, error)
            raise failed from (error if failed is not error else error.__cause__)

    def failed(self, slots: Sequence[int], action: Columns, error: BaseException) -> BaseException:
        """Return the error to raise; the instances hold no state any more."""
        generations = self._states.rows.generation[slots].tolist()
        self.forget(slots)
        if isinstance(error, KeyboardInterrupt):
            return error
        return named_error(self._name, slots, generations, list(action.values()), error)

    def forget(self, slots: Any) -> None:
        """Give up the states of these slots, and the params that are set in their instances."""
        slots = list(slots)
        self._states.forget(slots)
        self._states.rows.params[slots] = UNSET
        self._applied = None

    @property
    def can_lend(self) -> bool:
        """Whether an instance may be stepped by itself."""
        return isinstance(self._fleet, SerialFleet)

    def lend(self, params: Any) -> tuple[int, Instance]:
        """Claim an instance, with these params, for an episode that is run by itself."""
        slots = self.claim(1, [])
        self.apply(slots, params)
        fleet: Any = self._fleet
        return int(slots[0]), fleet.instance(int(slots[0]))

    def take_back(self, batch: Batch) -> None:
        """Write down the state of an instance that was lent."""
        self._states.put(batch)

    def replace(self, slot: int, error: BaseException) -> None:
        """Replace an instance that failed where it was lent to."""
        self.forget([slot, *self._fleet.replace_all([slot], {0: error})])
