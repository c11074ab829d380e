"""The live instances of an environment: what they do, what they then show, and what may go wrong.

NumPy only: this runs inside callbacks, where touching JAX deadlocks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import EnvHubError, HostEnvError, StaleStateError
from envhub.host.fleet import Fleet, Outcomes
from envhub.host.layout import Actions, Observations
from envhub.host.slots import UNKNOWN, Batch, Slots
from envhub.host.slots import Form as Column
from envhub.host.snapshot import TERMINATED, TRUNCATED, Form


class Layout(NamedTuple):
    """What goes in and out of an environment.

    Attributes:
        actions, observations: of one environment.
        info: names, shapes and dtypes of the entries that are kept.
        agents: the shape of a reward and of a flag: `()`, or `(num_agents,)`.
        num_params: how many numbers the params are.
        form: of snapshots; `None` for an opaque environment.
    """

    actions: Actions
    observations: Observations
    info: Sequence[tuple[str, tuple[int, ...], Any]]
    agents: tuple[int, ...]
    num_params: int
    form: Form | None

    @property
    def shown(self) -> list[Column]:
        """The columns of what a state shows.

        A snapshot if there are any, the leaves of the observation, and of the step that led there
        the reward, two flags and `info`.
        """
        snapshot: list[Column] = [((self.form.size,), np.uint8)] if self.form else []
        step = [(self.agents, dtype) for dtype in (np.float32, np.bool_, np.bool_)]
        infos = [(shape, dtype) for _, shape, dtype in self.info]
        return [*snapshot, *self.observations.forms, *step, *infos]


class Crew:
    """A fleet, and a table of the states that its instances are in.

    Args:
        name: of the environment, for errors.
        nonce: what handles name the pool by.
        fleet: runs the instances; it has one.
        layout: of the environment.
    """

    def __init__(self, name: str, nonce: int, fleet: Fleet, layout: Layout) -> None:
        self.fleet = fleet
        self.table = Slots(layout.shown, layout.actions.forms, layout.num_params)
        self.table.grow(1)
        self.num_steps = 0
        self._applied: tuple[Any, bytes] | None = None  # slots and params of the last call
        self._name, self._nonce = name, nonce
        self._observations, self._info, self._form = layout.observations, layout.info, layout.form

    def reset(self, slots: Any, seeds: Sequence[int]) -> Batch:
        """Start episodes."""
        with self._naming(slots):
            outcomes = self.fleet.reset(slots.tolist(), seeds)
        return self._settle(slots, 0, (), outcomes)

    def step(self, slots: Any, before: Any, chosen: Sequence[Any], actions: Sequence[Any]) -> Batch:
        """Advance one step each.

        Args:
            slots: the instances, each once.
            before: the generations of the states that they are in.
            chosen: the leaves of the actions, as arrays.
            actions: the same, as instances take them.
        """
        self.num_steps += len(slots)
        with self._naming(slots):
            outcomes = self.fleet.step(slots.tolist(), actions)
        return self._settle(slots, before, chosen, outcomes)

    def restore(self, slots: Sequence[int], rows: Sequence[Any]) -> None:
        """Put instances into the states of snapshots that were checked."""
        assert self._form is not None
        unpacked = [self._form.unpack(row) for row in rows]
        obs = [self._observations.value(self._observations.unpack(each)) for _, each, _ in unpacked]
        with self._naming(slots):
            self.fleet.restore(slots, [saved for saved, _, _ in unpacked], obs)

    def render(self, slot: int) -> Any:
        """The picture of the state that an instance is in."""
        with self._naming([]):
            return self.fleet.render(slot)

    def apply(self, slots: Any, values: Any) -> None:
        """Put params in force where others are.

        Args:
            slots: int[n].
            values: the bits of the params, uint32[n, P], or [1, P] for all of them.
        """
        bits, table = values.tobytes(), self.table
        if self._applied and slots is self._applied[0] and bits == self._applied[1]:
            return  # nearly always: the batch of the last call, continued
        changed = (table.params[slots] != values).any(-1)
        if changed.any():
            numbers = slots[changed]
            new = np.broadcast_to(values, (len(slots), values.shape[1]))[changed]
            with self._naming(numbers):
                self.fleet.set_params(numbers.tolist(), new.view(np.float32))
            table.params[numbers] = new
        self._applied = slots, bits

    def claim(self, count: int, busy: Sequence[int], capacity: int) -> Any:
        """Slots for other states: idle ones, new ones, and the least recently used.

        Returns:
            As many as there are, at most `count`; never those that are busy.

        Raises:
            StaleStateError: if there are too few, and states cannot be brought back.
        """
        table = self.table
        idle, others = table.candidates(busy, keep_used=self._form is None)
        new = max(0, min(count - len(idle), capacity - len(table)))
        if self._form is None and len(idle) + new + len(others) < count:
            raise StaleStateError(
                f"{self._name}: one call needs more environments than max_instances={capacity} "
                "allows; make it with a larger max_instances, or wrap a function that makes it."
            )
        if new:
            with self._naming([]):
                self.fleet.grow(new)
            table.grow(new)
        added = np.arange(len(table) - new, len(table))
        found = np.concatenate([idle, added, others])[:count]
        table.forget(found)
        table.touch(found)
        return found

    def _settle(self, slots: Any, before: Any, chosen: Sequence[Any], outcomes: Outcomes) -> Batch:
        """The states that instances are in now."""
        if not outcomes.failures:
            try:
                return self._batch(slots, before, chosen, outcomes)
            except ValueError:
                outcomes = self._without_the_wrong(outcomes, slots)
        raise self._settle_the_others(slots, before, chosen, outcomes)

    def _batch(self, slots: Any, before: Any, chosen: Sequence[Any], outcomes: Outcomes) -> Batch:
        """See `_settle`.

        Raises:
            ValueError: if something is of another shape or dtype than it was.
        """
        obs = self._observations.columns(outcomes.obs)
        step: list[Any] = [0, np.zeros(1, bool), np.zeros(1, bool), *[0] * len(self._info)]
        if len(outcomes.rewards):  # not after a reset
            flags = outcomes.terminated, outcomes.truncated
            step = [np.array(outcomes.rewards, np.float32), *(np.array(f, bool) for f in flags)]
            step += [_entries(outcomes.infos, *entry) for entry in self._info]
        _, terminated, truncated, *_ = step
        ended = terminated | truncated
        shown = [*obs, *step]
        if self._form:
            ends = TERMINATED * terminated + TRUNCATED * truncated
            shown.insert(0, self._form.pack(outcomes.saved, self._observations.bytes_of(obs), ends))
        if ended.ndim > 1:
            ended = ended.all(-1)  # of all agents
        handles = np.empty((len(slots), 3), np.uint32)
        handles[:, 0], handles[:, 2] = slots, self._nonce
        handles[:, 1] = self.table.generations(len(slots))
        # Copies, because what a call is given is gone after it.
        kept = [leaf.copy() for leaf in chosen]
        return Batch(slots, handles, np.array(before), ended, shown, kept, self.table.now)

    # What may go wrong in one instance.

    def _without_the_wrong(self, outcomes: Outcomes, slots: Any) -> Outcomes:
        """The outcomes without those that have no place in the columns: they failed."""
        failures: dict[int, BaseException] = {}
        good = []
        for lane in range(len(outcomes.obs)):
            try:
                self._batch(slots[[lane]], 0, (), _at(outcomes, [lane]))
                good.append(lane)
            except ValueError as error:
                failures[lane] = error
                with self._naming([]):
                    self.fleet.replace(int(slots[lane]))
        return _at(outcomes, good)._replace(lanes=good, failures=failures)

    def _settle_the_others(
        self, slots: Any, before: Any, chosen: Sequence[Any], outcomes: Outcomes
    ) -> BaseException:
        """The error to raise; the lanes that came through have moved, and stay usable.

        Asked for the same transition again, they answer with what they have.
        """
        self.table.flush()
        lanes = list(outcomes.lanes or ())
        if lanes:
            origin = before[lanes] if np.ndim(before) else before
            moved = [leaf[lanes] for leaf in chosen]
            self.table.hold(self._batch(slots[lanes], origin, moved, outcomes))
            self.table.flush()
        self._forget(outcomes.lost)
        failed = sorted(outcomes.failures)
        error = outcomes.failures[failed[0]]
        error_to_raise = self._failed(slots[failed].tolist(), [c[failed[0]] for c in chosen], error)
        error_to_raise.__cause__ = error if error is not error_to_raise else None
        return error_to_raise

    @contextlib.contextmanager
    def _naming(self, slots: Any) -> Iterator[None]:
        """If something is raised inside, these instances hold no state any more.

        Nor do those of a worker that is gone.
        """
        try:
            yield
        except BaseException as error:
            lost = getattr(error, "lost", ())
            failed = self._failed(sorted({*map(int, slots), *lost}), (), error)
            raise failed from (error if failed is not error else error.__cause__)

    def _failed(
        self, slots: Sequence[int], action: Sequence[Any], error: BaseException
    ) -> BaseException:
        """The error to raise; the instances hold no state any more."""
        self.table.flush()
        states = self.table.generation[list(slots)].tolist()
        self._forget(slots)
        if not isinstance(error, Exception) or isinstance(error, EnvHubError):
            return error
        parts = []
        if slots:
            parts = [f"instance {', '.join(map(str, slots))}"]
            parts.append(f"state {', '.join(map(str, states))}")
        if action:
            parts.append(f"action {', '.join(str(leaf.tolist()) for leaf in action)}")
        where = ": ".join([self._name, *([", ".join(parts)] if parts else [])])
        return HostEnvError(f"{where}: {type(error).__name__}: {error}")

    def _forget(self, slots: Sequence[int]) -> None:
        self.table.forget(list(slots))
        self.table.params[list(slots)] = UNKNOWN
        self._applied = None


def _entries(infos: Sequence[Any], name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An entry of `info` as a column."""
    column = np.array([info.get(name, 0) for info in infos])
    if column.shape[1:] != shape:
        raise ValueError(f"info[{name!r}] has the shape {column.shape[1:]}, where it had {shape}.")
    return column.astype(dtype)


def _at(outcomes: Outcomes, lanes: Sequence[int]) -> Outcomes:
    """Some of the lanes."""

    def pick(column: Any) -> Any:
        return [column[lane] for lane in lanes] if len(column) else ()

    obs, rewards, terminated, truncated, infos, saved = map(pick, outcomes[:6])
    return Outcomes(obs, rewards, terminated, truncated, infos, saved)
