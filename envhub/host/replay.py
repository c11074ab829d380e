"""Snapshots of what cannot be saved: the seed and the actions since the reset, played again."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import HostEnvError
from envhub.host.copies import Copies
from envhub.host.instance import Instance, InstanceStep
from envhub.host.logs import Log, LogForm
from envhub.host.protocol import to_columns

FEW = 3  # steps, which are played again rather than kept in a copy
_generators = threading.RLock()  # the process has one of each


class Mode(NamedTuple):
    """What it takes until the seed and the actions decide an episode.

    Attributes:
        is_fresh: whether each reset makes an instance.
        has_generators: whether each instance has its own state of `random` and `numpy.random`.
    """

    is_fresh: bool = False
    has_generators: bool = False

    def __str__(self) -> str:
        parts = ["an instance is made for each reset"] * self.is_fresh
        parts += ["`random` and `numpy.random` are seeded for each instance"] * self.has_generators
        return " and ".join(parts)


class Replaying:
    """Makes instances whose snapshots are logs, which share a cache of copies.

    Args:
        env_id: the id, for errors.
        construct: a function that makes an instance.
        form: the form of the logs.
        mode: how instances are made and played.
        copies: the cache.
        params: the params of an instance that was given none, float32[P].

    Attributes:
        note: what was proved, in words.
    """

    note = ""

    def __init__(
        self,
        env_id: str,
        construct: Callable[[], Instance],
        form: LogForm,
        mode: Mode,
        copies: Copies,
        params: bytes,
    ) -> None:
        self.env_id, self.construct, self.form, self.mode = env_id, construct, form, mode
        self.copies, self.params = copies, params

    def __call__(self) -> Replay:
        """Make an instance."""
        return Replay(self, self.construct())


class Replay(Instance):
    """An instance whose snapshot is the seed of the reset, and the actions since.

    To restore is to reset with the seed and to play the actions, unless the instance is on the way
    already, or a copy of an instance that was is at hand. The observation is compared with the one
    of the snapshot.

    Args:
        by: makes instances like this one.
        inner: the instance itself.
    """

    def __init__(self, by: Replaying, inner: Instance) -> None:
        self._by, self.inner = by, inner
        self.observation_space, self.action_space = inner.observation_space, inner.action_space
        self.default_params, self.num_agents = inner.default_params, inner.num_agents
        self.turn_based = inner.turn_based
        self.episode_limit, self.claims = inner.episode_limit, inner.claims
        self.identity = f"{inner.identity} replay {tuple(by.mode)}"
        self._wanted = by.params  # those of the next call
        self._states: Any = None  # of the generators
        self._log: Log | None = None  # how the inner instance came to be where it is
        self._obs: Any = None

    @property
    def unwrapped(self) -> Any:
        return self.inner.unwrapped

    @property
    def note(self) -> str:
        """What was proved, in words."""
        return self._by.note

    @property
    def size(self) -> int:
        """The bytes of a snapshot."""
        return self._by.form.size

    def reset(self, seed: int) -> Any:
        self._log = None  # until it is known
        with self._playing(seed):
            self._begin(seed, self._wanted)
        changes = [(0, self._wanted)] if self._wanted else []
        self._log = Log(seed, changes, bytearray())
        return self._obs

    def step(self, action: Any) -> InstanceStep:
        log, form = self._log, self._by.form
        assert log is not None
        is_change = bool(self._wanted) and log.changes[-1][1] != self._wanted
        if form.room(log, is_change=is_change) < 0:
            raise HostEnvError(
                f"the episode of {self._by.env_id} has outgrown its log: a snapshot of {form.size} "
                f"bytes has no room for step {log.count + 1}. Make it with "
                f"replay_steps={2 * max(form.steps, log.count)} if episodes may be so long."
            )
        entry = form.encode(action)
        with self._playing():
            if is_change:
                log.changes.append((log.count, self._wanted))
                self._put(self._wanted)
            step = self.inner.step(action)
        log.actions += entry
        log.count += 1
        self._obs = step[0]
        return step

    def save(self) -> bytes:
        assert self._log is not None
        return self._by.form.pack(self._log)

    def restore(self, saved: bytes, obs: Any) -> None:
        log, copies = self._by.form.unpack(saved), self._by.copies
        has_copy = self._go_near(log)
        played = self._play_on(log)
        if has_copy and not self._shows(obs):
            copies.switch(None)  # they continue otherwise
            self._log = None
            played = self._play_on(log)
        if not self._shows(obs):
            self._log = None
            raise HostEnvError(
                f"a state of {self._by.env_id} was not restored: its actions were played again "
                "from its seed and led to another observation, so the seed does not decide the "
                "episodes of this environment. Make it with forkable=False."
            )
        if played >= FEW:
            copies.put(log, (self.inner, self._states, obs))

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        self._wanted = values.astype(np.float32).tobytes()

    def action_mask(self) -> Any:
        return self.inner.action_mask()

    def render(self) -> Any:
        return self.inner.render()

    def close(self) -> None:
        self.inner.close()

    # On the way to a state.

    def _go_near(self, log: Log) -> bool:
        """Be in a state from which a log goes on, if one is at hand; say whether it is a copy's."""
        own = self._log if self._log and log.continues(self._log) else None
        self._log = own
        if own and log.count - own.count < FEW:
            return False
        found = self._by.copies.nearest(log)
        if found is None or (own and found[0] <= own.count):
            return False
        self._log = None  # until the copy is in place
        count, (self.inner, self._states, self._obs) = found
        seed, changes, actions = log.key(count)
        self._log = Log(seed, list(changes), bytearray(actions), count)
        return True

    def _play_on(self, log: Log) -> int:
        """Play the rest of a log, all of it where nothing is known; say how many steps it took."""
        own, self._log = self._log, None
        with self._playing(None if own else log.seed):
            if own is None:
                self._begin(log.seed, log.changes[0][1] if log.changes else b"")
            start = own.count if own else 0
            changes = dict(log.changes[1:])
            for number, action in enumerate(self._by.form.decode(log, start), start):
                if number in changes:
                    self._put(changes[number])
                self._obs = self.inner.step(action)[0]
        self._log = log
        return log.count - start

    def _begin(self, seed: int, params: bytes) -> None:
        """Start an episode with these params."""
        if self._by.mode.is_fresh:
            with contextlib.suppress(Exception):
                self.inner.close()
            self.inner = self._by.construct()
        if params:
            self._put(params)
        self._obs = self.inner.reset(seed)

    def _put(self, params: bytes) -> None:
        self.inner.set_params(np.frombuffer(params, np.float32))

    def _shows(self, obs: Any) -> bool:
        """Whether the instance shows this observation, as far as the dtypes of JAX tell."""
        space = self.observation_space
        pairs = zip(to_columns(space, [self._obs]), to_columns(space, [obs]), strict=True)
        wanted = ((now, np.asarray(then)) for now, then in pairs)
        return all(
            np.asarray(now).astype(then.dtype).tobytes() == then.tobytes() for now, then in wanted
        )

    def _playing(self, seed: int | None = None) -> contextlib.AbstractContextManager[None]:
        """Where the inner instance is played; a seed starts its own generators."""
        return self._own_generators(seed) if self._by.mode.has_generators else _NOTHING

    @contextlib.contextmanager
    def _own_generators(self, seed: int | None) -> Iterator[None]:
        with _generators:
            before = random.getstate(), np.random.get_state()
            try:
                if seed is None:
                    _set(self._states)
                else:
                    random.seed(seed)
                    np.random.seed(seed)
                yield
            finally:
                self._states = random.getstate(), np.random.get_state()
                _set(before)


_NOTHING = contextlib.nullcontext()


def _set(states: Any) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
