"""`envhub.gym`: every installed suite under ids of Gymnasium."""

from __future__ import annotations

import pickle
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, registry
from tests.packages import needed
from tests.test_imports import SUITE_MODULES, in_a_fresh_process

gymnasium = needed("gymnasium")

import envhub.gym  # noqa: E402 (where Gymnasium is installed)

INSTALLED = [name for name in registry.BUILTIN if registry.get(name).installed() is not None]
KNOWN = {f"{name}::{each}" for name in INSTALLED for each in registry.get(name).known_names()}
CARTPOLE = "gymnax/CartPole-v1"


def registered() -> dict[str, str]:
    """The ids of Gymnasium's registry that lead here, each with the one of envhub."""
    return {
        gym_id: spec.kwargs["envhub_id"]
        for gym_id, spec in gymnasium.registry.items()
        if spec.entry_point == "envhub.gym:make_env"
    }


@pytest.mark.slow
def test_importing_it_registers_every_known_name_and_imports_no_suite() -> None:
    code = (
        "import json, sys, envhub.gym, gymnasium\n"
        "shown = gymnasium.pprint_registry(disable_print=True)\n"
        "print(json.dumps([shown, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    shown, modules = in_a_fresh_process(code)
    assert SUITE_MODULES & set(modules) == {"gymnasium"}
    for name in INSTALLED:
        assert f"===== {name} =====" in shown
    assert set(registered().values()) >= KNOWN
    assert all(
        gym_id in shown.split() for gym_id, env_id in registered().items() if env_id in KNOWN
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of older versions, as Gymnasium's own
def test_gymnasium_finds_what_each_id_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make` and `make_vec` come to the entry points with the id of envhub, and not another one."""

    class Reached(Exception):
        """With what an entry point was given."""

    def reached(**given: Any) -> None:
        raise Reached(given)

    monkeypatch.setattr(envhub.gym, "make_env", reached)
    monkeypatch.setattr(envhub.gym, "make_vec_env", reached)
    assert len(registered()) == len(set(registered().values()))
    for gym_id, env_id in registered().items():
        with pytest.raises(Reached) as one:
            gymnasium.make(f"envhub.gym:{gym_id}", anything=1)
        assert one.value.args == ({"envhub_id": env_id, "anything": 1},)
        with pytest.raises(Reached) as many:
            gymnasium.make_vec(gym_id, num_envs=3)
        assert many.value.args == ({"envhub_id": env_id, "num_envs": 3},)


def test_what_gymnasiums_ids_cannot_have_is_a_hyphen() -> None:
    assert gymnasium.spec("gymnasium/phys2d-CartPole-v1").kwargs == {
        "envhub_id": "gymnasium::phys2d/CartPole-v1"
    }
    assert gymnasium.spec("ale/pong").kwargs == {"envhub_id": "ale::pong"}
    for gym_id, env_id in registered().items():
        is_reproducible = envhub.capabilities(env_id).reproducible
        assert gymnasium.spec(gym_id).nondeterministic is not is_reproducible


def test_one_environment_is_the_export() -> None:
    # gymnax 0.0.9 draws with a Gym older than Gymnasium.
    draws = envhub.capabilities("gymnax::CartPole-v1").renderable
    env = gymnasium.make(
        CARTPOLE, max_steps_in_episode=9, render_mode="rgb_array" if draws else None
    )
    inside, params = envhub.make("gymnax::CartPole-v1", max_steps_in_episode=9)
    assert (env.unwrapped.driver.env, env.unwrapped.driver.params) == (inside, params)
    obs, _ = env.reset(seed=3)
    expected, _ = inside.reset(jax.random.split(jax.random.key(3))[1])
    np.testing.assert_array_equal(obs, expected)
    assert not draws or env.render().shape[-1] == 3
    assert env.spec.max_episode_steps == 9
    for again in (env.spec.make(), pickle.loads(pickle.dumps(env)), gymnasium.make(env.spec)):
        assert again.spec.kwargs == env.spec.kwargs
        assert (again.spec.id, again.spec.max_episode_steps) == (CARTPOLE, 9)
    with pytest.raises(errors.InvalidOptionError, match="frobnicate"):
        gymnasium.make(CARTPOLE, frobnicate=1)
    if draws:
        collected = gymnasium.make(CARTPOLE, render_mode="rgb_array_list")
        assert isinstance(collected, gymnasium.wrappers.RenderCollection)


def test_a_window_shows_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make("gymnasium/CartPole-v1", render_mode="human")
    window = env
    while not isinstance(window, gymnasium.wrappers.HumanRendering):
        window = window.env
    env.reset(seed=0)
    env.step(0)
    assert window.window.get_size() == (600, 400)
    env.close()


def test_many_are_the_batched_export() -> None:
    envs = gymnasium.make_vec(CARTPOLE, num_envs=4, max_steps_in_episode=9)
    assert type(envs).__name__ == "EnvHubVectorEnv"
    assert envs.driver.env.num_envs == envs.num_envs == 4
    assert envs.driver.env.find(envhub.wrappers.AutoReset).mode == "next_step"
    assert (envs.spec.id, envs.spec.max_episode_steps) == (CARTPOLE, 9)
    assert pickle.loads(pickle.dumps(envs)).spec == envs.spec


@pytest.mark.parametrize(("gym_id", "limit"), [(CARTPOLE, 7), ("gymnasium/CartPole-v1", 700)])
def test_a_limit_of_a_batch_is_its_own(gym_id: str, limit: int) -> None:
    envs = gymnasium.make_vec(gym_id, num_envs=2, max_episode_steps=limit)
    assert envs.driver.env.episode_limit() == envs.spec.max_episode_steps == limit


def test_a_limit_of_one_environment_is_gymnasiums() -> None:
    env = gymnasium.make(CARTPOLE, max_episode_steps=2)
    env.reset(seed=0)
    assert [env.step(0)[3], env.step(0)[3]] == [False, True]
    assert env.spec.max_episode_steps == 2
    longer = gymnasium.make("gymnasium/CartPole-v1", options={"max_episode_steps": 1000})
    assert longer.spec.max_episode_steps == 1000


@pytest.mark.full
def test_many_hoppers() -> None:
    envs = gymnasium.make_vec("brax/hopper", num_envs=64, backend="spring", episode_length=50)
    assert envs.reset(seed=0)[0].shape[0] == 64
    assert envs.step(envs.action_space.sample())[1].shape == (64,)
    assert envs.spec.max_episode_steps == 50


def test_a_name_that_is_not_among_the_known_is_registered_by_itself() -> None:
    gym_id = envhub.gym.register("gymnasium::tests.quirks.puffer_envs:Id-v0")
    assert gym_id == "gymnasium/tests.quirks.puffer_envs-Id-v0"
    assert gymnasium.spec(gym_id).kwargs["envhub_id"].endswith("puffer_envs:Id-v0")
    del gymnasium.registry[gym_id]
    assert envhub.gym.register("gymnax::CartPole-v1") == CARTPOLE  # which changes nothing
    with pytest.raises(errors.InvalidEnvIdError, match="already"):
        envhub.gym.register("gymnasium::phys2d:CartPole-v1")
    with pytest.raises(errors.UnknownEnvError, match="CartPole-v1"):
        envhub.gym.register("gymnax::CartPol-v1")
