"""A run of many steps, as a digest of each, which callback environments repeat in several ways.

A CPU library may behave alike for some steps, and then draw what no seed decides, or read what was
neither forked nor saved. What pure XLA does, its arguments decide: a few steps show it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from envhub._checkpoints import pack_state, unpack_state
from envhub._random_action import RandomAction
from envhub.environment import Environment
from envhub.testing import second_process
from envhub.testing.comparison import NotRunError, Refuted, stack, visible

LONG = 400
"""The number of steps of a run, in whole episodes but for the last."""


@dataclasses.dataclass(frozen=True)
class LongRun:
    """`LONG` steps of random legal actions; an episode that ends is followed by another.

    Attributes:
        actions: the actions.
        digests: a digest of each observation of a reset and of each step, in order.
        kept: some states, by the number of steps before, which is a power of two or zero, with the
            number of digests before.
    """

    actions: list[Any]
    digests: list[str]
    kept: dict[int, tuple[int, Any]]

    @property
    def middle(self) -> int:
        """The number of steps before the last state that was kept in the first half."""
        return max(steps for steps in self.kept if steps <= LONG // 2)


def long_run(env: Environment, params: Any) -> LongRun:
    """Play a run for the first time."""
    choose = jax.jit(RandomAction.of(env, params))
    run = LongRun([], [], {})
    state = None
    for steps, (key_reset, key_action, key_step) in enumerate(_keys()):
        if state is None:
            obs, state = env.reset(key_reset, params)
            run.digests.append(_digest(obs))
        if steps & (steps - 1) == 0:
            run.kept[steps] = len(run.digests), state
        run.actions.append(choose(key_action, obs))
        result = env.step(key_step, state, run.actions[-1], params)
        run.digests.append(_digest(visible(result)))
        obs, state = result.obs, None if result.done.all() else result.state
    return run


def replay(
    env: Environment,
    params: Any,
    actions: Sequence[Any],
    first: int = 0,
    state: Any = None,
    between: Callable[[int], object] = lambda steps: None,
) -> Iterator[str]:
    """Yield the digests of a run again.

    Args:
        env: the environment.
        params: its params.
        actions: the actions of the whole run.
        first: the number of steps before.
        state: the state after these; `None` at the start of an episode.
        between: a function that is called before each step with the number of steps before.
    """
    for steps in range(first, len(actions)):
        key_reset, _, key_step = _keys()[steps]
        if state is None:
            obs, state = env.reset(key_reset, params)
            yield _digest(obs)
        between(steps)
        result = env.step(key_step, state, actions[steps], params)
        yield _digest(visible(result))
        state = None if result.done.all() else result.state


def insist_on_same(what: str, digests: Sequence[str], again: Iterable[str]) -> None:
    """Refute a repetition at its first difference; nothing follows that."""
    at = -1
    for at, (one, other) in enumerate(zip(digests, again, strict=False)):
        if one != other:
            raise Refuted(f"{what} is not the same from record {at}")
    if at + 1 < len(digests):
        raise Refuted(f"{what} ends after {at + 1} of {len(digests)} records")


def play_elsewhere(
    recipe: Mapping[str, Any], run: str, first: int, digests: Sequence[str]
) -> list[str]:
    """Repeat a run from a recipe in this process, until it differs.

    Args:
        recipe: how to make the environment.
        run: a file with the actions, and a state unless `first` is zero.
        first: the number of steps before.
        digests: those of the run, from there on.

    Raises:
        NotRunError: if the environment cannot be made here.
    """
    try:
        env, params = second_process.make_by_recipe(recipe)
        structure = jax.tree.structure(env.action_space(params).sample(jax.random.key(0)))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise NotRunError(f"another process cannot make it from the recipe: {what}") from error
    with contextlib.closing(env), np.load(run, allow_pickle=False) as arrays:
        columns = [jax.numpy.asarray(arrays[n]) for n in arrays.files if n.startswith("action")]
        saved = {name: arrays[name] for name in arrays.files if not name.startswith("action")}
        actions = [jax.tree.unflatten(structure, each) for each in zip(*columns, strict=True)]
        state = unpack_state(env, saved) if first else None
        found = []
        for one, other in zip(digests, replay(env, params, actions, first, state), strict=False):
            found.append(other)
            if one != other:
                break
    return found


def repeat_elsewhere(call: Callable[..., list[str]], run: LongRun, first: int = 0) -> list[str]:
    """Repeat a run in another process, from its start or from a state that was kept.

    Args:
        call: a function like `Subject.call_elsewhere`.
        run: the run.
        first: the number of steps before the state.
    """
    before, state = run.kept[first]
    leaves = jax.tree.leaves(stack(run.actions))
    files = {f"action{index:06}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
    if first:
        files |= pack_state(state)
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        saving: Any = files
        np.savez(file.name, **saving)
        function = "envhub.testing.long_runs:play_elsewhere"
        digests = run.digests[before:] if first else run.digests
        return call(function, run=file.name, first=first, digests=digests)


@functools.cache
def _keys() -> list[list[Any]]:
    keys = jax.random.split(jax.random.key(2), 3 * LONG).reshape(LONG, 3)
    return [list(each) for each in keys]


def _digest(tree: Any) -> str:
    digest = hashlib.sha256()
    for array in second_process.arrays_of(tree):
        digest.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()[:16]
