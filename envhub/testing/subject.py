"""An environment under examination, and the runs that several probes share."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._checkpoints import pack_state, unpack_state
from envhub._random_action import RandomAction
from envhub.environment import Environment, StepResult
from envhub.spaces._trees import tree_of
from envhub.testing import long_runs, second_process
from envhub.testing.comparison import NotRunError, differ, stack, visible
from envhub.testing.remedies import RECIPE, REMEDIES
from envhub.testing.second_process import DIED, SecondProcess

STEPS = 3


class Subject:
    """An environment under examination, with the runs that several probes share.

        >>> env, params = envhub.make("gymnax::CartPole-v1")
        >>> obs, state = Subject(env, params).start
        >>> obs.shape
        (4,)

    Args:
        env: the environment.
        params: the params for the probes.
        recipe: how another process makes the same environment: an id with its keywords, see
            `envhub.testing.second_process`. Without a recipe, probes that need it are not run.
        other: the other process; by default one is started when it is needed.
        reader: the caller who reads the verdicts, one of `envhub.testing.remedies.READERS`; the
            reasons have advice for this caller.
        actions: the actions of `path`; by default random legal ones.
    """

    def __init__(
        self,
        env: Environment,
        params: Any,
        recipe: Mapping[str, Any] | None = None,
        other: SecondProcess | None = None,
        reader: str = "check_env",
        actions: Sequence[Any] | None = None,
    ) -> None:
        self.env, self.params, self.recipe, self.reader = env, params, recipe, reader
        self._other = other
        self.keys = jax.random.split(jax.random.key(0), 2 * STEPS + 1)
        self._given = actions

    def remedy(self, need: str) -> str:
        """Return advice for the reader about something that is not known of the environment."""
        return REMEDIES[need][self.reader]

    @functools.cached_property
    def start(self) -> tuple[Any, Any]:
        """Return the observation and state of one reset."""
        return self.env.reset(self.keys[0], self.params)

    @property
    def actions(self) -> Sequence[Any]:
        """Return the fixed actions, which are legal along `path`."""
        return self._given or self._played[0]

    @property
    def path(self) -> list[StepResult]:
        """Return the steps from `start` with the fixed keys and actions."""
        return self._played[1]

    @functools.cached_property
    def _played(self) -> tuple[list[Any], list[StepResult]]:
        choose = jax.jit(RandomAction.of(self.env, self.params))
        (obs, state), actions, results = self.start, list[Any](), list[StepResult]()
        for index, key in enumerate(jax.random.split(jax.random.key(1), 2 * STEPS)):
            actions.append(self._given[index] if self._given else choose(key, obs))
            results.append(self._step(index, state, actions[-1]))
            obs, state = results[-1].obs, results[-1].state
        return actions, results

    def _step(self, index: int, state: Any, action: Any) -> StepResult:
        return self.env.step(self.keys[index + 1], state, action, self.params)

    def walk(self, state: Any, first: int, last: int) -> list[StepResult]:
        """Step from a state with the actions and keys `first` to `last`."""
        results = []
        for index in range(first, last):
            results.append(self._step(index, state, self.actions[index]))
            state = results[-1].state
        return results

    @property
    def is_pure(self) -> bool:
        """Whether its functions are claimed to be pure: a few steps show what any others do."""
        return self.env.capabilities.jax_native

    @functools.cached_property
    def long_run(self) -> long_runs.LongRun:
        """Return a run of many steps."""
        return long_runs.long_run(self.env, self.params)

    def another(self) -> tuple[Environment, Any]:
        """Return another instance of the environment in this process, and its params.

        Raises:
            NotRunError: if there is no recipe.
        """
        if self.recipe is None:
            raise self._without_recipe()
        return second_process.make_by_recipe(self.recipe)

    @functools.cached_property
    def lanes(self) -> tuple[Any, StepResult]:
        """`STEPS` steps scanned under two nested vmaps: over variants of the params, over two keys.

        The first variant is the params themselves; the first key is that of `start`. Leaves of the
        results have the axes (variant, key, step).
        """
        variants, num_variants = variants_of(self.params)
        firsts = jnp.stack([self.keys[0], jax.random.key(7)])
        keys, actions = self.keys[1 : STEPS + 1], stack(self.actions[:STEPS])

        def episode(params: Any, key: Any) -> tuple[Any, StepResult]:
            obs, state = self.env.reset(key, params)

            def body(state: Any, inputs: Any) -> tuple[Any, StepResult]:
                result = self.env.step(inputs[0], state, inputs[1], params)
                return result.state, result

            return obs, jax.lax.scan(body, state, (keys, actions))[1]

        over_keys = jax.vmap(episode, in_axes=(None, 0))
        over_both = jax.vmap(over_keys, in_axes=(0, None), axis_size=num_variants)
        obs, results = jax.jit(over_both)(variants, firsts)
        return obs, results

    def variants_part(self, steps: int) -> bool:
        """Tell whether a variant of the params shows anything different within this many steps.

        All variants get the keys and actions of the params themselves, and begin another episode
        when the episode of the params has ended.
        """
        variants, _ = variants_of(self.params)
        reset_each = jax.vmap(self.env.reset, in_axes=(None, 0))
        step_each = jax.vmap(self.env.step, in_axes=(None, 0, None, 0))
        choose = RandomAction.of(self.env, self.params)

        def first(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: leaf[0], tree)

        def reset(key: Any) -> tuple[Any, Any, Any]:
            obs, states = reset_each(key, variants)
            return (first(obs), states), jnp.bool_(False), differ(obs)

        def step(key: Any, after: Any) -> tuple[Any, Any, Any]:
            obs, states = after
            action = choose(jax.random.fold_in(key, 1), obs)
            results = step_each(key, states, action, variants)
            after = first(results.obs), results.state
            return after, results.done[0].all(), differ(visible(results))

        def goes_on(carry: Any) -> Any:
            index, _, _, differ = carry
            return ~differ & (index < steps)

        def turn(carry: Any) -> Any:
            index, after, is_over, _ = carry
            key = jax.random.fold_in(jax.random.key(8), index)
            begin, go_on = (lambda _: reset(key)), (lambda after: step(key, after))
            return index + 1, *jax.lax.cond(is_over, begin, go_on, after)

        def run(key: Any) -> Any:
            return jax.lax.while_loop(goes_on, turn, (jnp.int32(0), *reset(key)))[-1]

        return bool(jax.jit(run)(self.keys[0]))

    @functools.cached_property
    def elsewhere(self) -> dict[str, Any]:
        """Return the same episode, and the continuation of a saved state, in another process.

        The values are lists of arrays; if the state could not be continued, `"failed"` has the
        reason.
        """
        if self.recipe is None:  # before anything is played
            raise self._without_recipe()
        with tempfile.TemporaryDirectory() as folder:
            files = {name: f"{folder}/{name}.npz" for name in ("saved", "actions", "replayed")}
            packed: Any = pack_state(self.path[STEPS - 1].state)
            np.savez(files["saved"], **packed)
            np.savez(files["actions"], *jax.tree.leaves(stack(self.actions)))
            failed = self.call_elsewhere("envhub.testing.subject:replay", **files)
            with np.load(files["replayed"]) as arrays:
                parts = {
                    part: [arrays[name] for name in arrays.files if name.startswith(part)]
                    for part in ("episode", "continuation")
                }
        return {**parts, "failed": failed} if failed else parts

    def call_elsewhere(self, function: str, **arguments: Any) -> Any:
        """Call a function with the recipe and these arguments in another process.

        Raises:
            NotRunError: if the environment cannot be made there, so that nothing is known.
        """
        if self.recipe is None:
            raise self._without_recipe()
        given = {"recipe": dict(self.recipe), **arguments}
        if self._other is not None:
            return _call(self._other, function, **given)
        with contextlib.closing(SecondProcess()) as other:
            return _call(other, function, **given)

    def _without_recipe(self) -> NotRunError:
        return NotRunError(
            f"another process does not know how to make this environment. {self.remedy(RECIPE)}"
        )


def _call(other: SecondProcess, function: str, **arguments: Any) -> Any:
    """Call a function in the other process, and return its result.

    Raises:
        NotRunError: if the environment cannot be made there, so that nothing is known.
    """
    try:
        json.dumps(arguments)
    except (TypeError, ValueError) as error:
        raise NotRunError(
            f"the recipe cannot be sent to another process ({error}). Give another recipe."
        ) from error
    try:
        return other.call(function, **arguments)
    except RuntimeError as error:
        if NotRunError.__name__ in str(error) or DIED in str(error):
            raise NotRunError(str(error)) from error
        raise


def replay(recipe: Mapping[str, Any], saved: str, actions: str, replayed: str) -> str:
    """Play, in the other process, the episode of a `Subject` and continue a saved state.

    Returns:
        The reason why the saved state could not be continued; empty if it was.

    Raises:
        NotRunError: if the environment cannot be made here.
    """
    try:
        env, params = second_process.make_by_recipe(recipe)
        subject = Subject(env, params, actions=_load_actions(env.action_space(params), actions))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise NotRunError(f"another process cannot make it from the recipe: {what}") from error
    # The continuation first, in a process that has never run the environment: what it needs must be
    # in the saved state.
    failed, parts = "", {}
    try:
        with np.load(saved, allow_pickle=False) as arrays:
            state = unpack_state(subject.env, arrays)
        parts["continuation"] = visible(subject.walk(state, STEPS, 2 * STEPS))
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"
    episode = visible(subject.walk(subject.start[1], 0, STEPS))
    parts["episode"] = (subject.start[0], episode)
    arrays = {
        f"{part}{index:06}": array
        for part, tree in parts.items()
        for index, array in enumerate(second_process.arrays_of(tree))
    }
    np.savez(replayed, **arrays)
    return failed


def _load_actions(space: spaces.Space, path: str) -> list[Any]:
    """Read the actions of the other process."""
    with np.load(path) as arrays:
        columns = [jnp.asarray(arrays[name]) for name in arrays.files]
    structure = jax.tree.structure(tree_of(space))
    return [jax.tree.unflatten(structure, each) for each in zip(*columns, strict=True)]


def variants_of(params: Any) -> tuple[Any, int]:
    """Return the params, then each leaf changed alone (twice), stacked on a leading axis."""
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, params))
    rows = [leaves]
    for index, leaf in enumerate(leaves):
        is_bool = leaf.dtype == jnp.bool_
        for changed in [~leaf] if is_bool else [jnp.ones_like(leaf), leaf * 2 + 1]:
            rows.append([*leaves[:index], changed.astype(leaf.dtype), *leaves[index + 1 :]])
    stacked = [jnp.stack(column) for column in zip(*rows, strict=True)]
    return jax.tree.unflatten(structure, stacked), max(len(rows), 2)
