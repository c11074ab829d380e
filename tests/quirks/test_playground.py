"""What is peculiar to MuJoCo Playground."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envhub.adapters.playground import CONTROL

import envhub
from envhub import errors, registry
from tests.packages import needed

top, mjx_env = needed("mujoco_playground"), needed("mujoco_playground._src.mjx_env")
config_dict, mujoco = needed("ml_collections.config_dict"), needed("mujoco")
mjx = needed("mujoco.mjx")
KEY, CARTPOLE = jax.random.key(0), "playground::CartpoleBalance"
ROBOTS = [*top.locomotion.ALL_ENVS, *top.manipulation.ALL_ENVS]
SUITE = registry.get("playground")


class HandOver(mjx_env.MjxEnv):  # type: ignore[misc]
    """As Aloha's: it counts steps, shows their share of its limit, and is done there."""

    def __init__(self, impl: str = "jax", action_repeat: int = 1) -> None:
        times = {"ctrl_dt": 0.02, "sim_dt": 0.01}
        super().__init__(config_dict.create(**times, episode_length=5, action_repeat=action_repeat))
        self._mj_model = mujoco.MjModel.from_xml_string("<mujoco/>")
        own = mjx.put_model(self._mj_model, impl="jax")
        self._mjx_model = (
            own if impl == "jax" else SimpleNamespace(impl=SimpleNamespace(value=impl))
        )

    def reset(self, rng: jax.Array) -> Any:
        seen = jnp.zeros(1)
        zero = jnp.float32(0)
        return mjx_env.State(jnp.zeros(1), seen, zero, zero, {}, {"_steps": jnp.int32(0)})

    def step(self, state: Any, action: jax.Array) -> Any:
        steps, limit = state.info["_steps"] + 1, self._config.episode_length
        done = (steps >= limit) | (action[0] > 0)
        return state.replace(
            obs=(steps / limit).reshape(1).astype(jnp.float32),
            reward=jnp.float32(1),
            done=done.astype(jnp.float32),
            info={"_steps": steps},
        )

    xml_path, action_size = "", 1
    mj_model = property(lambda self: self._mj_model)
    mjx_model = property(lambda self: self._mjx_model)


class Weight(HandOver):
    """As cart-poles do, it keeps the method that computes its rewards."""

    def __init__(self) -> None:
        super().__init__()
        self._get_reward = self._weight

    def step(self, state: Any, action: jax.Array) -> Any:
        return super().step(state, action).replace(reward=self._get_reward())

    def _weight(self) -> jax.Array:
        return self.mjx_model.opt.gravity[2]


@pytest.fixture
def without_menagerie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from envhub.adapters import playground

    monkeypatch.setattr(playground, "MENAGERIE", (str(tmp_path), "mujoco_menagerie"))


def test_menagerie_is_where_playground_clones_it() -> None:
    from envhub.adapters import playground

    assert playground.menagerie("aloha").parent == Path(mjx_env.MENAGERIE_PATH)
    assert [*playground.FOLDERS] == [name for name in SUITE.known_names() if name in ROBOTS]


@pytest.mark.usefixtures("without_menagerie")
def test_a_robot_is_a_gap_until_its_model_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = {name: SUITE.gap(name, {}) for name in SUITE.known_names()}
    assert {name for name, gap in gaps.items() if gap} == {*ROBOTS}
    assert {gap.kind for gap in gaps.values() if gap} == {"needs_network"}
    assert not envhub.capabilities("playground::Go1Getup").vmap_safe
    monkeypatch.setattr(mjx_env, "ensure_menagerie_exists", pytest.fail)
    with pytest.raises(errors.UnavailableEnvError, match="needs_network"):
        envhub.make("playground::Go1Getup")
    (tmp_path / "mujoco_menagerie" / "unitree_go1").mkdir(parents=True)
    assert SUITE.gap("Go1Getup", {}) is None
    assert SUITE.gap("H1InplaceGaitTracking", {}) is not None
    assert envhub.capabilities("playground::Go1Getup").vmap_safe


@pytest.mark.usefixtures("without_menagerie")
@pytest.mark.slow
def test_the_command_of_the_gap_clones_menagerie(tmp_path: Path) -> None:
    """All but the network: a `git` of the test's says what it was asked for."""
    gap = SUITE.gap("Go1Getup", {})
    assert gap is not None
    code = shlex.split(re.search(r"python -c (.*)$", gap.reason)[1])[0]  # type: ignore[index]
    elsewhere = (
        "import pathlib; from mujoco_playground._src import mjx_env; "
        f"mjx_env.EXTERNAL_DEPS_PATH = pathlib.Path({str(tmp_path)!r}); "
        "mjx_env.MENAGERIE_PATH = mjx_env.EXTERNAL_DEPS_PATH / 'mujoco_menagerie'; "
    )
    git = tmp_path / "git"
    git.write_text(
        f'#!/bin/sh\necho "$@" >> {shlex.quote(str(tmp_path / "asked"))}\n',
        encoding="utf-8",
    )
    git.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [sys.executable, "-c", elsewhere + code], env={**os.environ, "PATH": path}, check=True
    )
    cloned = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()[0]
    assert cloned.startswith("clone ")
    assert cloned.endswith(f"mujoco_menagerie.git {tmp_path / 'mujoco_menagerie'}")


@pytest.mark.slow
def test_models_and_limits_are_batched_params() -> None:
    env, params = envhub.make(CARTPOLE)
    model = env.unwrapped.mjx_model

    @jax.jit
    @jax.vmap
    def play(scale, limit):  # type: ignore[no-untyped-def]
        own = params.replace(
            model=model.replace(body_mass=scale * model.body_mass), episode_length=limit
        )
        _, state = env.reset(KEY, own)
        result = env.step(KEY, state, jnp.ones(1), own)
        return result.obs, result.truncated

    obs, truncated = play(jnp.float32([1, 1, 3]), jnp.int32([1, 2, 1]))
    np.testing.assert_array_equal(obs[0], obs[1])
    assert (obs[0] != obs[2]).any()
    assert truncated.tolist() == [True, False, True]


def test_a_method_that_an_environment_keeps_sees_the_model_of_the_params() -> None:
    env, params = envhub.wrap(Weight())
    model = env.unwrapped.mjx_model
    heavy = params.replace(
        model=model.replace(opt=model.opt.replace(gravity=2 * model.opt.gravity))
    )
    for own, weight in ((params, -9.81), (heavy, -19.62)):
        _, state = env.reset(KEY, own)
        assert float(env.step(KEY, state, -jnp.ones(1), own).reward) == pytest.approx(weight)


@pytest.mark.slow
def test_a_picture_shows_the_model_of_the_params() -> None:
    env, params = envhub.make(CARTPOLE)
    model, (_, state) = env.unwrapped.mjx_model, env.reset(KEY, params)
    thick = params.replace(model=model.replace(geom_size=2 * model.geom_size))
    first, other = env.render(state, params), env.render(state, thick)
    assert (first != other).any()
    np.testing.assert_array_equal(env.render(state, params), first)


def test_a_model_of_something_else_is_refused() -> None:
    env, params = envhub.make(CARTPOLE)
    other = mjx.put_model(mujoco.MjModel.from_xml_string("<mujoco/>"), impl="jax")
    with pytest.raises(errors.InvalidParamsError, match=r"params\.model"):
        env.reset(KEY, params.replace(model=other))


def test_fields_of_the_config_are_options() -> None:
    env, _ = envhub.make("playground::PendulumSwingup", ctrl_dt=0.04, action_repeat=2)
    assert (env.unwrapped.dt, env.unwrapped.n_substeps, env.action_repeat) == (0.04, 4, 2)
    for given, match in (
        ({"ctrl_dt": 0.015}, "multiple of sim_dt"),
        ({"sim_dt": 0.0}, "multiple of sim_dt"),
        ({"action_repeat": 0}, "positive integer"),
        ({"ctrl_dt": "fast"}, "refuses ctrl_dt"),
        ({"impl": "warp"}, "does not take 'impl'"),
        ({"vision": True}, "does not take 'vision'"),
    ):
        with pytest.raises(errors.InvalidOptionError, match=match):
            envhub.make("playground::PendulumSwingup", **given)


def test_a_part_of_a_config_leaves_its_others_and_what_it_lacks_is_refused() -> None:
    from envhub.adapters.playground import change

    config = top.registry.get_default_config("Go1Getup")
    before = dict(config.reward_config.scales)
    change(config, {"reward_config": {"scales": {"torques": -0.5}}})
    assert dict(config.reward_config.scales) == {**before, "torques": -0.5}
    with pytest.raises(KeyError, match="torqes"):
        change(config, {"reward_config": {"scales": {"torqes": -0.5}}})
    with pytest.raises(TypeError):
        change(config, {"reward_config": 1})
    with pytest.raises(TypeError):
        change(config, {"action_scale": {"all": 1}})


def test_each_default_config_has_whole_numbers_of_physics_steps() -> None:
    from envhub.adapters.playground import refuse_other_times

    for name in SUITE.known_names():
        config = top.registry.get_default_config(name)
        refuse_other_times(config.ctrl_dt, config.sim_dt)


def test_one_that_counts_its_steps_has_the_limit_of_the_params_and_is_truncated_there() -> None:
    env, params = envhub.wrap(HandOver())
    assert params.episode_length == 5

    def ends(limit: int, actions: list[float]) -> list[tuple[float, bool, bool]]:
        own, found = params.replace(episode_length=limit), []
        _, state = env.reset(KEY, own)
        for action in actions:
            result = env.step(KEY, state, jnp.full(1, action), own)
            state = result.state
            found.append((float(result.obs[0]), bool(result.terminated), bool(result.truncated)))
        return found

    assert ends(2, [-1, -1]) == [(0.5, False, False), (1.0, False, True)]
    assert ends(8, [-1] * 6)[-1] == (0.75, False, False)
    assert ends(8, [1]) == [(0.125, True, False)]


def test_an_action_is_repeated_and_its_rewards_are_added_up() -> None:
    env, params = envhub.wrap(HandOver(action_repeat=2))
    _, state = env.reset(KEY, params)
    result = env.step(KEY, state, -jnp.ones(1), params)
    assert (float(result.reward), int(result.state.steps)) == (2.0, 2)
    assert int(env.limit(params)) == 3


def test_wrap_refuses_warp_and_wrappers_that_reset() -> None:
    with pytest.raises(errors.InvalidOptionError, match="MuJoCo Warp"):
        envhub.wrap(HandOver(impl="warp"))
    with pytest.raises(errors.InvalidOptionError, match="give the environment inside"):
        envhub.wrap(top.wrapper.BraxAutoResetWrapper(HandOver()))


@pytest.mark.full
@pytest.mark.parametrize("name", CONTROL)
def test_a_reward_has_a_gradient_where_that_is_claimed_and_nowhere_else(name: str) -> None:
    """The matrix examines one environment of those that have it, and one of the others."""
    env, params = envhub.make(f"playground::{name}")
    _, state = jax.jit(env.reset)(KEY, params)
    action = jnp.zeros(env.action_space(params).shape)

    def reward(action: jax.Array) -> jax.Array:
        return jnp.sum(env.step(KEY, state, action, params).reward)

    if env.capabilities.differentiable:
        assert np.isfinite(jax.jit(jax.grad(reward))(action)).all()
    else:
        with pytest.raises(ValueError, match="Reverse-mode"):
            jax.grad(reward)(action)
