"""What is peculiar to dm_control."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import _versions, errors, registry
from tests.host.toy import loaded
from tests.packages import needed

mujoco = needed("mujoco")
needed("dm_control")
suite = registry.get("dm_control").load("suite")
KEY = jax.random.key(0)


def model_of(env: Any) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of an environment's model, as they are now."""
    model = env.physics.model.ptr
    values = ((name, getattr(model, name)) for name in dir(model) if not name.startswith("_"))
    return {name: value.copy() for name, value in values if isinstance(value, np.ndarray)}


@pytest.mark.full
@pytest.mark.parametrize("name", registry.get("dm_control").known_names())
def test_the_table_has_what_the_resets_of_a_task_draw(name: str) -> None:
    from envhub.adapters.dm_control.suite import DRAWN

    env = suite.load(*name.split("-"), task_kwargs={"random": 0})
    env.reset()
    before = model_of(env)
    rng = env.task.random
    drawn: set[str] = set()
    for _ in range(2):
        env.reset()
        state = rng.get_state()[1:3]
        for _ in range(5):
            env.step(np.zeros(env.action_spec().shape))
        assert (rng.get_state()[1] == state[0]).all()  # no step draws: it is not in a snapshot
        assert rng.get_state()[2] == state[1]
        after = model_of(env)
        drawn |= {key for key in before if before[key].tobytes() != after[key].tobytes()}
    assert drawn == set(DRAWN.get(name, ()))


@pytest.mark.parametrize(
    "name", ["point_mass-hard", pytest.param("quadruped-escape", marks=pytest.mark.full)]
)
def test_a_state_goes_on_in_an_instance_with_another_model(name: str) -> None:
    """A reset of `point_mass-hard` draws the directions of its actuators."""
    env, params = envhub.make(f"dm_control::{name}", max_instances=1)
    action = np.full(env.action_space(params).shape, 0.5, np.float32)
    _, state = env.reset(KEY, params)
    first = env.step(KEY, state, action, params)
    env.reset(jax.random.key(1), params)
    again = env.step(KEY, state, action, params)
    jax.tree.map(np.testing.assert_array_equal, first.obs, again.obs)


def test_an_end_at_the_limit_is_both() -> None:
    """dm_control's own time limit hides it. The task of LQR ends where everything stands still."""
    env, params = envhub.make("dm_control::lqr-lqr_2_1", max_episode_steps=2, max_instances=1)
    _, state = env.reset(KEY, params)
    env.unwrapped.task.get_termination = lambda physics: 0.0 if physics.time() > 0.04 else None
    flags = []
    for _ in range(2):
        result = env.step(KEY, state, np.zeros(1, np.float32), params)
        state = result.state
        flags.append((bool(result.terminated), bool(result.truncated), result.info["discount"]))
    assert flags == [(False, False, 1), (True, True, 0)]


def test_the_model_of_lqr_is_drawn_once_and_task_kwargs_say_which() -> None:
    stiffness = [
        envhub.make("dm_control::lqr-lqr_2_1", task_kwargs=given)[0].unwrapped.physics.model
        for given in ({}, {}, {"random": 1})
    ]
    first, same, other = (model.jnt_stiffness.copy() for model in stiffness)
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    space = envhub.make("dm_control::lqr-lqr_2_1")[0].action_space()
    assert np.isinf(space.low).all()
    assert np.isinf(space.high).all()
    with pytest.raises(errors.InvalidOptionError, match="must be an integer, got None"):
        envhub.make("dm_control::lqr-lqr_2_1", task_kwargs={"random": None})


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 1000),
        ({"task_kwargs": {"time_limit": 0.1}}, 10),
        ({"task_kwargs": {"time_limit": 0.1}, "environment_kwargs": {"n_sub_steps": 3}}, 4),
        ({"max_episode_steps": 7}, 7),
        ({"max_episode_steps": -1}, None),
    ],
)
def test_the_limit_is_the_tasks_own_in_steps(options: dict[str, Any], limit: int | None) -> None:
    instance = registry.get("dm_control").instances("cartpole-swingup", options)()
    assert instance.episode_limit == limit
    instance.reset(0)
    for _ in range(limit or 1001):
        step = instance.step(np.zeros(1))
    assert (step.terminated, step.truncated) == (False, limit is not None)


def test_options_of_load_and_render_are_those_of_dm_control() -> None:
    env, params = envhub.make(
        "dm_control::reacher-easy",
        environment_kwargs={"flat_observation": True, "legacy_step": False},
        visualize_reward=True,
        height=48,
        width=64,
        camera_id="fixed",
    )
    obs, state = env.reset(KEY, params)
    assert {name: leaf.shape for name, leaf in obs.items()} == {"observations": (6,)}
    picture = env.render(state, params)
    assert picture.shape == (48, 64, 3)
    result = env.step(KEY, state, np.ones(2, np.float32), params)
    assert (env.render(result.state, params) != picture).any()
    np.testing.assert_array_equal(env.render(state, params), picture)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"camera_id": "there"}, "there"),
        ({"camera_id": 9}, "2 cameras"),
        ({"height": 100.0}, "height must be a positive integer"),
        ({"width": 0}, "width must be a positive integer"),
        ({"max_episode_steps": 0}, "max_episode_steps.* must be a positive integer"),
        ({"task_kwargs": {"random": 1.5}}, "must be an integer"),
        ({"task_kwargs": {"environment_kwargs": {}}}, "give environment_kwargs by itself"),
    ],
)
def test_options_that_dm_control_would_ignore_or_fail_with_later_are_refused(
    wrong: dict[str, Any], reason: str
) -> None:
    with pytest.raises(errors.InvalidOptionError, match=reason):
        envhub.make("dm_control::reacher-easy", **wrong)


def test_integers_of_numpy_are_integers() -> None:
    options = {"task_kwargs": {"random": np.int64(3)}, "max_episode_steps": np.int64(5)}
    env, params = envhub.make("dm_control::lqr-lqr_2_1", **options)
    assert env.episode_limit(params) == 5


def test_keywords_of_tasks_are_told_where_they_belong() -> None:
    with pytest.raises(errors.InvalidOptionError, match="Give max_episode_steps=100, or") as caught:
        envhub.make("dm_control::cartpole-swingup", time_limit=5)
    advised = re.findall(r"(max_episode_steps=\d+)|(task_kwargs=\{.*?\})", str(caught.value))
    for code in filter(None, itertools.chain(*advised)):
        envhub.make("dm_control::cartpole-swingup", **eval(f"dict({code})"))
    for keyword in ("control_timestep", "n_sub_steps", "flat_observation"):
        with pytest.raises(errors.InvalidOptionError, match="Give environment_kwargs") as caught:
            envhub.make("dm_control::cartpole-swingup", **{keyword: 1})
        code = re.findall(r"Give (environment_kwargs=\{.*?\})", str(caught.value))[0]
        envhub.make("dm_control::cartpole-swingup", **eval(f"dict({code})"))


@pytest.mark.parametrize("name", ["cartpole_swingup", "CartpoleSwingup", "cartpole/swingup"])
def test_near_names_are_suggested(name: str) -> None:
    with pytest.raises(errors.UnknownEnvError, match="Did you mean 'cartpole-swingup'"):
        envhub.make(f"dm_control::{name}")


def test_the_names_are_those_of_all_tasks() -> None:
    adapter = registry.get("dm_control")
    assert list(adapter.known_names()) == list(adapter.live_names())


def test_a_mujoco_that_does_not_fit_is_refused_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = {"mujoco": "4.0.0", "dm-control": "1.0.50"}
    monkeypatch.setattr(_versions, "installed_version", installed.get)
    with pytest.raises(errors.UnsupportedVersionError, match=r"1\.0\.50 does not fit mujoco 4"):
        envhub.make("dm_control::cartpole-swingup")


SILENT = """
import jax, envhub
env, params = envhub.make("dm_control::dog-stand", max_episode_steps=3)
obs, state = env.reset(jax.random.key(0), params)
env.step(jax.random.key(0), state, env.action_space(params).sample(jax.random.key(1)), params)
env.render(state, params)
"""
WITHOUT_EGL = """
import sys
sys.modules["OpenGL.EGL"] = None
import jax, envhub
env, params = envhub.make("dm_control::cartpole-swingup")
obs, state = env.reset(jax.random.key(0), params)
try:
    env.render(state, params)
except envhub.errors.RenderError as error:
    print(error)
try:
    envhub.make("dm_control::quadruped-escape")
except envhub.errors.EnvHubError as error:
    print(error)
"""


def run(code: str, folder: Path) -> tuple[str, str]:
    environment = {key: os.environ[key] for key in os.environ if key != "PYOPENGL_PLATFORM"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert not list(folder.iterdir())  # no MUJOCO_LOG.TXT
    return done.stdout, done.stderr


@pytest.mark.full
def test_nothing_is_printed_or_written(tmp_path: Path) -> None:
    """MuJoCo says of the dog's model that it is written in an old way."""
    assert run(SILENT, tmp_path) == ("", "")


@pytest.mark.full
def test_without_egl_it_steps_and_a_picture_is_refused(tmp_path: Path) -> None:
    said, _ = run(WITHOUT_EGL, tmp_path)
    assert said.count("apt-get install libegl1") == 2  # a picture, and the ground of an escape


@pytest.mark.full
def test_a_worker_imports_no_jax_and_gives_the_same_episodes() -> None:
    results = []
    for options in ({}, {"workers": "process", "num_workers": 1}):
        env, params = envhub.make("dm_control::reacher-easy", **options)
        _, state = env.reset(KEY, params)
        env.reset(jax.random.key(1), params)
        results.append(env.step(KEY, state, np.ones(2, np.float32), params).obs)
        if options:
            fleet: Any = env._pool._fleet  # noqa: SLF001 (what runs in a worker is not public)
            assert fleet._command(loaded, {0: ()}) == [[]]  # noqa: SLF001
        env.close()
    jax.tree.map(np.testing.assert_array_equal, *results)
