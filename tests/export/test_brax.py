"""`to_brax`: brax's interface, as its training drives it."""

from __future__ import annotations

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry, spaces
from envhub.export import to_brax
from envhub.wrappers import FlattenObservation, RecordEpisodeStatistics, TransformAction
from tests.packages import needed
from tests.test_forks import in_a_fork

needed("brax")
KEY = jax.random.PRNGKey(0)
PENDULUM = "gymnax::Pendulum-v1"


@pytest.fixture(scope="module")
def training() -> Any:
    return registry.get("brax").load("envs.wrappers.training")


def test_a_step_is_that_of_the_environment() -> None:
    inside, params = envhub.make(PENDULUM, wrappers=[RecordEpisodeStatistics])
    env = to_brax(inside, params.replace(max_steps_in_episode=2))
    assert isinstance(env, registry.get("brax").load("envs.base").Env)
    assert (env.observation_size, env.action_size, env.backend) == (3, 1, "envhub")
    key, reset_key = jax.random.split(KEY)
    obs, inner = inside.reset(reset_key, params)
    state = jax.jit(env.reset)(KEY)
    np.testing.assert_array_equal(state.obs, obs)
    space = inside.action_space(params)
    for step in range(1, 3):
        key, step_key = jax.random.split(key)
        result = inside.step(step_key, inner, 0.5 * space.high, params)
        after = jax.jit(env.step)(state, jnp.array([0.5]))
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
        state, inner = after, result.state
        np.testing.assert_array_equal(state.obs, result.obs)
        assert state.reward == result.reward
        assert state.metrics["episode/l"] == step
        assert state.done == state.info["truncation"] == (step == 2)
        assert state.done.dtype == state.reward.dtype == jnp.float32


def test_it_works_under_the_wrappers_of_braxs_training(training: Any) -> None:
    env = training.wrap(to_brax(*envhub.make(PENDULUM)), episode_length=4)

    def body(state: Any, _: Any) -> Any:
        after = env.step(state, jnp.ones((2, 1)))
        return after, (after.obs, after.done, after.info["truncation"])

    start = env.reset(jax.random.split(KEY, 2))
    _, (obs, done, truncation) = jax.lax.scan(body, start, None, 9)
    expected = [step % 4 == 0 for step in range(1, 10)]
    np.testing.assert_array_equal(done, np.stack([expected] * 2, axis=1))
    np.testing.assert_array_equal(truncation, done)
    np.testing.assert_array_equal(obs[3], start.obs)
    np.testing.assert_array_equal(obs[7], start.obs)


@pytest.mark.parametrize("repeat", [1, 2])
@pytest.mark.parametrize("length", [3, 5, 50], ids="limit {}".format)
@pytest.mark.parametrize("name", [PENDULUM, "gymnasium::Pendulum-v1"])
def test_the_lower_limit_ends_the_episode(
    training: Any, name: str, length: int, repeat: int
) -> None:
    """Whole episodes of an environment whose own limit is 5."""
    limit = {"max_episode_steps" if "gymnasium" in name else "max_steps_in_episode": 5}
    own = to_brax(*envhub.make(name, **limit))
    env = training.EvalWrapper(training.wrap(own, episode_length=length, action_repeat=repeat))
    state, step = env.reset(jax.random.split(KEY, 2)), jax.jit(env.step)
    start, rewards = state.obs, []
    turns = -(-min(length, 5) // repeat)
    for turn in range(1, 2 * turns + 1):
        before, state = state, step(state, jnp.ones((2, 1)))
        rewards.append(state.reward)
        is_end = turn % turns == 0
        assert (state.done == is_end).all()
        assert (state.info["truncation"] == is_end).all()
        assert (state.obs == start).all() if is_end else (state.obs != before.obs).any()
        lengths = state.info["eval_metrics"].episode_steps
        counted = min(turn, turns) * repeat
        assert (lengths == (np.inf if turn >= turns and length - repeat > 5 else counted)).all()
    np.testing.assert_array_equal(rewards[:turns], rewards[turns:])
    assert np.all(rewards)


def test_after_the_end_an_action_is_not_repeated(training: Any) -> None:
    """Neither at the environment's own limit, nor after a termination."""
    pole = FlattenObservation(envhub.make("gymnax::CartPole-v1")[0])
    cart = TransformAction(pole, jnp.argmax, spaces.Box(-1, 1, (2,)))
    swing, params = envhub.make(PENDULUM, max_steps_in_episode=3)
    for inside, given, action in [(cart, None, [-1.0, 1.0]), (swing, params, [1.0])]:
        own = to_brax(inside, given)
        bare, rewards = own.reset(KEY), [jnp.float32(0)]
        bare_step = jax.jit(own.step)
        while not bare.done:
            bare = bare_step(bare, jnp.array(action))
            rewards.append(bare.reward)
        env = training.AutoResetWrapper(training.EpisodeWrapper(own, 500, len(rewards) + 2))
        after = jax.jit(env.step)(env.reset(KEY), jnp.array(action))
        assert after.done == 1
        assert after.info["truncation"] == bare.info["truncation"] == (inside is swing)
        np.testing.assert_allclose(after.reward, np.sum(rewards), rtol=1e-6)


def test_a_host_environment_goes_back_to_its_first_state(training: Any) -> None:
    env = training.wrap(to_brax(*envhub.make("gymnasium::Pendulum-v1")), episode_length=3)
    start = env.reset(jax.random.split(KEY, 2))
    state, step = start, jax.jit(env.step)
    seen = []
    for _ in range(6):
        state = step(state, jnp.zeros((2, 1)))
        seen.append(state.obs)
    np.testing.assert_array_equal(seen[2], start.obs)
    np.testing.assert_array_equal(seen[3], seen[0])


def test_termination_is_the_end() -> None:
    inside, params = envhub.make("gymnax::CartPole-v1")
    continuous = TransformAction(inside, jnp.argmax, spaces.Box(-1, 1, (2,)))
    env = to_brax(continuous, params)
    state = env.reset(KEY)
    step = jax.jit(env.step)
    for _ in range(15):
        state = step(state, jnp.array([-1.0, 1.0]))
        if state.done:
            break
    assert state.done == 1
    assert state.info["truncation"] == 0


def test_what_brax_has_no_form_for_is_refused() -> None:
    inside, params = envhub.make("gymnax::CartPole-v1")
    with pytest.raises(errors.InvalidOptionError, match="TransformAction"):
        to_brax(inside, params)
    pixels, params = envhub.make("gymnax::Catch-bsuite")
    continuous = TransformAction(pixels, jnp.argmax, spaces.Box(-1, 1, (3,)))
    with pytest.raises(errors.InvalidOptionError, match="FlattenObservation"):
        to_brax(continuous, params)
    assert to_brax(FlattenObservation(continuous), params).observation_size == 50
    with pytest.raises(errors.MissingCapabilityError, match="forkable"):
        to_brax(*envhub.make("gymnasium::Pendulum-v1", forkable=False))


def trained(environment: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Train with brax's PPO for a moment, and return the policy and what it measured."""
    seen: list[dict[str, Any]] = []
    make_policy, found, _ = (
        registry.get("brax")
        .load("training.agents.ppo.train")
        .train(
            environment=environment,
            num_timesteps=2000,
            max_devices_per_host=1,
            episode_length=50,
            num_envs=8,
            batch_size=8,
            num_minibatches=2,
            unroll_length=10,
            num_updates_per_batch=1,
            num_evals=2,
            num_eval_envs=4,
            normalize_observations=True,
            progress_fn=lambda step, metrics: seen.append(metrics),
        )
    )
    return make_policy(found), seen


def check_trained() -> None:
    policy, seen = trained(to_brax(*envhub.make(PENDULUM)))
    assert len(seen) == 2
    assert all(np.isfinite(each["eval/episode_reward"]) for each in seen)
    assert seen[-1]["eval/avg_episode_length"] == 50
    assert policy(jnp.zeros(3), KEY)[0].shape == (1,)


def test_brax_trains_on_it_where_it_trains_at_all() -> None:
    """As `docs/trainers.md` says of jax 0.10.2 and newer, and of those that have the function."""
    is_lost = not hasattr(jax, "device_put_replicated")
    assert is_lost == (jax.__version_info__ >= (0, 10, 2))
    if not is_lost:
        check_trained()
        return
    own = registry.get("brax").load("envs").get_environment("fast")
    for environment in (own, to_brax(*envhub.make(PENDULUM))):
        with pytest.raises(AttributeError, match="device_put_replicated"):
            trained(environment)


def test_keys_and_actions_are_those_of_one_environment() -> None:
    env = to_brax(*envhub.make(PENDULUM))
    for wrong in (0, jax.random.split(KEY, 2)):
        with pytest.raises(errors.InvalidKeyError, match="one PRNG key"):
            env.reset(wrong)
    state = env.reset(KEY)
    for wrong in (jnp.ones(2), jnp.ones((2, 1))):
        with pytest.raises(errors.InvalidActionError, match=r"has 1 numbers.*vmap"):
            env.step(state, wrong)
    np.testing.assert_array_equal(env.step(state, 0.5).obs, env.step(state, jnp.array([0.5])).obs)


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_it_travels_and_a_fork_is_told_to_spawn() -> None:
    env = to_brax(*envhub.make(PENDULUM))
    again, state = pickle.loads(pickle.dumps(env)), env.reset(KEY)
    np.testing.assert_array_equal(again.reset(KEY).obs, state.obs)
    for call in (lambda: env.reset(KEY), lambda: env.step(state, 0.5)):
        assert "spawn" in in_a_fork(call)


@pytest.mark.full
def test_brax_trains_on_it_with_what_jax_has_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(jax, "device_put_replicated"):  # gone from jax 0.10.2, and brax 0.14.2 calls it

        def replicated(tree: Any, devices: Any) -> Any:
            assert len(devices) == 1
            return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], tree)

        monkeypatch.setattr(jax, "device_put_replicated", replicated, raising=False)
    check_trained()
