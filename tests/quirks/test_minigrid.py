"""Text in observations: MiniGrid by its id."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, registry, spaces
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


# The suite of its own.


def test_the_short_id_is_the_long_one() -> None:
    short, params = envhub.make("minigrid::MiniGrid-Empty-5x5-v0")
    long, _ = envhub.make(EMPTY)
    assert (short.spec.distribution, short.spec.version) == ("minigrid", minigrid.__version__)
    obs, state = short.reset(KEY, params)
    same, other = long.reset(KEY, params)
    for action in (2, 1, 2):
        assert jax.tree.all(jax.tree.map(np.array_equal, obs, same))
        result = short.step(KEY, state, action, params)
        obs, state = result.obs, result.state
        again = long.step(KEY, other, action, params)
        same, other = again.obs, again.state
        assert (result.reward, result.terminated) == (again.reward, again.terminated)


def test_the_names_are_those_that_the_package_registers() -> None:
    suite = registry.get("minigrid")
    assert sorted(suite.live_names()) == sorted(suite.known_names())
    assert {suite.family(name) for name in suite.known_names()} >= {"BabyAI", "EmptyEnv"}


@pytest.mark.slow
def test_replays_are_claimed_and_have_room_for_a_whole_episode() -> None:
    name = "minigrid::MiniGrid-Empty-16x16-v0"
    assert envhub.capabilities(name, forkable=True).how("forkable").startswith("by replay")
    env, params = envhub.make(name, forkable=True)
    assert "a snapshot takes 1,032 bytes" in env.capabilities.how("forkable")
    assert env.unwrapped.max_steps == 1024
    few, _ = envhub.make(name, forkable=True, replay_steps=50)
    assert "a snapshot takes 58 bytes" in few.capabilities.how("forkable")
    _, state = env.reset(KEY, params)
    left, right = (env.step(KEY, state, action, params) for action in (0, 1))
    again = env.step(KEY, state, 0, params)
    assert left.obs["direction"] == again.obs["direction"] != right.obs["direction"]


def test_the_longest_episodes_fit_their_logs() -> None:
    """Each level says how long an episode may be, some at each reset."""
    import gymnasium

    suite = registry.get("minigrid")
    for name in suite.known_names():
        if suite.gap(name, {}) or name.startswith("BabyAI"):
            continue
        env = gymnasium.make(name, disable_env_checker=True)
        room = next((n for start, n in suite.longest.items() if name.startswith(start)), 1000)
        assert env.unwrapped.max_steps <= room, name
    level = gymnasium.make("BabyAI-BossLevel-v0", disable_env_checker=True).unwrapped
    assert 8 * level.room_size**2 * level.num_rows * level.num_cols == suite.longest["BabyAI-"]


@pytest.mark.parametrize("workers", ["serial", "thread"])
def test_what_babyai_prints_stays_off_the_terminal(
    workers: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    env, params = envhub.make_vec("minigrid::BabyAI-GoToSeq-v0", 4, workers=workers)
    with caplog.at_level("DEBUG", "envhub"):
        for seed in range(5):
            env.reset(jax.random.key(seed), params)
    assert "rejected" in caplog.text
    assert capfd.readouterr().out == ""


def test_what_lacks_its_pictures_is_a_gap() -> None:
    with pytest.raises(errors.UnavailableEnvError, match="lacks the pictures"):
        envhub.make("minigrid::MiniGrid-WFC-MazeSimple-v0")
