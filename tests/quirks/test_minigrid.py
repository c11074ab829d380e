"""Text in observations: MiniGrid by its id."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, spaces
from tests.packages import needed

minigrid = needed("minigrid")
EMPTY = "gymnasium::minigrid:MiniGrid-Empty-5x5-v0"
KEY = jax.random.key(0)


def test_minigrid_is_made_by_its_id_and_its_mission_is_text() -> None:
    import gymnasium

    env, params = envhub.make(EMPTY)
    assert isinstance(env.observation_space()["mission"], spaces.Text)
    obs, state = env.reset(KEY, params)
    own = gymnasium.make("MiniGrid-Empty-5x5-v0")
    expected, _ = own.reset(seed=envhub.host_seed(KEY))
    for action in (2, 1, 2):
        assert spaces.decode_text(obs["mission"]) == expected["mission"]
        assert (np.asarray(obs["image"]) == expected["image"]).all()
        assert obs["direction"] == expected["direction"]
        result = env.step(KEY, state, action, params)
        obs, state = result.obs, result.state
        expected, *_ = own.step(action)
    assert env.observation_space().contains(obs)
    batch = envhub.VectorEnv(env, 2)
    seen = envhub.rollout(batch, params, None, KEY, 3)
    assert seen.obs["mission"].shape == (3, 2, 256)


def test_some_entries_of_an_observation_are_kept() -> None:
    env, params = envhub.make(EMPTY, keep=["image", "direction"])
    assert set(env.reset(KEY, params)[0]) == {"image", "direction"} == set(env.observation_space())
    for wrong in (["picture"], [], "image"):
        with pytest.raises(errors.InvalidOptionError, match="keep must be a list of entries"):
            envhub.make(EMPTY, keep=wrong)
    with pytest.raises(errors.InvalidOptionError, match="keep"):
        envhub.make("gymnasium::CartPole-v1", keep=["image"])
