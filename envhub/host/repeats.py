"""Try whether the seed determines an episode, for an instance whose suite does not claim it."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from envhub.host.instance import Instance, InstanceStep
from envhub.host.sampling import legal_action
from envhub.host.trials import OverdueError
from envhub.host.values import Actions

STEPS = 20
BUDGET = 20.0  # the seconds that the whole trial may take

Shown = dict[str, Any]  # the results to compare by their names: values, or the bits of values


def why_not_repeatable(one: Instance, other: Instance | None) -> str:
    """Return what differed, see `_why_not`; or that the time was too short to find out."""
    due = time.monotonic() + BUDGET
    try:
        return _why_not(one, other, due)
    except OverdueError:
        return f"it was tried, and not found out in {BUDGET:.0f} s: its steps take long."


def _why_not(one: Instance, other: Instance | None, due: float) -> str:
    """Play the same seed and actions again, and compare bit for bit.

    The repetitions run in the same instance after its first episode, in another instance, and in
    both by turns. Each runs with another state of the global generators of Python and NumPy, whose
    states are put back at the end.

    Args:
        one: an instance, preferably a new one.
        other: another instance of the environment; `None` if there is only one.
        due: the time at which the trial must have finished.

    Returns:
        What differed, and where; empty if nothing differed. If no step succeeded, the text says so.

    Raises:
        OverdueError: if `due` has passed.
    """

    def play(instance: Instance, seed: int) -> Iterator[Shown]:
        return map(_bits_of, _play(due, instance, seed))

    with other_global_generators() as shuffle:
        expected = list(play(one, 0))
        if not any("reward" in shown for shown in expected):
            return f"it was tried, and no step came through: {expected[-1].get('exception')}."
        shuffle()
        where = _difference(expected, list(play(one, 0)))
        if where:
            return _told(where, "in the instance that played it before")
        if other is None:
            return ""
        shuffle()
        expected_beside = list(play(other, 1))
        shuffle()
        where = _difference(expected, list(play(other, 0)))
        if where:
            return _told(where, "in another instance")
        shuffle()
        # Each instance plays what the other played before. The bits are taken after both turns, as
        # in a batch, because instances may return one array that they share.
        both: Iterator[Any] = itertools.zip_longest(
            _play(due, other, 0), _play(due, one, 1), fillvalue={}
        )
        turns = [tuple(map(_bits_of, turn)) for turn in both]
        seen, seen_beside = ([turn[lane] for turn in turns if turn[lane]] for lane in (0, 1))
        where = _difference(expected, seen) or _difference(expected_beside, seen_beside)
        return _told(where, "while another instance played") if where else ""


def _told(where: str, circumstances: str) -> str:
    return f"it was tried: the same seed and actions gave {where} {circumstances}."


def _play(due: float, instance: Instance, seed: int) -> Iterator[Shown]:
    """Yield the results of some resets and steps.

    An exception, for example of a refused action, is a result too, and ends the episode.
    """
    rng, actions = np.random.default_rng(seed), Actions(instance.action_space)
    obs: Any = None
    infos: list[Any] = []
    has_ended = True
    for number in range(STEPS):
        if time.monotonic() > due:
            raise OverdueError
        try:
            if has_ended:
                obs, infos = instance.reset(seed + 1000 * number), []
                yield {"observation": obs}
            step = InstanceStep(*instance.step(legal_action(rng, actions, instance, obs, infos)))
            obs, infos = step.obs, [step.info]
            ends = step.terminated, step.truncated
            info = {f"info[{name!r}]": step.info[name] for name in _numbers(step.info)}
            yield {"observation": obs, "reward": step.reward, "end": ends, **info}
            has_ended = bool(np.logical_or(step.terminated, step.truncated).all())
        except Exception as error:
            yield {"exception": type(error).__name__}
            has_ended = True


def _difference(expected: list[Shown], seen: list[Shown]) -> str:
    """Return the first difference; empty if there is none."""
    for step, (one, other) in enumerate(zip(expected, seen, strict=False)):
        if one != other:
            names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
            return f"another {names[0]} at step {step}"
    return "" if len(expected) == len(seen) else "an episode of another length"


def _bits_of(shown: Shown) -> Shown:
    try:
        return {
            what: value if what == "exception" else _bits(value) for what, value in shown.items()
        }
    except Exception as error:  # JAX raises it for a dict whose keys cannot be sorted
        return {"exception": type(error).__name__}


def _bits(value: Any) -> Any:
    return [(np.shape(leaf), np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(value)]


def _numbers(info: dict[str, Any]) -> list[str]:
    """Return the names of the numeric entries of an `info`."""
    kinds = (bool, int, float, np.generic, np.ndarray)
    return [name for name, value in info.items() if isinstance(value, kinds)]


@contextlib.contextmanager
def other_global_generators() -> Iterator[Any]:
    """Yield a function that changes the global generators, and put their states back at the end."""
    seeds = itertools.count(1)

    def shuffle() -> None:
        seed = next(seeds)
        random.seed(seed)
        np.random.seed(seed)

    before = random.getstate(), np.random.get_state()
    try:
        shuffle()
        yield shuffle
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
