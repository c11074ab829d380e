"""What is peculiar to jumanji."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from tests.packages import needed

needed("jumanji")
TOY = {"generator": "ToyGenerator"}


def test_observations_are_dicts_with_the_names_of_jumanjis_fields() -> None:
    env, params = envhub.make("jumanji::Game2048-v1")
    obs, state = env.reset(jax.random.key(0), params)
    _, timestep = env.unwrapped.reset(jax.random.key(0))
    assert set(obs) == {"board", "action_mask"} == set(env.observation_space(params))
    assert jnp.array_equal(obs["board"], timestep.observation.board)
    result = env.step(jax.random.key(1), state, 0, params)
    assert result.info["highest_tile"] == 2 ** result.obs["board"].max()


def test_a_time_limit_truncates_whatever_discount_jumanji_gives_it() -> None:
    env, params = envhub.make("jumanji::Snake-v1", time_limit=1)
    obs, state = env.reset(jax.random.key(0), params)
    cut = env.step(jax.random.key(1), state, jnp.argmax(obs["action_mask"]), params)
    assert (bool(cut.terminated), bool(cut.truncated)) == (False, True)
    space = env.observation_space(params)
    assert cut.obs["step_count"] == 1
    assert space.contains(cut.obs)
    assert not space.contains({**cut.obs, "step_count": jnp.int32(2)})
    for _ in range(12):  # straight on, into the wall
        ended = env.step(jax.random.key(1), state, 0, params.replace(time_limit=100))
        if ended.done:
            break
        state = ended.state
    assert (bool(ended.terminated), bool(ended.truncated)) == (True, False)


def test_each_agent_sees_what_all_share_and_has_a_reward() -> None:
    env, params = envhub.make("jumanji::LevelBasedForaging-v0", time_limit=1)
    assert env.num_agents == 2
    obs, state = env.reset(jax.random.key(0), params)
    assert jax.tree.map(jnp.shape, obs) == {
        "agents_view": (2, 12),
        "action_mask": (2, 6),
        "step_count": (2,),
    }
    space = env.observation_space(params)
    result = env.step(jax.random.key(1), state, jnp.zeros(2, int), params)
    assert space.contains(result.obs)
    assert result.reward.shape == (2,)
    assert result.truncated.tolist() == [True, True]
    assert result.terminated.tolist() == [False, False]


@pytest.mark.full
def test_an_agent_of_connector_may_be_done_before_the_others() -> None:
    name = next(name for name in envhub.list_envs("jumanji") if "Connector" in name)
    env, params = envhub.make(name)
    obs, state = env.reset(jax.random.key(0), params)
    assert obs["grid"].shape == (env.num_agents, *state.grid.shape)
    step, sample = jax.jit(env.step), jax.jit(env.action_space(params).sample)
    seen = []
    for key in jax.random.split(jax.random.key(1), 50):
        result = step(key, state, sample(key), params)
        state = result.state
        seen.append(np.asarray(result.terminated))
        if result.done.all():
            break
    some, ended = next(flags for flags in seen if flags.any()), result.done
    assert not some.all()
    assert ended.all()


def test_before_the_first_city_the_salesman_is_nowhere() -> None:
    env, params = envhub.make("jumanji::TSP-v1")
    obs, _ = env.reset(jax.random.key(0), params)
    assert obs["position"] == -1
    assert env.observation_space(params).contains(obs)


def test_sokoban_is_a_gap_with_the_command_that_fetches_its_levels_and_make_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from jumanji.environments.routing.sokoban import generator

    asked: list[str] = []

    def download(repo_id: str, filename: str) -> str:
        asked.append(repo_id)
        raise OSError("no network here")

    monkeypatch.setattr(generator, "hf_hub_download", download)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(errors.UnavailableEnvError, match="needs_network") as refusal:
        envhub.make("jumanji::Sokoban-v0")
    assert not asked
    advised = re.search(r"python -c (.*)\)$", str(refusal.value))
    assert advised is not None
    with pytest.raises(OSError, match="no network here"):
        exec(shlex.split(advised[1])[0], {})
    (tmp_path / f"models--{asked[0].replace('/', '--')}").mkdir()
    assert registry.get("jumanji").gap("Sokoban-v0", {}) is None
    env, params = envhub.make("jumanji::Sokoban-v0", **TOY)
    obs, _ = env.reset(jax.random.key(0), params)
    assert env.observation_space(params).contains(obs)


def test_a_generator_is_an_object_or_the_name_of_its_class() -> None:
    from jumanji.environments.routing.sokoban import generator

    given = ({"generator": generator.ToyGenerator()}, TOY)
    made = [envhub.make("jumanji::Sokoban-v0", **options)[0] for options in given]
    one, other = (env.reset(jax.random.key(0))[0]["grid"] for env in made)
    assert jnp.array_equal(one, other)
    with pytest.raises(errors.InvalidOptionError):
        envhub.make("jumanji::Sokoban-v0", generator="NoGenerator")


def test_the_limit_of_mmst_is_part_of_how_it_is_made() -> None:
    assert registry.get("jumanji").limit("MMST-v0", {}) == "time_limit"
    env, params = envhub.make("jumanji::MMST-v0", time_limit=7)
    assert params is None
    _, state = jax.eval_shape(env.reset, jax.random.key(0), params)
    assert state.connected_nodes.shape == (3, 7)


@pytest.mark.full
@pytest.mark.parametrize("name", ["MMST-v0", "SearchAndRescue-v0"])
def test_what_jumanji_shows_in_a_corner_or_does_not_return_is_drawn(name: str) -> None:
    env, params = envhub.make(f"jumanji::{name}")
    _, state = env.reset(jax.random.key(0), params)
    picture = env.render(state, params)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
