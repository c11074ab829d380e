"""Wrappers of actions, and of what several steps with one action give."""

from __future__ import annotations

import functools
import inspect
import itertools
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from envhub.environment import StepResult
from envhub.flags import Capabilities
from envhub.wrappers import (
    AutoReset,
    DiscretizeAction,
    FlattenAction,
    MaxAndSkipObservation,
    RepeatAction,
    ScaleReward,
    StickyAction,
    TimeLimit,
)

KEY = jax.random.key(0)
CARTPOLE, PENDULUM = "gymnax::CartPole-v1", "gymnax::Pendulum-v1"
DIFFERENTIABLE = "gymnasium::phys2d/Pendulum-v0"


def made(env_id: str, *wrappers: Any, **options: Any) -> Any:
    return envhub.make(env_id, wrappers=wrappers, **options)[0]


def of_gymnasium(name: str) -> Any:
    if not hasattr(gymnasium.wrappers, name):
        pytest.skip(reason=f"gymnasium {gymnasium.__version__} has no {name}")
    return getattr(gymnasium.wrappers, name)


class Echo(envhub.Environment):
    """Shows the action that it was given."""

    def __init__(self, actions: spaces.Space, num_agents: int = 1) -> None:
        super().__init__(None, None, Capabilities.native())
        self.actions, self.num_agents = actions, num_agents

    def reset_env(self, key: Any, params: Any) -> Any:
        return self.actions.sample(key), jnp.int32(0)

    def step_env(self, key: Any, state: Any, action: Any, params: Any) -> StepResult:
        no = jnp.zeros(self.num_agents, bool)
        return StepResult(action, state, no, no, no, {})

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self.actions

    def action_space(self, params: Any = None) -> spaces.Space:
        return self.actions


def echoed(env: Any, action: Any) -> Any:
    return env.step(KEY, env.reset(KEY)[1], action).obs


def test_scaled_rewards() -> None:
    scaled, plain = made(PENDULUM, ScaleReward(scale=0.25)), made(PENDULUM)
    _, state = plain.reset(KEY)
    action = jnp.array([1.0])
    assert scaled.step(KEY, state, action).reward == plain.step(KEY, state, action).reward / 4
    for bad in ("1", float("nan"), None):
        with pytest.raises(errors.InvalidOptionError, match="scale"):
            made(PENDULUM, ScaleReward(scale=bad))


@pytest.mark.parametrize(("bins", "multidiscrete"), [(4, False), ((3, 5), False), ((3, 5), True)])
def test_bins_are_gymnasiums(bins: Any, multidiscrete: bool) -> None:
    box = spaces.Box(np.array([-1, 0.1], np.float32), np.array([1, 7.3], np.float32))
    inner = gymnasium.Env()
    inner.action_space = spaces.to_gymnasium(box)
    own = of_gymnasium("DiscretizeAction")(inner, bins, multidiscrete)
    env = DiscretizeAction(Echo(box), bins=bins, multidiscrete=multidiscrete)
    space: Any = env.action_space()
    assert type(space).__name__ == type(own.action_space).__name__
    sizes = space.nvec if multidiscrete else [space.n]
    np.testing.assert_array_equal(
        sizes, own.action_space.nvec if multidiscrete else own.action_space.n
    )
    actions = np.array(list(np.ndindex(*sizes)), np.int32)
    shown = jax.vmap(functools.partial(echoed, env))(actions if multidiscrete else actions[:, 0])
    expected = [own.action(action if multidiscrete else action[0]) for action in actions]
    np.testing.assert_allclose(shown, expected, rtol=1e-6, atol=1e-6)
    assert shown.dtype == np.float32


def test_bins_of_actions_of_any_shape_are_played() -> None:
    box = spaces.Box(-1, 1, (2, 2))
    many, one = (DiscretizeAction(Echo(box), bins=2, multidiscrete=each) for each in (True, False))
    centers = [[-0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_array_equal(echoed(many, jnp.array([[0, 1], [1, 1]])), centers)
    np.testing.assert_array_equal(echoed(one, 0b0111), centers)
    np.testing.assert_array_equal(echoed(one, 99), jnp.full((2, 2), 0.5))
    np.testing.assert_array_equal(echoed(FlattenAction(many), 0b0111), centers)
    env = made(PENDULUM, DiscretizeAction(bins=5))
    _, state = env.reset(KEY)
    result, expected = env.step(KEY, state, 1), env.env.step(KEY, state, jnp.array([-0.8]))
    np.testing.assert_allclose(result.obs, expected.obs, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrapper", "given"),
    [
        ("RescaleAction", jnp.array([1.0])),
        ("ClipAction", jnp.array([9.0])),
        ("DiscretizeAction", jnp.int32(4)),
    ],
)
def test_the_bounds_are_those_of_the_params_of_the_call(wrapper: str, given: Any) -> None:
    """They were those of the default params, and a stronger motor gave no more than that."""
    options = {"bins": 5} if wrapper == "DiscretizeAction" else {}
    env = made(PENDULUM, getattr(envhub.wrappers, wrapper)(**options))
    torques = jnp.array([2.0, 5.0, 0.5])
    lanes = jax.vmap(lambda torque: env.default_params.replace(max_torque=torque))(torques)
    _, state = env.reset(KEY)
    share = 0.8 if wrapper == "DiscretizeAction" else 1.0
    batched = jax.vmap(env.step, in_axes=(None, None, None, 0))(KEY, state, given, lanes)
    for torque, obs in zip(torques, batched.obs, strict=True):
        params = env.default_params.replace(max_torque=float(torque))
        expected = env.env.step(KEY, state, jnp.array([share * torque]), params).obs
        np.testing.assert_allclose(env.step(KEY, state, given, params).obs, expected, rtol=1e-5)
        np.testing.assert_allclose(obs, expected, rtol=1e-5)
        inside_jit = jax.jit(lambda params=params: env.step(KEY, state, given, params).obs)
        np.testing.assert_allclose(inside_jit(), expected, rtol=1e-5)


def test_discrete_actions_have_no_gradient() -> None:
    plain = made(DIFFERENTIABLE)
    assert plain.capabilities.differentiable
    env = DiscretizeAction(plain, bins=3)
    assert "integers" in env.capabilities.why("differentiable")


def test_all_actions_are_numbered_in_row_major_order() -> None:
    inner = spaces.MultiDiscrete([[2, 3], [1, 4]], np.int8, start=[[0, 5], [-1, 0]])
    env = FlattenAction(Echo(inner))
    assert env.action_space() == spaces.Discrete(24)
    shown = jax.vmap(functools.partial(echoed, env))(jnp.arange(24))
    expected = np.array(list(np.ndindex(2, 3, 1, 4))).reshape(24, 2, 2) + inner.start
    np.testing.assert_array_equal(shown, expected)
    assert shown.dtype == np.int8


@pytest.mark.parametrize(
    ("env", "wrapper", "message"),
    [
        (Echo(spaces.Box(-1, np.inf, (2,))), DiscretizeAction(bins=3), "finite"),
        (Echo(spaces.Discrete(3)), DiscretizeAction(bins=3), "needs a Box"),
        (Echo(spaces.Box(-1, 1, (2,))), DiscretizeAction(bins=(1, 2, 3)), "or 2 of them"),
        (Echo(spaces.Box(-1, 1, (32,))), DiscretizeAction(bins=2), "int32"),
        (Echo(spaces.Box(-1, 1, (2, 3)), num_agents=2), DiscretizeAction(bins=2), "2 agents"),
        (Echo(spaces.Discrete(3)), FlattenAction, "MultiDiscrete"),
        (Echo(spaces.MultiDiscrete([2**16, 2**15])), FlattenAction, "int32"),
        (Echo(spaces.MultiDiscrete([2, 2]), num_agents=2), FlattenAction, "2 agents"),
        (Echo(spaces.MultiDiscrete([2, 2]), num_agents=2), RepeatAction(num_repeats=2), "agent"),
        (Echo(spaces.Dict({})), MaxAndSkipObservation, "Box"),
    ],
)
def test_what_does_not_fit_is_refused(env: Any, wrapper: Any, message: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=message):
        wrapper(env)


@pytest.mark.parametrize(
    "wrapper",
    [RepeatAction(num_repeats=2), MaxAndSkipObservation, StickyAction(repeat_action_probability=0)],
)
def test_a_reset_inside_is_refused(wrapper: Any) -> None:
    with pytest.raises(errors.InvalidOptionError, match="inside AutoReset"):
        made(CARTPOLE, AutoReset, wrapper)


class Drawn:
    """A generator for Gymnasium's wrapper, which draws what ours draws from a key."""

    key: Any

    def uniform(self) -> float:
        return float(jax.random.uniform(jax.random.split(jax.random.split(self.key)[1])[0]))

    def integers(self, low: int, high: int) -> int:
        key = jax.random.split(jax.random.split(self.key)[1])[1]
        return int(jax.random.randint(key, (), low, high))


@pytest.mark.parametrize("duration", [1, (2, 4)])
def test_actions_stick_as_gymnasiums(duration: Any) -> None:
    kind = gymnasium.wrappers.StickyAction
    options = {"repeat_action_probability": 0.4}
    if duration != 1:
        if "repeat_action_duration" not in inspect.signature(kind).parameters:
            pytest.skip(reason=f"gymnasium {gymnasium.__version__} has no repeat_action_duration")
        options["repeat_action_duration"] = duration
    own = kind(gymnasium.make("CartPole-v1"), **options)
    env = made("gymnasium::CartPole-v1", StickyAction(**options))
    own.reset(seed=envhub.host_seed(KEY))
    own.unwrapped.np_random = drawn = Drawn()  # type: ignore[assignment]
    _, state = env.reset(KEY)
    done, num_ignored = False, 0
    for step in itertools.count():
        drawn.key, action = jax.random.fold_in(KEY, step), step % 2
        result = env.step(drawn.key, state, action)
        obs, _, done, *_ = own.step(action)
        np.testing.assert_allclose(result.obs, obs, rtol=1e-5)
        assert bool(result.terminated) == done
        state = result.state
        num_ignored += int(state.action) != action
        if done:
            break
    assert num_ignored > 3


def test_an_episode_begins_with_the_action_that_is_given() -> None:
    sticky = StickyAction(repeat_action_probability=0.9)
    env = AutoReset(TimeLimit(sticky(Echo(spaces.Discrete(1000))), max_episode_steps=4))
    given = jnp.arange(400)

    def episodes(key: Any) -> Any:
        def body(state: Any, inputs: Any) -> Any:
            result = env.step(inputs[0], state, inputs[1])
            return result.state, result.info["final_obs"]

        start = env.reset(key)[1]
        return jax.lax.scan(body, start, (jax.random.split(key, len(given)), given))[1]

    shown = np.asarray(jax.jit(jax.vmap(episodes))(jax.random.split(KEY, 2)))
    np.testing.assert_array_equal(shown[:, ::4], [given[::4]] * 2)
    is_last = shown[:, 1:] == shown[:, :-1]
    assert (is_last | (shown == given)[:, 1:]).all()
    share = np.delete(is_last, np.s_[3::4], axis=1).mean(1)
    np.testing.assert_allclose(share, 0.9, atol=0.07)
    assert (is_last[0] != is_last[1]).any()


def by_hand(env: Any, key: Any, state: Any, action: Any, num_repeats: int) -> Any:
    """The results of the steps that a repetition takes, until the episode ends."""
    results: list[Any] = []
    for own_key in jax.random.split(key, num_repeats):
        results.append(env.step(own_key, state, action))
        state = results[-1].state
        if results[-1].done:
            break
    return results


def same(one: Any, other: Any) -> None:
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), one, other)


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        (CARTPOLE, {"max_steps_in_episode": 7}),
        ("gymnasium::CartPole-v1", {"max_episode_steps": 7}),
    ],
)
@pytest.mark.parametrize("kind", [RepeatAction, MaxAndSkipObservation])
def test_repeats_are_the_steps_until_the_end(env_id: str, options: Any, kind: Any) -> None:
    plain = made(env_id, **options)
    env = kind(plain, 3)
    obs, state = env.reset(KEY)
    same(obs, plain.reset(KEY)[0])
    for step, count in enumerate((3, 3, 1)):
        key = jax.random.fold_in(KEY, step)
        steps = by_hand(plain, key, state, step % 2, 3)
        assert len(steps) == count
        result = env.step(key, state, step % 2)
        obs = (
            steps[-1].obs
            if kind is RepeatAction
            else np.maximum(*[each.obs for each in (steps * 2)[-2:]])
        )
        reward = sum(each.reward for each in steps)
        visible = steps[-1]._replace(obs=obs, reward=reward, state=None)
        same(result._replace(state=None), visible)
        state = result.state
    assert bool(result.truncated)


@pytest.mark.parametrize("name", ["RepeatAction", "MaxAndSkipObservation"])
def test_repeats_are_gymnasiums(name: str) -> None:
    own = of_gymnasium(name)(gymnasium.make("Acrobot-v1", max_episode_steps=12), 4)
    env = made("gymnasium::Acrobot-v1", max_episode_steps=12)
    env = getattr(envhub.wrappers, name)(env, 4)
    own.reset(seed=envhub.host_seed(KEY))
    _, state = env.reset(KEY)
    for action in (0, 2, 1):
        result = env.step(KEY, state, action)
        obs, reward, terminated, truncated, _ = own.step(action)
        np.testing.assert_allclose(result.obs, obs, rtol=1e-5)
        ends = float(result.reward), bool(result.terminated), bool(result.truncated)
        assert ends == (reward, terminated, truncated)
        state = result.state
    assert truncated


@pytest.mark.parametrize(
    ("env_id", "options", "mode"),
    [
        (CARTPOLE, {}, "same_step"),
        ("gymnasium::CartPole-v1", {}, "next_step"),
        ("gymnasium::CartPole-v1", {"forkable": False}, "same_step"),
    ],
)
def test_repeats_in_nested_lanes(env_id: str, options: Any, mode: Any) -> None:
    inside = [TimeLimit(max_episode_steps=10), RepeatAction(num_repeats=4)]
    env = made(env_id, *inside, autoreset=mode, **options)
    actions = jnp.array([0, 1, 1, 0, 1, 0, 0, 1, 1])

    def episodes(key: Any) -> Any:
        def body(state: Any, inputs: Any) -> Any:
            result = env.step(inputs[0], state, inputs[1])
            return result.state, result._replace(state=None)

        start = env.reset(key)[1]
        return jax.lax.scan(body, start, (jax.random.split(key, len(actions)), actions))[1]

    keys = jax.random.split(KEY, (2, 2))
    results = jax.jit(jax.vmap(jax.vmap(episodes)))(keys)
    same(jax.tree.map(lambda leaf: leaf[1, 0], results), jax.jit(episodes)(keys[1, 0]))
    lengths = np.unique(results.reward)
    assert set(lengths) >= {2, 4}, "ended by the limit, and went on"


@pytest.mark.parametrize("num_lanes", [None, 3])
def test_repeats_take_no_step_beyond_the_end(num_lanes: Any) -> None:
    # The limit is none of the suite's, whose instances would go on.
    inside = [TimeLimit(max_episode_steps=2), RepeatAction(num_repeats=50)]
    env = made("gymnasium::CartPole-v1", *inside, forkable=False)
    host = env.env.env
    reset, step = env.reset, env.step
    keys = KEY if num_lanes is None else jax.random.split(KEY, num_lanes)
    if num_lanes:
        reset, step = jax.vmap(reset), jax.vmap(step, in_axes=(0, 0, None))
    _, state = reset(keys)
    before = host.counts.steps
    result = step(keys, state, 1)
    assert result.truncated.all()
    assert host.counts.steps - before == 2 * (num_lanes or 1)
    assert not step(keys, result.state, 0).terminated.any()


def test_gradients_flow_through_all_repeats() -> None:
    plain = made(DIFFERENTIABLE)
    env = RepeatAction(TimeLimit(plain, max_episode_steps=5), num_repeats=3)
    _, start = env.reset(KEY)

    def repeated(action: Any) -> Any:
        result = env.step(KEY, env.step(KEY, start, action).state, action)
        return result.obs.sum() + result.reward

    def stepped(action: Any) -> Any:
        state, rewards = start.env, []
        for _ in range(5):
            result = plain.step(KEY, state, action)
            state, rewards = result.state, [*rewards, result.reward]
        return result.obs.sum() + sum(rewards[3:])

    action = jnp.array([0.3])
    expected = jax.jit(jax.grad(stepped))(action)
    assert expected.any()
    np.testing.assert_allclose(jax.jit(jax.grad(repeated))(action), expected, rtol=1e-4)
    of_lanes = jax.jit(jax.vmap(jax.grad(repeated)))(jnp.stack([action, action]))
    np.testing.assert_allclose(of_lanes, [expected, expected], rtol=1e-4)
