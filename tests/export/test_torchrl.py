"""TorchRL takes what `to_torchrl`, `to_gymnasium` and `to_gymnasium_vec` give, without glue."""

from __future__ import annotations

import pickle
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors
from envhub.export import to_gymnasium, to_gymnasium_vec, to_torchrl
from envhub.wrappers import FlattenObservation
from tests.packages import needed
from tests.test_forks import in_a_fork

torch = needed("torch")
needed("torchrl")
envs = needed("torchrl.envs")
NUM = 3
IDS = ["gymnax::CartPole-v1", "gymnax::Pendulum-v1"]


@pytest.mark.parametrize("env_id", IDS)
def test_one_passes_its_check(env_id: str) -> None:
    exported = to_gymnasium(*envhub.make(env_id), seed=0)
    envs.check_env_specs(envs.GymWrapper(exported))
    envs.check_env_specs(envs.GymEnv(f"envhub.gym:{env_id.replace('::', '/')}"))


@pytest.mark.parametrize("mode", ["same_step", None])
@pytest.mark.parametrize("array", ["numpy", "torch"])
@pytest.mark.parametrize("env_id", IDS)
def test_a_batch_passes_its_check(env_id: str, array: Any, mode: Any) -> None:
    venv, params = envhub.make_vec(env_id, NUM, autoreset=mode)
    env = envs.GymWrapper(to_gymnasium_vec(venv, params, seed=0, array=array))
    envs.check_env_specs(env)


@pytest.mark.parametrize("array", ["numpy", "torch"])
def test_a_rollout_has_the_last_observation_of_each_episode(array: Any) -> None:
    """An episode's last observation is where it fell, and the next step starts at the middle."""
    venv, params = envhub.make_vec(IDS[0], NUM)
    env = envs.GymWrapper(to_gymnasium_vec(venv, params, seed=0, array=array))
    torch.manual_seed(0)
    seen = env.rollout(60, break_when_any_done=False)
    done = seen["next", "done"][:, :-1, 0]
    assert done.sum() >= NUM
    assert torch.equal(seen["next", "truncated"].any(), torch.tensor(False))
    fell = seen["next", "observation"][:, :-1][done]
    assert ((fell[:, 0].abs() > 2.4) | (fell[:, 2].abs() > 0.2)).all()
    first = seen["observation"][:, 1:][done]
    assert (first.abs() <= 0.05).all()
    np.testing.assert_array_equal(seen["next", "observation"][:, :-1][~done],
                                  seen["observation"][:, 1:][~done])  # fmt: skip


def made(env_id: str = IDS[0], **options: Any) -> Any:
    venv, params = envhub.make_vec(env_id, NUM, **options)
    return to_torchrl(venv, params, seed=0)


def stepped(env: Any, last: Any, action: Any) -> tuple[Any, Any]:
    """The step, and where the next one begins."""
    return env.step_and_maybe_reset(last.set("action", torch.as_tensor(action)))


@pytest.mark.parametrize("env_id", [*IDS, "jumanji::Game2048-v1"])
def test_its_own_environment_passes_its_check(env_id: str) -> None:
    env = made(env_id)
    envs.check_env_specs(env)
    assert env.batch_size == (NUM,)
    assert env.action_spec.rand().dtype == (torch.float32 if "Pend" in env_id else torch.int64)


def test_entries_of_an_observation_keep_their_names() -> None:
    seen = made("jumanji::Game2048-v1").rollout(2)
    assert seen["board"].shape == (NUM, 2, 4, 4)
    assert seen["next", "action_mask"].dtype == torch.bool


def test_an_episode_is_that_of_the_batch() -> None:
    """Its seed too, and the last observation of each episode, at a limit and before it."""
    venv, params = envhub.make_vec(IDS[0], NUM, max_steps_in_episode=12)
    env = to_torchrl(venv, params)
    env.set_seed(5)
    last = env.reset()
    key, used = jax.random.split(jax.random.key(5))
    obs, state = venv.reset(used, params)
    step, ends = jax.jit(venv.step), np.zeros(2, int)
    for count in range(24):
        np.testing.assert_array_equal(last["observation"], obs)
        assert not last["done"].any()
        key, used = jax.random.split(key)
        action = np.array([0, 1, count % 2])
        obs, state, reward, terminated, truncated, info = step(used, state, action, params)
        seen, last = stepped(env, last, action)
        np.testing.assert_array_equal(seen["next", "observation"], info["final_obs"])
        expected = {"reward": reward, "terminated": terminated, "truncated": truncated}
        for name, value in {**expected, "done": terminated | truncated}.items():
            np.testing.assert_array_equal(seen["next", name][:, 0], value)
        ends += terminated.sum(), truncated.sum()
    assert (ends > 0).all()


def test_some_lanes_are_reset_in_the_middle_of_their_episodes() -> None:
    env = made()
    seen, last = stepped(env, env.reset(), [1] * NUM)
    for _ in range(4):
        seen, last = stepped(env, last, [1] * NUM)
    assert not seen["next", "done"].any()
    mask = torch.tensor([[True], [False], [False]])
    after = env.reset(last.clone().set("_reset", mask))
    assert (after["observation"][0].abs() <= 0.05).all()
    assert torch.equal(after["observation"][1:], last["observation"][1:])
    seen, _ = stepped(env, after, [1] * NUM)
    moved = (seen["next", "observation"] - after["observation"]).abs()
    assert (moved < 0.5).all(), "each lane goes on from what was shown"
    again = env.reset()
    assert (again["observation"].abs() <= 0.05).all()


@pytest.mark.filterwarnings("ignore:.*fork")  # of Python and JAX, which only warn
def test_a_copy_goes_on_alone() -> None:
    env = made()
    last = env.reset()
    copied = pickle.loads(pickle.dumps(env))
    for count in range(15):
        action = [0, 1, count % 2]
        expected, after = stepped(env, last.clone(), action)
        found, last = stepped(copied, last, action)
        assert torch.equal(found["next", "observation"], expected["next", "observation"])
        assert torch.equal(last["observation"], after["observation"])
    for call in (env.reset, lambda: stepped(env, last, action)):
        assert "spawn" in in_a_fork(call)


def test_what_it_refuses() -> None:
    with pytest.raises(errors.InvalidOptionError, match='autoreset="same_step"'):
        made(autoreset=None)
    with pytest.raises(errors.InvalidOptionError, match="FlattenObservation"):
        made("gymnasium::Blackjack-v1")
    envs.check_env_specs(made("gymnasium::Blackjack-v1", wrappers=[FlattenObservation]))
    env = made()
    with pytest.raises(errors.InvalidStateError, match="call reset first"):
        env.step(env.fake_tensordict())
