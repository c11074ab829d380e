"""What is found out about an instance before it is used: its `info`, and whether it can be forked.

A capability of the bridge is proved, not declared: a codec that forgets an attribute is found here,
at the first `make` of an id in a process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from envhub.errors import MissingCapabilityError
from envhub.host.instance import Instance, InstanceStep
from envhub.host.layout import Actions, Observations

Entry = tuple[str, tuple[int, ...], Any]  # name, shape, dtype

SAVE_POINTS, STEPS_BETWEEN, STEPS_AFTER = 3, 5, 10


class Seen(NamedTuple):
    """What a few steps showed: an observation, and the entries of `info` that JAX can hold."""

    obs: Any
    entries: list[Entry]


def explore(instance: Instance, actions: Actions) -> Seen:
    """Play a few steps. An entry of `info` is kept if it is numeric, and there each time."""
    rng = np.random.default_rng(0)
    obs = instance.reset(0)
    common: dict[str, Entry] | None = None
    for _ in range(STEPS_BETWEEN):
        step = InstanceStep(*instance.step(actions.sample(rng)))
        found = {name: entry for name, value in step.info.items() if (entry := _entry(name, value))}
        kept = found if common is None else common
        common = {name: entry for name, entry in kept.items() if found.get(name) == entry}
        if _has_ended(step):
            instance.reset(0)
    return Seen(obs, [entry for _, entry in sorted((common or {}).items())])


def _has_ended(step: InstanceStep) -> bool:
    return bool(np.logical_or(step.terminated, step.truncated).all())  # for all agents


def _entry(name: Any, value: Any) -> Entry | None:
    array = (
        np.asarray(value) if isinstance(value, (bool, int, float, np.generic, np.ndarray)) else None
    )
    if array is None or array.dtype.kind not in "biuf" or not isinstance(name, str):
        return None
    dtype = {"f": np.float32, "i": np.int32, "u": np.uint32, "b": np.bool_}[array.dtype.kind]
    narrow = array.dtype if array.dtype.itemsize < 4 else np.dtype(dtype)
    return name, array.shape, narrow


def prove_forkable(
    identity: str,
    construct: Callable[[], Instance],
    one: Instance,
    actions: Actions,
    observations: Observations,
) -> int:
    """Save at several points, step on, and do the same again in an instance of another history.

    Returns:
        The bytes to reserve for what `save` returns.

    Raises:
        MissingCapabilityError: if anything differs.
    """
    if identity not in _proved:
        other = construct()
        other.reset(1)
        try:
            sizes = [
                _compare(identity, seed, one, other, actions, observations)
                for seed in range(SAVE_POINTS)
            ]
        finally:
            other.close()
        # A little more than was seen: what an emulator saves varies by a few percent.
        _proved[identity] = max(sizes) + max(32, max(sizes) // 8)
    return _proved[identity]


_proved: dict[str, int] = {}


def _compare(
    identity: str,
    seed: int,
    one: Instance,
    other: Instance,
    actions: Actions,
    observations: Observations,
) -> int:
    rng = np.random.default_rng(seed)
    obs = one.reset(seed)
    for _ in range(seed * STEPS_BETWEEN):
        step = InstanceStep(*one.step(actions.sample(rng)))
        if _has_ended(step):
            step = step._replace(obs=one.reset(seed))
        obs = step.obs
    packed = observations.pack(observations.leaves(obs))
    saved = one.save()
    chosen = [actions.sample(rng) for _ in range(STEPS_AFTER)]
    expected = _walk(one, chosen, observations)
    other.restore(saved, observations.value(observations.unpack(packed)))
    if _walk(other, chosen, observations) != expected:
        raise MissingCapabilityError(
            f"{identity}: a state that was saved and restored did not continue the same way, so it "
            "cannot be forkable on what is installed; make it with forkable=False."
        )
    return len(saved)


def _walk(instance: Instance, chosen: list[Any], observations: Observations) -> list[bytes]:
    """What some steps show, bit for bit, until the episode ends."""
    shown = []
    for action in chosen:
        step = InstanceStep(*instance.step(action))
        outcome = np.array([step.reward, step.terminated, step.truncated], np.float64)
        shown.append(observations.pack(observations.leaves(step.obs)) + outcome.tobytes())
        if _has_ended(step):
            break
    return shown
