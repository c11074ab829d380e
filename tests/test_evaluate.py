"""`envhub.evaluate`: the first episodes that are started, whole, and nothing else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from tests.presses import Presses

from .devices import needs_devices
from .test_rollout import KEY, balance, compiled

NATIVE, HOST = "gymnax::CartPole-v1", "gymnasium::CartPole-v1"
STEPS = 200


def policy(key: jax.Array, obs: jax.Array) -> jax.Array:
    """One that falls after some fifty steps."""
    return balance(jnp.array([0.0, 0.0, 1.0, 0.0]), key, obs)


class Countdown(envhub.Environment):
    """Two agents; an episode of n steps, where n in [1, 8] is drawn; rewards are n and the time."""

    num_agents = 2

    def __init__(self) -> None:
        super().__init__(None, None, envhub.make(NATIVE)[0].capabilities)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs = jnp.zeros((2, 1))
        return obs, (jax.random.randint(key, (), 1, 9), jnp.int32(0))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> envhub.StepResult:
        length, time = state[0], state[1] + 1
        reward = jnp.stack([length, time]).astype(jnp.float32)
        done = jnp.stack([time >= 1, time >= length])  # the first agent is done at once
        return envhub.StepResult(
            jnp.zeros((2, 1)), (length, time), reward, done, jnp.zeros(2, bool), {}
        )

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(0, 1, (2, 1))

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.MultiDiscrete([2, 2])


def episodes(trajectory: envhub.Trajectory, mode: str) -> list[tuple[int, int, float, int]]:
    """Where each episode of a batch started, its lane, its return and its length."""
    reward, done = np.asarray(trajectory.reward), np.asarray(trajectory.done)
    found = []
    for lane in range(reward.shape[1]):
        start = 0
        for end in np.flatnonzero(done[:, lane]):
            length = end + 1 - start
            found.append((start, lane, float(reward[start : end + 1, lane].sum()), int(length)))
            start = end + 1 + (mode == "next_step")
    return sorted(found)


@pytest.mark.parametrize(
    ("env_id", "mode", "act"),
    [
        (NATIVE, "same_step", policy),
        (NATIVE, "next_step", None),
        pytest.param(HOST, "same_step", None, marks=pytest.mark.full),
    ],
)
def test_of_a_batch_they_are_the_first_that_are_started(env_id: str, mode: Any, act: Any) -> None:
    venv, params = envhub.make_vec(env_id, 3, autoreset=mode)
    found = episodes(envhub.rollout(venv, params, act, KEY, STEPS), mode)
    for count in (2, 7):
        returns, lengths = envhub.evaluate(venv, params, act, KEY, count)
        assert lengths.tolist() == [length for _, _, _, length in found[:count]]
        assert returns.tolist() == [total for _, _, total, _ in found[:count]]
        assert (returns.dtype, lengths.dtype) == (jnp.float32, jnp.int32)
    by_end = sorted(found, key=lambda each: each[0] + each[3])
    assert any(set(by_end[:n]) != set(found[:n]) for n in range(1, len(found)))  # it matters


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        (NATIVE, {}),
        pytest.param(NATIVE, {"autoreset": "same_step"}, marks=pytest.mark.full),
        (HOST, {"forkable": False}),
    ],
)
def test_of_an_environment_each_has_a_lane(env_id: str, options: dict[str, Any]) -> None:
    env, params = envhub.make(env_id, **options)
    result = envhub.evaluate(env, params, policy, KEY, 4)

    def act(key: jax.Array, obs: jax.Array) -> jax.Array:
        return jax.vmap(policy)(jax.random.split(key, 4), obs)

    side_by_side = envhub.rollout(envhub.VectorEnv(env, 4), params, act, KEY, STEPS)
    first = [each for each in episodes(side_by_side, "") if each[0] == 0]
    assert result.lengths.tolist() == [length for _, _, _, length in first]
    assert result.returns.tolist() == [total for _, _, total, _ in first]
    assert len(set(result.lengths.tolist())) > 1


@pytest.mark.slow
def test_over_params() -> None:
    venv, params = envhub.make_vec("gymnax::Pendulum-v1", 3, batched_params=True)
    limits = np.array([3, 5, 7])
    result = envhub.evaluate(venv, params.replace(max_steps_in_episode=limits), None, KEY, 2)
    assert result.lengths.tolist() == [[3, 3], [5, 5], [7, 7]]
    assert result.returns.shape == (3, 2)

    env, params = envhub.make("gymnax::Pendulum-v1")

    @jax.jit
    @jax.vmap
    def inside(limit: jax.Array) -> envhub.Evaluation:
        return envhub.evaluate(env, params.replace(max_steps_in_episode=limit), None, KEY, 2)

    together = inside(limits)
    assert together.lengths.tolist() == [[3, 3], [5, 5], [7, 7]]
    alone = envhub.evaluate(env, params.replace(max_steps_in_episode=5), None, KEY, 2)
    np.testing.assert_allclose(together.returns[1], alone.returns, rtol=1e-5)
    assert len(set(together.returns.ravel().tolist())) == 6


def test_seeds_of_one_live_environment_on_the_host() -> None:
    env, params = envhub.make(HOST, forkable=False)
    keys = jax.random.split(KEY, 2)
    together = jax.vmap(lambda key: envhub.evaluate(env, params, policy, key, 3).lengths)(keys)
    for key, lengths in zip(keys, together.tolist(), strict=True):
        assert envhub.evaluate(env, params, policy, key, 3).lengths.tolist() == lengths


def test_what_has_one_instance_alone_plays_one_after_another() -> None:
    gymnasium = pytest.importorskip("gymnasium")

    class Climb(gymnasium.Env):  # type: ignore[misc]
        """An episode of three steps with rewards 1, 2 and 3."""

        observation_space = gymnasium.spaces.Discrete(4)
        action_space = gymnasium.spaces.Discrete(2)

        def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, Any]:
            self.height = 0
            return 0, {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            assert self.height < 3, "a step beyond the end"
            self.height += 1
            return self.height, float(self.height), self.height == 3, False, {}

    env, params = envhub.wrap(Climb())
    assert not env.capabilities.vmap_safe
    result = envhub.evaluate(env, params, None, KEY, 4)
    assert result.returns.tolist() == [6, 6, 6, 6]
    assert result.lengths.tolist() == [3, 3, 3, 3]


def test_of_several_agents() -> None:
    env = Countdown()
    returns, lengths = envhub.evaluate(env, None, None, KEY, 5)
    n = np.asarray(lengths)
    assert len(set(n.tolist())) > 1
    np.testing.assert_array_equal(returns, np.stack([n * n, n * (n + 1) / 2], axis=-1))


def test_it_compiles_once_for_weights_that_change(caplog: pytest.LogCaptureFixture) -> None:
    env, params = envhub.make(NATIVE)

    def act(weights: jax.Array, key: jax.Array, obs: jax.Array) -> jax.Array:
        return (obs @ weights > 0).astype(jnp.int32)

    def lengths(weights: Any, params: Any) -> Any:
        partial: Any = jax.tree_util.Partial(act, jnp.asarray(weights))  # type: ignore[no-untyped-call]
        return envhub.evaluate(env, params, partial, KEY, 3).lengths.tolist()

    first = lengths([0.1, 0.4, 1.0, 0.8], params)
    changed = params.replace(gravity=5.0)
    again: list[Any] = []
    weights = [0.0, 0.0, 1.0, 0.0]
    assert compiled(caplog, lambda: again.append(lengths(weights, changed))) == []
    assert again[0] != first


@pytest.mark.usefixtures("ctrl_c")
def test_an_evaluation_that_does_not_end_hears_ctrl_c() -> None:
    env, params = envhub.make("gymnax::Pendulum-v1", max_steps_in_episode=2**31 - 1)
    with pytest.raises(KeyboardInterrupt), Presses(1.0):
        envhub.evaluate(env, params, None, KEY, 1)


@pytest.mark.full
@needs_devices(2)
def test_a_batch_over_several_devices() -> None:
    mesh = jax.make_mesh((2,), ("devices",), devices=jax.devices()[:2])
    whole, params = envhub.make_vec(NATIVE, 4)
    split, _ = envhub.make_vec(NATIVE, 4, mesh=mesh)
    one, other = (envhub.evaluate(venv, params, None, KEY, 9) for venv in (whole, split))
    assert one.lengths.tolist() == other.lengths.tolist()


def test_a_number_of_numpy_is_a_number() -> None:
    env, params = envhub.make("gymnax::Pendulum-v1", max_steps_in_episode=3)
    found = envhub.evaluate(env, params, None, jax.random.key(0), np.int64(2))
    assert found.lengths.tolist() == [3, 3]


def test_what_cannot_be_evaluated_is_refused() -> None:
    env, params = envhub.make(NATIVE)
    venv, _ = envhub.make_vec(NATIVE, 2, autoreset=None)
    assert envhub.evaluate(venv, params, None, KEY, 2).lengths.shape == (2,)
    fleet, _ = envhub.make_multi({"pole": NATIVE})
    refused: list[tuple[type[Exception], str, tuple[Any, ...]]] = [
        (errors.InvalidOptionError, 'no AutoReset.*autoreset="same', (venv, params, None, KEY, 3)),
        (errors.InvalidOptionError, "environment or a batch", (NATIVE, params, None, KEY, 3)),
        (errors.InvalidOptionError, "a member of a fleet", (fleet, None, None, KEY, 3)),
        (errors.InvalidOptionError, "policy", (env, params, "random", KEY, 3)),
        (errors.InvalidOptionError, "num_episodes", (env, params, None, KEY, 0)),
        (errors.InvalidOptionError, "num_episodes", (env, params, None, KEY, 2.0)),
        (errors.InvalidKeyError, "key", (env, params, None, 0, 3)),
        (errors.InvalidParamsError, "params", (env, {"g": 1.0}, None, KEY, 3)),
        (errors.InvalidActionError, "action", (env, params, lambda key, obs: obs, KEY, 3)),
    ]
    for error, said, given in refused:
        with pytest.raises(error, match=said):
            envhub.evaluate(*given)
