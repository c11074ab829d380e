"""Find out facts about an instance before it is used: its `info`, and whether it is forkable.

Forkability is proved, not declared: a `save` that forgets an attribute is found here, at the first
`make` of an id in a process.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import (
    InvalidOptionError,
    MissingCapabilityError,
    UnavailableEnvError,
)
from envhub.host import walks
from envhub.host.instance import Instance, InstanceStep, has_ended
from envhub.host.options import BY_SAVING
from envhub.host.protocol import InfoEntry
from envhub.host.replay import Replay
from envhub.host.sampling import legal_action
from envhub.host.trials import OverdueError, Trial
from envhub.host.values import Actions, Observations
from envhub.host.walks import bits_of

SAVE_POINTS, STEPS_BETWEEN, STEPS_AFTER = 3, 5, 10
BUDGET = 20.0  # seconds of a proof, where neither the suite nor the caller says forkable


def explore(
    env_id: str,
    instance: Instance,
    actions: Actions,
    observations: Observations,
    agents: tuple[int, ...],
) -> list[InfoEntry]:
    """Play a few steps, and return the entries of `info`.

    An entry is kept if it is numeric and always has the same shape. Its dtype holds all values that
    were seen. Steps respect a mask of legal actions, and an exception ends them, because the
    environment may have undeclared rules.

    Raises:
        UnavailableEnvError: if an observation does not fit the space, a step does not return five
            values, its info is not a dict, or its reward is not a number (for several agents: a
            number per agent).
    """
    rng = np.random.default_rng(0)
    infos: list[Any] = []
    newest: list[Any] = []
    obs = _as_declared(env_id, "reset", observations, instance.reset(0))
    for _ in range(STEPS_BETWEEN):
        try:
            returned = instance.step(legal_action(rng, actions, instance, obs, newest))
        except Exception:
            break
        step = _as_step(env_id, returned, agents)
        obs = _as_declared(env_id, "step", observations, step.obs)
        infos.append(step.info)
        newest = [step.info]
        if has_ended(step):
            try:
                obs, newest = instance.reset(0), []
            except Exception:
                break
    names = sorted({name for info in infos for name in info if isinstance(name, str)})
    found = [_entry(name, [info.get(name) for info in infos]) for name in names]
    return [entry for entry in found if entry]


def _as_declared(env_id: str, hook: str, observations: Observations, obs: Any) -> Any:
    try:
        observations.columns([obs])
    except ValueError as error:
        raise UnavailableEnvError(
            f"{env_id}: its {hook} returned an observation that does not fit its "
            f"observation_space: {error}"
        ) from error
    return obs


def _as_step(env_id: str, returned: Any, agents: tuple[int, ...]) -> InstanceStep:
    if not isinstance(returned, tuple) or len(returned) != 5:
        number = f"{len(returned)} values" if isinstance(returned, tuple) else repr(returned)
        raise UnavailableEnvError(
            f"{env_id}: its step returned {number}; it must return the five values of Gymnasium "
            "0.26 and newer: obs, reward, terminated, truncated, info. Wrappers such as "
            "shimmy.GymV21CompatibilityV0 adapt older environments."
        )
    step = InstanceStep(*returned)
    if not isinstance(step.info, Mapping):
        raise UnavailableEnvError(
            f"{env_id}: its step returned {step.info!r} as info, which must be a dict."
        )
    if np.shape(step.reward) not in (agents, agents or (1,)):
        expected = f"{agents[0]} numbers, one for each agent" if agents else "one number"
        raise UnavailableEnvError(
            f"{env_id}: its reward must be {expected}; got the shape {np.shape(step.reward)}. "
            "Reduce a vector to one number with a wrapper such as "
            "mo_gymnasium.wrappers.LinearReward, and give envhub.wrap a function that makes the "
            "wrapped environment."
        )
    return step


def _entry(name: str, values: list[Any]) -> InfoEntry | None:
    """Return an entry that can hold these values; `None` if JAX cannot hold them."""
    there = [value for value in values if value is not None]
    kinds = (bool, int, float, np.generic, np.ndarray)
    if not there or not all(isinstance(value, kinds) for value in there):
        return None
    arrays = list(map(np.asarray, there))
    dtype = np.result_type(*{array.dtype for array in arrays})
    if dtype.kind not in "biuf" or len({array.shape for array in arrays}) > 1:
        return None
    narrow = {"f": np.float32, "i": np.int32, "u": np.uint32, "b": np.bool_}[dtype.kind]
    kept = dtype if dtype.itemsize < 4 else np.dtype(narrow)
    if kept.kind in "iu":
        most = np.iinfo(kept)
        fits = all(((each >= most.min) & (each <= most.max)).all() for each in arrays)
        if not fits or len(there) < len(values):  # NaN stands for what is not there
            kept = np.dtype(np.float32)
    return InfoEntry(name, arrays[0].shape, kept)


class Proved(NamedTuple):
    """What a proof has found.

    Attributes:
        size: the most bytes that a snapshot took.
        note: how an instance is restored and what was tried, in words.
        varies: whether another snapshot may be larger.
    """

    size: int
    note: str = BY_SAVING
    varies: bool = True


def prove_forkable(
    identity: str,
    trial: Trial,
    construct: Callable[[], Instance],
    first: Instance,
    actions: Actions,
    observations: Observations,
    *,
    is_patient: bool,
) -> Proved:
    """Save at several points, step on, and repeat the steps in an instance with another history.

    What is not one of envhub's own is tried over whole episodes (`walks`).

    Args:
        identity: the identity of the environment. A proof is not repeated for the same identity,
            unless it now stands for other classes, as when a notebook cell runs again.
        trial: the watcher of the instances.
        construct: a function that makes another instance.
        first: an instance.
        actions: the actions of the environment.
        observations: the observations of the environment.
        is_patient: whether the proof may take longer than `BUDGET`.

    Raises:
        MissingCapabilityError: if anything differs or raises, or the proof takes too long.
    """
    if isinstance(first, Replay):  # which was proved before it was made
        return Proved(first.size, first.note, varies=False)
    proved = identity, type(first), type(first.unwrapped)
    if proved not in _proved:
        is_known = type(first).__module__.startswith("envhub.adapters.")
        one, other = trial.instance(first), trial.another(construct)
        with closing(other), refusals(trial.env_id):
            if is_known:
                other.reset(1)
                sizes = [
                    _compare(seed, one, other, actions, observations) for seed in range(SAVE_POINTS)
                ]
                _proved[proved] = Proved(max(sizes))
            else:
                due = math.inf if is_patient else time.monotonic() + BUDGET
                found = walks.Walker(actions, observations, due).prove(one, other)
                _proved[proved] = Proved(found.size, f"{BY_SAVING}. It was tried: {found}.")
    return _proved[proved]


@contextlib.contextmanager
def refusals(env_id: str) -> Iterator[None]:
    """Say of what a test of snapshots raises that the environment cannot be forkable.

    Raises:
        MissingCapabilityError: with the reason.
    """
    try:
        yield
    except walks.DiffersError as error:
        raise MissingCapabilityError(
            f"{env_id}: a state that was saved and restored did not continue the same way "
            f"({error}), so it cannot be forkable with the installed packages; make it with "
            "forkable=False."
        ) from error
    except OverdueError as error:
        raise MissingCapabilityError(
            f"{env_id}: its steps are slow, so whether a state can be saved and restored was "
            f"not found out in {BUDGET:.0f} s. With forkable=True the test has no time limit."
        ) from error
    except Exception as error:  # an action that it refuses, say, or what cannot be saved
        raise MissingCapabilityError(
            f"{env_id}: a test of saving and restoring a state raised "
            f"{type(error).__name__}: {error}. So it is not known to be forkable; make it with "
            "forkable=False."
        ) from error


def room_for(proved: Proved, asked: int | None) -> int:
    """Return the number of bytes to reserve for a result of `save`.

    Args:
        proved: what the proof has found.
        asked: the option `snapshot_size`.

    Raises:
        InvalidOptionError: if the requested number is too small.
    """
    largest = proved.size
    if not proved.varies:
        return largest
    if asked is None:
        # A little more than was seen: what an emulator saves varies by a few percent.
        return largest + max(32, largest // 8)
    if asked < largest:
        raise InvalidOptionError(
            f"snapshot_size={asked} is too small: a snapshot took {largest} bytes. Omit it, or "
            "give a larger number."
        )
    return asked


_proved: dict[tuple[str, type, type], Proved] = {}


def _compare(
    seed: int, one: Instance, other: Instance, actions: Actions, observations: Observations
) -> int:
    rng = np.random.default_rng(seed)
    pick = functools.partial(legal_action, rng, actions, one)
    newest: tuple[Any, list[Any]] = one.reset(seed), []
    for _ in range(seed * STEPS_BETWEEN):
        step = InstanceStep(*one.step(pick(*newest)))
        newest = (one.reset(seed), []) if has_ended(step) else (step.obs, [step.info])
    saved, seen = one.save(), observations.columns([newest[0]])
    walk = functools.partial(_walk, observations, newest)
    chosen, expected = walk(one, STEPS_AFTER, lambda _, *now: pick(*now))
    other.restore(saved, observations.values(seen)[0])
    # The same actions, for a mask of `info` is not part of a snapshot.
    _, again = walk(other, len(chosen), lambda step, *_: chosen[step])
    if again != expected:
        raise walks.DiffersError(f"after step {seed * STEPS_BETWEEN}")
    return len(saved)


def _walk(
    observations: Observations,
    newest: tuple[Any, list[Any]],
    instance: Instance,
    length: int,
    pick: Callable[[int, Any, list[Any]], Any],
) -> tuple[list[Any], list[bytes]]:
    """Step until the episode ends, and return the actions and the results, bit for bit.

    The number of the step, the newest observation and the newest infos determine each action. Both
    are `newest` before the first step.
    """
    obs, infos = newest
    chosen: list[Any] = []
    shown: list[bytes] = []
    for number in range(length):
        chosen.append(pick(number, obs, infos))
        step = InstanceStep(*instance.step(chosen[-1]))
        obs, infos = step.obs, [step.info]
        shown.append(bits_of(step, observations))
        if has_ended(step):
            break
    return chosen, shown
