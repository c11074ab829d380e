"""An episode that is run by itself is the pool's: whatever comes, both give the same results."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host.environment import HostEnvironment

KEY = jax.random.key(0)
OPERATIONS = (
    *("reset", "reset in a program", "autoreset", "batch", "render", "others' params"),
    *("step", "step in a program") * 4,
)


class Player:
    """Plays what it is told, and keeps all states that it saw.

    Args:
        made: the environment and its params.
    """

    def __init__(self, made: tuple[Any, Any]) -> None:
        self.env, self.params = made
        self.states: list[Any] = []
        other = None if self.params is None else jax.tree.map(lambda leaf: leaf * 1.5, self.params)
        self.others = self.params if other is None else other
        self.program = jax.jit(self.env.step), jax.jit(self.env.reset)
        self.many = jax.jit(jax.vmap(self.env.step, in_axes=(None, 0, 0, None)))
        self.auto = jax.jit(self.env.step_then_reset)

    def play(self, operation: str, number: int, place: int, action: Any) -> Any:
        """Return what a user sees: arrays, or the kind of error."""
        key = jax.random.key(number)
        try:
            return self._seen(getattr(self, "_" + METHODS[operation])(key, place, action))
        except errors.StaleStateError as error:
            return type(error)
        except jax.errors.JaxRuntimeError:
            return type(self.env.last_error)

    def _seen(self, given: Any) -> Any:
        *shown, states = given
        self.states += states
        return [np.asarray(leaf) for leaf in jax.tree.leaves(shown)]

    def _at(self, place: int) -> Any:
        return self.states[max(len(self.states) - 1 - place, 0)]

    def _reset(self, key: Any, place: int, action: Any) -> Any:
        obs, state = self.env.reset(key, self.params)
        return obs, [state]

    def _reset_in_a_program(self, key: Any, place: int, action: Any) -> Any:
        obs, state = self.program[1](key, self.params)
        return obs, [state]

    def _step(self, key: Any, place: int, action: Any) -> Any:
        return self._shown(self.env.step(key, self._at(place), action, self.params))

    def _step_in_a_program(self, key: Any, place: int, action: Any) -> Any:
        return self._shown(self.program[0](key, self._at(place), action, self.params))

    def _with_others(self, key: Any, place: int, action: Any) -> Any:
        return self._shown(self.program[0](key, self._at(place), action, self.others))

    def _auto(self, key: Any, place: int, action: Any) -> Any:
        result, final = self.auto(key, self._at(place), action, self.params)
        return (final, *self._shown(result))

    def _batch(self, key: Any, place: int, action: Any) -> Any:
        two = jax.tree.map(lambda *parts: jnp.stack(parts), self._at(place), self._at(place + 1))
        result = self.many(key, two, jnp.stack([action, action]), self.params)
        states = [jax.tree.map(lambda leaf, lane=lane: leaf[lane], result.state) for lane in (0, 1)]
        return result._replace(state=None), states

    def _render(self, key: Any, place: int, action: Any) -> Any:
        return self.env.render(self._at(place), self.params), []

    def _shown(self, result: Any) -> Any:
        return result._replace(state=None), [result.state]


METHODS = {
    "reset": "reset",
    "reset in a program": "reset_in_a_program",
    "step": "step",
    "step in a program": "step_in_a_program",
    "autoreset": "auto",
    "batch": "batch",
    "render": "render",
    "others' params": "with_others",
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gymnasium::CartPole-v1", {"max_episode_steps": 6}),
        ("gymnasium::FrozenLake-v1", {"max_episode_steps": 6}),
        ("gymnasium::FrozenLake-v1", {"max_episode_steps": 6, "forkable": False}),
        ("gymnasium::MountainCar-v0", {"max_episode_steps": 6, "forkable": False}),
        ("gymnasium::Pendulum-v1", {"max_episode_steps": 6, "max_instances": 3}),
        ("gymnasium::Pendulum-v1", {"max_episode_steps": 6, "forkable": False, "max_instances": 2}),
    ],
)
def test_it_is_the_pools(
    name: str, options: dict[str, Any], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    alone = Player(envhub.make(name, **options))
    monkeypatch.setattr(HostEnvironment, "_new_alone", lambda _: None)
    pool = Player(envhub.make(name, **options))
    space: Any = alone.env.action_space(alone.params)
    operations = ["reset", *rng.choice(OPERATIONS, 60)]
    for turn, operation in enumerate(operations):
        action = space.sample(jax.random.key(turn))
        given = operation, turn, int(rng.choice([0, 0, 0, 1, 3])), action
        one, other = alone.play(*given), pool.play(*given)
        if isinstance(one, type) or isinstance(other, type):
            assert one == other, (turn, operation)
        else:
            assert len(one) == len(other)
            for leaf, another in zip(one, other, strict=True):
                np.testing.assert_array_equal(leaf, another, err_msg=f"{turn}: {operation}")
    assert len(alone.states) == len(pool.states) > 20
    assert [bool(each.env._pool.alone) for each in (alone, pool)] == [True, False]  # noqa: SLF001


def test_the_state_of_a_program_goes_on_outside_and_back() -> None:
    env, params = envhub.make("gymnasium::CartPole-v1", forkable=False)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    ways: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
        (first, then) for first in (env.step, step) for then in (env.step, step)
    ]
    seen = []
    for way in ways:
        obs, state = reset(KEY, params)
        for turn in range(8):
            obs, state, *_ = way[turn % 2](KEY, state, 1, params)
        seen.append(np.asarray(obs))
    for each in seen[1:]:
        np.testing.assert_array_equal(each, seen[0])


def test_an_environment_without_a_program_is_freed_at_once() -> None:
    env, _ = envhub.make("gymnasium::FrozenLake-v1")
    pool = weakref.ref(env._pool)  # type: ignore[attr-defined]  # noqa: SLF001
    gc.collect()
    gc.disable()
    try:
        del env
        assert pool() is None
    finally:
        gc.enable()


def test_a_picture_is_drawn_with_the_params_that_are_given() -> None:
    """Of a state that is in no instance too, and of one that a program returned."""
    env, params = envhub.make("gymnasium::CartPole-v1", length=1.5)
    usual = envhub.make("gymnasium::CartPole-v1")[1]
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    state = env.reset(KEY, params)[1]
    first = env.render(state, params)
    after = env.step(KEY, state, 1, params).state
    second = env.render(after, params)
    assert not np.array_equal(first, env.render(env.reset(KEY, usual)[1], usual))
    np.testing.assert_array_equal(env.render(state, params), first)
    state = reset(KEY, params)[1]
    np.testing.assert_array_equal(env.render(state, params), first)
    np.testing.assert_array_equal(env.render(step(KEY, state, 1, params).state, params), second)


@pytest.mark.parametrize("max_instances", [1, 2])
def test_an_end_with_the_next_beginning_is_answered_again(max_instances: int) -> None:
    env, params = envhub.make(
        "gymnasium::FrozenLake-v1",
        forkable=False,
        max_episode_steps=2,
        max_instances=max_instances,
    )
    go_on = jax.jit(env.step_then_reset)
    state = env.step(KEY, env.reset(KEY, params)[1], 0, params).state
    result, final = go_on(KEY, state, 1, params)
    again, last = go_on(KEY, state, 1, params)
    assert result.truncated
    assert again.truncated
    np.testing.assert_array_equal(last, final)
    np.testing.assert_array_equal(again.obs, result.obs)
    env.step(KEY, again.state, 1, params)
