"""Calls outside `jit`, which take no callback: the same as those in a program."""

from __future__ import annotations

import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.host import transport
from envhub.host.alone import Alone

KEY = jax.random.key(0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The callbacks that are traced."""
    traced: list[Any] = []
    original = transport.call

    def counting(*given: Any, **how: Any) -> Any:
        traced.append(given)
        return original(*given, **how)

    monkeypatch.setattr(transport, "call", counting)
    return traced


def same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for leaf, another in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(leaf, another)
        assert (leaf.dtype, leaf.shape) == (another.dtype, another.shape)
        assert (leaf.weak_type, leaf.committed) == (another.weak_type, another.committed)


@pytest.mark.parametrize(
    ("name", "action", "options"),
    [
        ("gymnasium::CartPole-v1", 1, {}),
        ("gymnasium::CartPole-v1", np.int64(1), {"forkable": False}),
        ("gymnasium::Pendulum-v1", np.float64([0.3]), {}),
        ("gymnasium::FrozenLake-v1", 2, {}),  # whose `info` has entries
        ("gymnasium::Blackjack-v1", jnp.int8(0), {}),  # whose observations have parts
    ],
)
def test_a_call_outside_of_programs_takes_no_callback(
    name: str, action: Any, options: Any, calls: list[Any]
) -> None:
    envs = [envhub.make(name, **options)[0] for _ in range(2)]
    played = []
    for env, jit in zip(envs, (lambda function: function, jax.jit), strict=True):
        calls.clear()
        obs, state = jit(env.reset)(KEY)
        results, step = [obs], jit(env.step)
        for _ in range(3):
            result = step(KEY, state, action)
            state = result.state
            results.append(result._replace(state=state._replace(handle=state.handle[:2])))
        played.append((results, bool(calls)))
    (direct, has_called), (compiled, _) = played
    same(direct, compiled)
    assert not has_called


def test_what_is_not_usual_takes_the_callback(calls: list[Any]) -> None:
    env, params = envhub.make("gymnasium::CartPole-v1")
    _, state = env.reset(KEY)
    usual = env.step(KEY, state, 1)
    assert not calls
    for given, changed in [
        (jax.device_put(state, jax.devices()[0]), params),
        (jax.tree.map(np.asarray, state), params),
        (state, params.replace(gravity=jnp.float32(9.8))),
    ]:
        np.testing.assert_array_equal(env.step(KEY, given, 1, changed).obs, usual.obs)
    assert len(calls) == 1
    before = env.counts.steps
    jax.make_jaxpr(lambda: env.step(KEY, state, 1))()
    assert env.counts.steps == before, "a step that is traced is not taken then"
    for action in (True, 0.5, [1], np.uint8([1]), "left"):
        with pytest.raises(errors.InvalidActionError):
            env.step(KEY, state, action)
    with pytest.raises(errors.InvalidActionError, match="outside"):
        env.step(KEY, state, 2)


def test_a_transfer_guard_does_not_mind() -> None:
    env, _ = envhub.make("gymnasium::CartPole-v1")
    action = jnp.int32(1)
    with jax.transfer_guard("disallow"):
        _, state = env.reset(KEY)
        env.step(KEY, state, action)


def test_a_state_is_what_it_was_when_later_ones_are_stepped() -> None:
    """What came out as one array is not written again."""
    env, _ = envhub.make("gymnasium::CartPole-v1")
    results = [env.step(KEY, env.reset(KEY)[1], 1)]
    copies = [jax.tree.map(np.array, results[0])]
    for _ in range(30):
        results.append(env.step(KEY, results[-1].state, 0))
        copies.append(jax.tree.map(np.array, results[-1]))
    for result, copy in zip(results, copies, strict=True):
        assert jax.tree.all(jax.tree.map(np.array_equal, result, copy))


def test_an_episode_outside_of_programs_goes_on_from_any_of_its_states() -> None:
    """Its instance is in the last state; programs and earlier states take others."""
    env, params = envhub.make("gymnasium::MountainCar-v0")
    other, _ = envhub.make("gymnasium::MountainCar-v0")
    _, state = env.reset(KEY)
    step, states = jax.jit(other.step), [state]
    for number in range(12):
        action = number % 3
        before = states[-3] if number % 4 == 3 else states[-1]
        result = (jax.jit(env.step) if number % 5 == 4 else env.step)(KEY, before, action)
        expected = step(KEY, before, action)
        for name in ("obs", "reward", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
        np.testing.assert_array_equal(result.state.snapshot, expected.state.snapshot)
        states.append(result.state)
    assert env.counts.steps == 12
    assert env.counts.resets == 1
    env.close()
    with pytest.raises(errors.StaleStateError, match="closed"):
        env.step(KEY, states[-1], 0, params)


def test_what_raises_outside_of_programs_leaves_the_states_usable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env, _ = envhub.make("gymnasium::CartPole-v1")
    first = env.step(KEY, env.reset(KEY)[1], 1)
    kind = type(env.unwrapped)
    with monkeypatch.context() as patch:
        patch.setattr(kind, "step", lambda *_: 1 / 0)
        with pytest.raises(errors.HostEnvError, match=r"CartPole-v1: action 1: ZeroDivisionError"):
            env.step(KEY, first.state, 1)
        assert isinstance(env.last_error, errors.HostEnvError)  # type: ignore[attr-defined]
    again = env.step(KEY, first.state, 1)
    same(again.obs, jax.jit(env.step)(KEY, first.state, 1).obs)


def test_an_episode_outside_of_programs_is_drawn() -> None:
    env, params = envhub.make("gymnasium::CartPole-v1")
    states = [env.reset(KEY)[1]]
    for _ in range(5):
        states.append(env.step(KEY, states[-1], 1, params).state)
    drawn = [env.render(state) for state in states]
    copies = [env.render(jax.tree.map(jnp.array, state)) for state in states]
    np.testing.assert_array_equal(drawn, copies)
    assert not np.array_equal(drawn[0], drawn[-1])


def test_other_default_params_are_in_force_at_once() -> None:
    """Also in the middle of the episode that began last, whose instance has the earlier ones."""
    env, params = envhub.make("gymnasium::Pendulum-v1")
    action = np.float32([1.0])
    for gravity in (3.0, 20.0, 10.0):
        _, state = env.reset(KEY)
        state = env.step(KEY, state, action).state
        env.default_params = params.replace(g=np.float32(gravity))
        for given in (state, env.reset(KEY)[1]):
            expected = jax.jit(env.step)(KEY, given, action).obs
            same(env.step(KEY, given, action).obs, expected)
            same(env.step(KEY, given, action, env.default_params).obs, expected)


@pytest.mark.parametrize("action", [[1.0], (1.0,), [[1.0], [2.0, 3.0]], {"force": 1.0}, "force"])
def test_what_a_program_refuses_as_an_action_is_refused(action: Any) -> None:
    env, _ = envhub.make("gymnasium::Pendulum-v1")
    _, state = env.reset(KEY)
    with pytest.raises(errors.InvalidActionError, match=r"does not fit Box\(-2.0, 2.0, \(1,\)"):
        env.step(KEY, state, action)
    assert env.counts.steps == 0  # type: ignore[attr-defined]


def test_no_thread_steps_or_closes_what_another_one_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    env, _ = envhub.make("gymnasium::CartPole-v1")
    _, state = env.reset(KEY)
    was_free: list[bool] = []

    def notice(*_: Any) -> None:
        lock = env._pool.lock  # type: ignore[attr-defined]  # noqa: SLF001
        other = threading.Thread(target=lambda: was_free.append(lock.acquire(blocking=False)))
        other.start()
        other.join()

    monkeypatch.setattr(Alone, "render", notice)
    env.render(state)
    monkeypatch.setattr(type(env.unwrapped), "close", notice)
    env.close()
    assert set(was_free) == {False}
    assert len(was_free) > 1


def test_a_drawing_that_stopped_in_the_middle_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env, _ = envhub.make("gymnasium::CartPole-v1")
    state = env.step(KEY, env.reset(KEY)[1], 1).state

    def stop(self: Any) -> None:
        self.state = self.state + 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(env.unwrapped), "render", stop)
        with pytest.raises(KeyboardInterrupt):
            env.render(state)
    same(env.step(KEY, state, 1).obs, jax.jit(env.step)(KEY, state, 1).obs)
