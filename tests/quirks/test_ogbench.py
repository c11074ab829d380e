"""What is peculiar to OGBench."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors, registry, spaces
from tests.packages import needed
from tests.processes import fresh

needed("ogbench")
KEY = jax.random.key(0)
SUITE = registry.get("ogbench")
# One of each kind of code that draws: a teleport, a maze, buttons, cubes, powders.
DRAWING = (
    "pointmaze-teleport-v0",
    "antsoccer-arena-v0",
    "puzzle-3x3-v0",
    "cube-single-singletask-v0",
    "powderworld-easy-v0",
)
OWN = """
import hashlib, sys
import gymnasium, numpy, ogbench
name, seed = sys.argv[1], int(sys.argv[2])
env = gymnasium.make(name, disable_env_checker=True)
core = env.unwrapped
if isinstance(getattr(type(core), "action_space", None), property):
    core.__class__ = type("Own", (type(core),), {"action_space": env.action_space})
core.action_space.seed(seed)
numpy.random.seed(seed)
obs, info = env.reset(seed=seed)
digest = hashlib.sha256(obs.tobytes() + info["goal"].tobytes())
rng, steps, is_over = numpy.random.default_rng(seed), 0, False
while not is_over:
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    action = int(rng.integers(env.action_space.n)) if discrete else (
        rng.uniform(-1, 1, env.action_space.shape).astype("f4"))
    obs, reward, terminated, truncated, info = env.step(action)
    digest.update(obs.tobytes() + numpy.array([reward, terminated, truncated, info["success"]],
                                              "f8").tobytes())
    steps, is_over = steps + 1, terminated or truncated
print(steps, digest.hexdigest())
"""


def instance_of(name: str, **options: Any) -> Any:
    return SUITE.instances(name, options)()  # type: ignore[attr-defined]


def random_action(rng: np.random.Generator, space: Any) -> Any:
    if isinstance(space, spaces.Discrete):
        return int(rng.integers(space.n))
    return rng.uniform(-1, 1, space.shape).astype(np.float32)


def episode(instance: Any, seed: int, most: int = 10_000) -> Iterator[bytes]:
    """What each step of random actions shows."""
    obs = instance.reset(seed)
    goal = vars(instance)["_inner"].__dict__["_first_info"]["goal"]
    seen = obs["observation"] if isinstance(obs, dict) else obs
    yield seen.tobytes() + goal.tobytes()
    rng = np.random.default_rng(seed)
    for _ in range(most):
        obs, *values, info = instance.step(random_action(rng, instance.action_space))
        seen = obs["observation"] if isinstance(obs, dict) else obs
        yield seen.tobytes() + np.array([*values, info["success"]], np.float64).tobytes()
        if values[1] or values[2]:
            return


def test_the_names_are_those_that_the_package_registers() -> None:
    assert sorted(SUITE.live_names()) == sorted(SUITE.known_names())
    assert len(list(SUITE.known_names())) == 290


@pytest.mark.parametrize("name", DRAWING)
def test_a_whole_episode_is_that_of_ogbench_alone_in_its_process(name: str) -> None:
    """Bit for bit, with NumPy's own generator in the place of the instance's."""
    instance, digest = instance_of(name), hashlib.sha256()
    shown = list(episode(instance, 3))
    for each in shown:
        digest.update(each)
    program = OWN.replace("sys.argv[1], int(sys.argv[2])", f"{name!r}, 3")
    assert fresh(program, timeout=300).stdout.split() == [str(len(shown) - 1), digest.hexdigest()]


@pytest.mark.parametrize("name", DRAWING)
def test_a_seed_decides_episodes_of_two_instances_by_turns(name: str) -> None:
    """NumPy's own generator decides nothing, and is not touched."""
    one, other = instance_of(name), instance_of(name)
    alone = list(episode(one, 2, 60))
    np.random.seed(5)
    before = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    beside = zip(episode(other, 2, 60), episode(one, 9, 60), strict=False)
    assert [now for now, _ in beside] == alone[: len(alone)]
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index,union-attr]


def test_a_goal_is_a_part_of_the_observation_and_that_of_one_task_is_not() -> None:
    env, params = envhub.make("ogbench::pointmaze-medium-v0", add_noise_to_goal=False)
    goals = set()
    for number in range(12):
        obs, state = env.reset(jax.random.key(number), params)
        assert env.observation_space(params).contains(obs)
        result = env.step(KEY, state, np.zeros(2, np.float32), params)
        assert (result.obs["goal"] == obs["goal"]).all()
        goals.add(tuple(obs["goal"].round().tolist()))
    assert 2 < len(goals) <= 5
    single, params = envhub.make("ogbench::pointmaze-medium-singletask-v0")
    assert single.observation_space(params).shape == (2,)
    _, state = single.reset(KEY, params)
    assert single.step(KEY, state, np.zeros(2, np.float32), params).reward == -1


def test_options_of_a_reset_choose_the_task() -> None:
    """OGBench calls a cell of the maze by its row and its column."""
    env, params = envhub.make(
        "ogbench::pointmaze-medium-v0", reset_options={"task_id": 2}, add_noise_to_goal=False
    )
    goals = [env.reset(jax.random.key(number), params)[0]["goal"] for number in range(3)]
    assert all((goal == goals[0]).all() for goal in goals)
    assert env.unwrapped.cur_task_id == 2


def test_a_goal_as_its_essence_has_another_space() -> None:
    env, params = envhub.make("ogbench::antmaze-medium-v0", use_oracle_rep=True)
    space = env.observation_space(params)
    assert {name: space[name].shape for name in ("goal", "observation")} == {
        "goal": (2,),
        "observation": (29,),
    }


def test_the_goal_terminates_and_the_limit_truncates() -> None:
    options = {"reset_options": {"task_id": 3}, "max_episode_steps": 200}
    env, params = envhub.make("ogbench::pointmaze-medium-v0", **options)
    obs, state = env.reset(KEY, params)
    core = env.unwrapped
    for _ in range(200):
        here, goal = np.asarray(obs["observation"], np.float64), np.asarray(obs["goal"])
        target, _ = core.get_oracle_subgoal(here, goal)
        is_last = core.xy_to_ij(here) == core.xy_to_ij(goal)
        way = (goal if is_last else target) - here
        obs, state, reward, terminated, truncated, info = env.step(
            KEY, state, np.clip(way, -1, 1).astype(np.float32), params
        )
        if terminated:
            break
    assert (bool(terminated), bool(truncated)) == (True, False)
    assert (float(reward), float(info["success"])) == (1, 1)
    short, params = envhub.make("ogbench::pointmaze-medium-v0", max_episode_steps=1)
    _, state = short.reset(KEY, params)
    result = short.step(KEY, state, np.zeros(2, np.float32), params)
    assert (bool(result.terminated), bool(result.truncated)) == (False, True)


@pytest.mark.parametrize(
    ("name", "options"),
    [("visual-cube-single-v0", {}), ("cube-single-v0", {"ob_type": "pixels"})],
)
def test_what_is_seen_as_pictures_is_a_gap(name: str, options: Any) -> None:
    with pytest.raises(errors.UnavailableEnvError, match="notimpl: each step draws a picture"):
        envhub.make(f"ogbench::{name}", **options)


def test_a_maze_leaves_no_file_behind() -> None:
    folder = Path(tempfile.gettempdir())
    before = set(folder.glob("*.xml"))
    instance_of("pointmaze-medium-v0").reset(0)
    assert set(folder.glob("*.xml")) <= before


@pytest.mark.parametrize("name", ["pointmaze-medium-v0", "cube-single-v0"])
def test_any_thread_may_draw(name: str) -> None:
    """A renderer of MuJoCo draws in the thread that made it."""
    instance, pictures = instance_of(name), []
    instance.reset(0)
    draws = [threading.Thread(target=lambda: pictures.append(instance.render())) for _ in range(2)]
    for thread in draws:
        thread.start()
        thread.join()
    assert [picture.shape for picture in pictures] == [(200, 200, 3)] * 2
    assert (pictures[0] == pictures[1]).all()
    assert pictures[0].std() > 1


def test_the_longest_episodes_are_forked() -> None:
    name = "ogbench::humanoidmaze-giant-v0"
    assert envhub.capabilities(name, forkable=True).forkable
    env, params = envhub.make(name, forkable=True)
    assert env.capabilities.forkable
    assert env.episode_limit(params) == 4000


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("pointmaze-medium-v0", {"task_idd": 2}, "no entry 'task_idd'. Did you mean 'task_id'"),
        ("pointmaze-medium-singletask-task1-v0", {"task_id": 4}, "'ogbench::pointmaze-medium-v0'"),
    ],
)
def test_what_a_reset_would_ignore_is_refused(
    name: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.InvalidOptionError, match=told):
        envhub.make(f"ogbench::{name}", reset_options=options)


def test_a_picture_of_the_goal_and_a_part_of_an_array_are_refused() -> None:
    name = "ogbench::pointmaze-medium-v0"
    with pytest.raises(errors.UnavailableEnvError, match="with OpenGL"):
        envhub.make(name, reset_options={"render_goal": True})
    with pytest.raises(errors.InvalidOptionError, match="keep"):
        envhub.make(name, keep=["observation"])
