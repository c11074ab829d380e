"""TorchRL takes what `to_gymnasium` and `to_gymnasium_vec` give, without glue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import envhub
from envhub.export import to_gymnasium, to_gymnasium_vec
from tests.packages import needed

torch = needed("torch")
needed("torchrl")
envs = needed("torchrl.envs")
NUM = 3
IDS = ["gymnax::CartPole-v1", "gymnax::Pendulum-v1"]


@pytest.mark.parametrize("env_id", IDS)
def test_one_passes_its_check(env_id: str) -> None:
    exported = to_gymnasium(*envhub.make(env_id), seed=0)
    envs.check_env_specs(envs.GymWrapper(exported))


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
