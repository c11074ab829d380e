"""Find out facts about an instance before it is used: its `info`, and whether it is forkable.

Forkability is proved, not declared: a `save` that forgets an attribute is found here, at the first
`make` of an id in a process.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from envhub.errors import (
    InvalidOptionError,
    MissingCapabilityError,
    UnavailableEnvError,
)
from envhub.host.instance import Instance, InstanceStep
from envhub.host.protocol import InfoEntry
from envhub.host.sampling import sample
from envhub.host.trials import OverdueError, Trial
from envhub.host.values import Actions, Observations

SAVE_POINTS, STEPS_BETWEEN, STEPS_AFTER = 3, 5, 10
# The steps of the last walk, and the seconds of the whole proof, for an environment whose suite
# does not claim that it is forkable.
LONGEST, BUDGET = 1000, 20.0


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
        if _has_ended(step):
            try:
                obs, newest = instance.reset(0), []
            except Exception:
                break
    names = sorted({name for info in infos for name in info if isinstance(name, str)})
    found = [_entry(name, [info.get(name) for info in infos]) for name in names]
    return [entry for entry in found if entry]


def legal_action(
    rng: np.random.Generator, actions: Actions, instance: Instance, obs: Any, infos: Sequence[Any]
) -> Any:
    """Return a random action that a mask of `info`, the observation or the instance allows."""
    for where in (*infos, obs):
        if isinstance(where, Mapping) and "action_mask" in where:
            return sample(actions.space, rng, where["action_mask"])
    return sample(actions.space, rng, instance.action_mask())


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


def _has_ended(step: InstanceStep) -> bool:
    return bool(np.logical_or(step.terminated, step.truncated).all())  # for all agents


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


def prove_forkable(
    identity: str,
    trial: Trial,
    construct: Callable[[], Instance],
    first: Instance,
    actions: Actions,
    observations: Observations,
    *,
    is_patient: bool,
) -> int:
    """Save at several points, step on, and repeat the steps in an instance with another history.

    Args:
        identity: the identity of the environment. A proof is not repeated for the same identity,
            unless it now stands for other classes, as when a notebook cell runs again.
        trial: the watcher of the instances.
        construct: a function that makes another instance.
        first: an instance.
        actions: the actions of the environment.
        observations: the observations of the environment.
        is_patient: whether the proof may take longer than `BUDGET`.

    Returns:
        The size of the largest result of `save`, in bytes.

    Raises:
        MissingCapabilityError: if anything differs or raises, or the proof takes too long.
    """
    proved = identity, type(first), type(first.unwrapped)
    if proved not in _proved:
        is_known = type(first).__module__.startswith("envhub.adapters.")
        last_walk = STEPS_AFTER if is_known else LONGEST
        due = math.inf if is_known or is_patient else time.monotonic() + BUDGET
        one, other = trial.instance(first), trial.another(construct)
        try:
            other.reset(1)
            sizes = [
                _compare(identity, seed, one, other, actions, observations, last_walk, due)
                for seed in range(SAVE_POINTS)
            ]
        except MissingCapabilityError:
            raise
        except OverdueError as error:
            raise MissingCapabilityError(
                f"{identity}: its steps are slow, so whether a state can be saved and restored was "
                f"not found out in {BUDGET:.0f} s. With forkable=True the test has no time limit."
            ) from error
        except Exception as error:  # an action that it refuses, say, or what cannot be saved
            raise MissingCapabilityError(
                f"{identity}: a test of saving and restoring a state raised "
                f"{type(error).__name__}: {error}. So it is not known to be forkable; make it with "
                "forkable=False."
            ) from error
        finally:
            other.close()
        _proved[proved] = max(sizes)
    return _proved[proved]


def room_for(largest: int, asked: int | None) -> int:
    """Return the number of bytes to reserve for a result of `save`.

    Raises:
        InvalidOptionError: if the requested number is too small.
    """
    if asked is None:
        # A little more than was seen: what an emulator saves varies by a few percent.
        return largest + max(32, largest // 8)
    if asked < largest:
        raise InvalidOptionError(
            f"snapshot_size={asked} is too small: a snapshot took {largest} bytes. Omit it, or "
            "give a larger number."
        )
    return asked


_proved: dict[tuple[str, type, type], int] = {}


def _compare(
    identity: str,
    seed: int,
    one: Instance,
    other: Instance,
    actions: Actions,
    observations: Observations,
    last_walk: int,
    due: float,
) -> int:
    rng = np.random.default_rng(seed)
    pick = functools.partial(legal_action, rng, actions, one)
    newest: tuple[Any, list[Any]] = one.reset(seed), []
    for _ in range(seed * STEPS_BETWEEN):
        step = InstanceStep(*one.step(pick(*newest)))
        newest = (one.reset(seed), []) if _has_ended(step) else (step.obs, [step.info])
    saved, seen = one.save(), observations.columns([newest[0]])
    # What an unknown instance forgets may matter only at the end of an episode.
    length = STEPS_AFTER if seed < SAVE_POINTS - 1 else last_walk
    walk = functools.partial(_walk, due, observations, newest)
    chosen, expected = walk(one, length, lambda _, *now: pick(*now))
    other.restore(saved, observations.values(seen)[0])
    # The same actions, for a mask of `info` is not part of a snapshot.
    _, again = walk(other, len(chosen), lambda step, *_: chosen[step])
    if again != expected:
        raise MissingCapabilityError(
            f"{identity}: a state that was saved and restored did not continue the same way, so it "
            "cannot be forkable with the installed packages; make it with forkable=False."
        )
    return len(saved)


def _walk(
    due: float,
    observations: Observations,
    newest: tuple[Any, list[Any]],
    instance: Instance,
    length: int,
    pick: Callable[[int, Any, list[Any]], Any],
) -> tuple[list[Any], list[bytes]]:
    """Step until the episode ends, and return the actions and the results, bit for bit.

    The number of the step, the newest observation and the newest infos determine each action. Both
    are `newest` before the first step.

    Raises:
        OverdueError: if the proof takes too long.
    """
    obs, infos = newest
    chosen: list[Any] = []
    shown: list[bytes] = []
    for number in range(length):
        if time.monotonic() > due:
            raise OverdueError
        chosen.append(pick(number, obs, infos))
        step = InstanceStep(*instance.step(chosen[-1]))
        outcome = np.array([step.reward, step.terminated, step.truncated], np.float64)
        obs, infos = step.obs, [step.info]
        seen = observations.to_bytes(observations.columns([obs]))
        shown.append(seen.tobytes() + outcome.tobytes())
        if _has_ended(step):
            break
    return chosen, shown
