"""`to_sb3`: a batch as a `VecEnv` of Stable-Baselines3, in the hands of its own programs."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.export import to_gymnasium, to_sb3
from envhub.wrappers import RecordEpisodeStatistics
from tests.packages import needed
from tests.test_forks import in_a_fork

sb3 = needed("stable_baselines3")
torch = needed("torch")
vec_env = needed("stable_baselines3.common.vec_env")
evaluation = needed("stable_baselines3.common.evaluation")
NUM = 3
CARTPOLE = "gymnax::CartPole-v1"


def made(env_id: str = CARTPOLE, num_envs: int = NUM, **options: Any) -> Any:
    venv, params = envhub.make_vec(env_id, num_envs, **options)
    return to_sb3(venv, params, seed=0)


def actions(step: int) -> Any:
    """Such that episodes end at different times."""
    return np.array([0, 1, step % 2])


def test_steps_have_the_form_of_its_own() -> None:
    one, params = envhub.make(CARTPOLE, max_steps_in_episode=12)
    theirs = vec_env.DummyVecEnv([lambda: to_gymnasium(one, params) for _ in range(NUM)])
    ours = made(max_steps_in_episode=12)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space

    def form(value: Any) -> Any:
        return np.asarray(value).dtype, np.shape(value)

    def forms(env: Any) -> dict[Any, Any]:
        env.seed(3)
        seen, obs = {}, env.reset()
        for step in range(12):
            found = *arrays, infos = env.step(actions(step))
            assert form(arrays[0]) == form(obs)
            for done, info in zip(found[2], infos, strict=True):
                shown = {name: form(value) for name, value in sorted(info.items())}
                seen[bool(done), info["TimeLimit.truncated"]] = list(map(form, arrays)), shown
        return seen

    found = forms(ours)
    assert found == forms(theirs)
    assert set(found) == {(False, False), (True, False), (True, True)}


def test_an_episode_is_that_of_the_batch() -> None:
    """Its seed too, and the last observation and info of each episode."""
    venv, params = envhub.make_vec(CARTPOLE, NUM, wrappers=[RecordEpisodeStatistics])
    env = to_sb3(venv, params)
    assert env.seed(5) == [5, 6, 7]
    obs = env.reset()
    key, used = jax.random.split(jax.random.key(5))
    expected, state = venv.reset(used, params)
    np.testing.assert_array_equal(obs, expected)
    ended = 0
    for step in range(15):
        key, used = jax.random.split(key)
        result = venv.step(used, state, actions(step), params)
        state = result.state
        obs, reward, dones, infos = env.step(actions(step))
        np.testing.assert_array_equal(obs, result.obs)
        np.testing.assert_array_equal(reward, result.reward)
        np.testing.assert_array_equal(dones, result.done)
        for lane, info in enumerate(infos):
            assert ("terminal_observation" in info) == ("episode" in info) == dones[lane]
            if dones[lane]:
                ended += 1
                last = result.info["final_obs"][lane]
                np.testing.assert_array_equal(info["terminal_observation"], last)
                assert info["episode"]["l"] == result.info["episode"]["l"][lane]
    assert ended >= 2
    np.testing.assert_array_equal(env.get_attr("state", 1)[0].env.x, state.env.x[1])


def test_attributes_and_methods_are_those_of_each_environment() -> None:
    venv, params = envhub.make_vec(CARTPOLE, NUM, batched_params=True)
    env = to_sb3(venv, params.replace(gravity=np.arange(3.0)), render_mode="rgb_array")
    env.reset()
    assert [each.gravity for each in env.get_attr("params")] == [0, 1, 2]
    assert env.get_attr("spec", [0, 2]) == [venv.spec] * 2
    assert env.env_method("episode_limit", params, indices=1) == [500]
    assert env.has_attr("capabilities")
    assert not env.has_attr("nothing")
    assert env.env_is_wrapped(RecordEpisodeStatistics) == [False] * NUM
    images = env.env_method("render")
    assert len(images) == NUM
    height, width, _ = images[0].shape
    assert env.render().shape == (2 * height, 2 * width, 3)
    with pytest.raises(errors.InvalidOptionError, match="params"):
        env.set_attr("gravity", 9)


def test_what_would_be_dropped_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"envhub\.make_vec"):
        to_sb3(*envhub.make(CARTPOLE))
    for mode in (None, "next_step"):
        with pytest.raises(errors.InvalidOptionError, match='autoreset="same_step"'):
            made(autoreset=mode)
    env = made()
    with pytest.raises(needed("gymnasium").error.ResetNeeded):
        env.step(actions(0))
    for options in ({"low": 0}, [{}, {"low": 0}, {}]):
        with pytest.raises(errors.InvalidOptionError, match="'low'"):
            env.set_options(options)
    env.set_options({})
    env.reset()
    before = env.driver.state
    for wrong in (np.array([0, 1, 2]), np.zeros(3), np.zeros((3, 1), int)):
        with pytest.raises(errors.InvalidActionError):
            env.step(wrong)
    assert env.driver.state is before
    swing = to_sb3(*envhub.make_vec("gymnax::Pendulum-v1", 2), seed=0)
    swing.reset()
    for wrong in (np.ones((2, 1), complex), np.array([["1"], ["1"]]), np.ones((2, 1), bool)):
        with pytest.raises(errors.InvalidActionError, match="dtype"):
            swing.step(wrong)
    swing.step(jnp.ones((2, 1), jnp.bfloat16))


def test_a_seed_is_an_integer() -> None:
    given = envhub.make_vec(CARTPOLE, NUM)
    wrong: Any
    for wrong in ("7", 1.5):
        with pytest.raises(errors.InvalidOptionError, match="seed must be an integer"):
            to_sb3(*given, seed=wrong)
    found, expected = (to_sb3(*given, seed=seed).reset() for seed in (np.int64(7), 7))
    np.testing.assert_array_equal(found, expected)


def test_params_are_not_traced() -> None:
    venv, params = envhub.make_vec(CARTPOLE, 3)
    with pytest.raises(errors.InvalidParamsError, match="outside of jit"):
        jax.jit(lambda params: to_sb3(venv, params).reset())(params)


def test_it_travels_and_goes_on_by_itself() -> None:
    env = made()
    env.reset()
    env.step(actions(0))
    other = pickle.loads(pickle.dumps(env))
    for step in range(12):
        expected = env.step(actions(step))
        for one, another in zip(other.step(actions(step))[:3], expected, strict=False):
            np.testing.assert_array_equal(one, another)
    np.testing.assert_array_equal(other.get_attr("state")[0].x, env.get_attr("state")[0].x)


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_a_fork_is_told_to_spawn() -> None:
    env = made()
    env.reset()
    for call in (env.reset, lambda: env.step(actions(0))):
        assert "spawn" in in_a_fork(call)


def test_its_wrappers_and_its_evaluation_take_it() -> None:
    venv, params = envhub.make_vec(CARTPOLE, NUM, max_steps_in_episode=20)
    env = vec_env.VecNormalize(vec_env.VecMonitor(to_sb3(venv, params, seed=0)))
    model = sb3.PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, seed=0, device="cpu")
    model.learn(NUM * 32)
    assert model.ep_info_buffer
    assert all(0 < episode["l"] <= 20 for episode in model.ep_info_buffer)
    assert 1 < env.obs_rms.count < NUM * 64
    returns, lengths = evaluation.evaluate_policy(
        model, env, n_eval_episodes=5, return_episode_rewards=True
    )
    assert len(returns) == 5
    np.testing.assert_array_equal(np.round(returns), lengths)


def trained(name: str, env_id: str, steps: int, num_envs: int, **options: Any) -> tuple[Any, Any]:
    """Mean returns of ten episodes before, when it acts by chance, and after."""
    torch.set_num_threads(1)  # the networks are small: two threads wait for each other
    env = vec_env.VecMonitor(made(env_id, num_envs))
    policy = {"net_arch": [64, 64]}
    model = getattr(sb3, name)(
        "MlpPolicy", env, seed=0, device="cpu", policy_kwargs=policy, **options
    )
    evaluate = functools.partial(
        evaluation.evaluate_policy, model, env, n_eval_episodes=10, deterministic=False
    )
    before, _ = evaluate()
    model.learn(steps)
    return before, evaluate()[0]


@pytest.mark.full
def test_ppo_learns() -> None:
    before, after = trained(
        "PPO", CARTPOLE, 16_000, 16, n_steps=32, batch_size=256, n_epochs=10, learning_rate=1e-3,
        gae_lambda=0.8, gamma=0.98,
    )  # fmt: skip
    assert before < 50
    assert after > 100


@pytest.mark.full
def test_dqn_learns() -> None:
    before, after = trained(
        "DQN", CARTPOLE, 12_000, 8, learning_rate=1e-3, batch_size=64, learning_starts=1000,
        gamma=0.99, target_update_interval=500, train_freq=4, gradient_steps=16,
        exploration_fraction=0.2, exploration_final_eps=0.04,
    )  # fmt: skip
    assert before < 50
    assert after > 130


@pytest.mark.full
def test_sac_learns() -> None:
    before, after = trained(
        "SAC", "gymnax::Pendulum-v1", 8_000, 8, learning_rate=3e-3, batch_size=128,
        learning_starts=800, gradient_steps=4, train_freq=1,
    )  # fmt: skip
    assert before < -800
    assert after > -500
