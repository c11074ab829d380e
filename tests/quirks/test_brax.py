"""What is peculiar to brax."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from envhub.adapters.brax import CLIP_STILL_TAKES_THEM

import envhub
from envhub import errors, registry

from ..processes import fresh

SPRING = {"backend": "spring"}


@pytest.mark.full
def test_the_limit_and_action_repeat_are_those_of_braxs_episode_wrapper() -> None:
    from brax.envs.wrappers.training import EpisodeWrapper

    options = {"action_repeat": 2, "episode_length": 9, **SPRING}
    env, params = envhub.make("brax::inverted_pendulum", **options)
    wrapped = EpisodeWrapper(env.unwrapped, episode_length=9, action_repeat=2)
    key, action = jax.random.key(0), jnp.array([0.1])
    _, state = env.reset(key, params)
    own = jax.jit(wrapped.reset)(jax.random.PRNGKey(0))
    own_step = jax.jit(wrapped.step)
    for _ in range(5):
        result = env.step(key, state, action, params)
        state, own = result.state, own_step(own, action)
        np.testing.assert_allclose(result.obs, own.obs, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(result.reward, own.reward, rtol=1e-4)
        assert result.done == own.done
        assert result.truncated == own.info["truncation"]
    assert result.truncated
    assert state.steps == own.info["steps"] == 10


@pytest.mark.full
def test_a_system_is_a_param_batched_by_vmap() -> None:
    """Domain randomisation: lanes of other gravity fall otherwise, and the default is untouched."""
    env, params = envhub.make("brax::hopper", **SPRING)
    system = env.unwrapped.sys
    factors = jnp.array([1.0, 0.1])
    systems = jax.vmap(lambda factor: scaled_gravity(system, factor))(factors)
    key, action = jax.random.key(0), jnp.zeros(3)

    def fall(sys: Any) -> Any:
        changed = params.replace(sys=sys)
        _, state = env.reset(key, changed)
        return env.step(key, state, action, changed).obs

    obs = jax.jit(jax.vmap(fall))(systems)
    assert not np.allclose(obs[0], obs[1])
    _, state = env.reset(key, params)
    np.testing.assert_allclose(env.step(key, state, action, params).obs, obs[0], atol=1e-4)


def scaled_gravity(system: Any, factor: Any) -> Any:
    return system.replace(gravity=system.gravity * factor)


@pytest.mark.full
def test_a_call_leaves_the_state_that_was_given_unchanged() -> None:
    """brax's own step, outside jit, writes the new metrics into the old state."""
    env, params = envhub.make("brax::hopper", **SPRING)
    _, state = env.reset(jax.random.key(0), params)
    before = {name: float(value) for name, value in state.env.metrics.items()}
    env.step(jax.random.key(0), state, jnp.ones(3), params)
    assert {name: float(value) for name, value in state.env.metrics.items()} == before


@pytest.mark.parametrize("backend", ["generalized", "spring", "positional", "mjx"])
def test_swimmer_is_a_declared_gap(backend: str) -> None:
    if backend == "generalized" and CLIP_STILL_TAKES_THEM:
        env, params = envhub.make("brax::swimmer", backend=backend)
        _, state = env.reset(jax.random.key(0), params)
        assert np.isfinite(env.step(jax.random.key(0), state, jnp.ones(2), params).obs).all()
        return
    assert not any(envhub.capabilities("brax::swimmer", backend=backend).as_dict().values())
    with pytest.raises(errors.UnavailableEnvError, match="upstream"):
        envhub.make("brax::swimmer", backend=backend)


def test_dictionary_observations_have_a_dictionary_space() -> None:
    env, params = envhub.make("brax::fast", obs_mode="dict_state", asymmetric_obs=True)
    obs, _ = env.reset(jax.random.key(0), params)
    assert set(obs) == {"state", "privileged_state"}
    assert env.observation_space(params).contains(obs)


@pytest.mark.slow
def test_mujoco_leaves_no_log_and_nothing_on_stdout(tmp_path: Path) -> None:
    program = (
        "import jax, envhub; env, p = envhub.make('brax::halfcheetah', backend='spring'); "
        "env.reset(jax.random.key(0), p)"
    )
    done = fresh(program, cwd=tmp_path, timeout=300)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_rendering_twice_without_a_display_does_not_abort() -> None:
    assert not os.environ.get("DISPLAY")
    env, params = envhub.make("brax::inverted_pendulum", **SPRING)
    _, state = env.reset(jax.random.key(0), params)
    first, second = env.render(state, params), env.render(state, params)
    assert first.shape == (240, 320, 3)
    assert np.array_equal(first, second)


@pytest.mark.slow
def test_rendering_without_opengl_names_the_remedy() -> None:
    """In a process of its own: a failed attempt may abort it (mujoco 4.0)."""
    program = """
import sys, jax, envhub
env, params = envhub.make("brax::inverted_pendulum", backend="spring")
state = env.reset(jax.random.key(0), params)[1]
sys.modules["mujoco.egl"] = None  # as where EGL is not installed
try: env.render(state, params)
except envhub.errors.RenderError as error: print(error)
"""
    done = fresh(program, timeout=300)
    assert "apt-get install libegl1" in done.stdout


def test_the_log_of_brax_has_what_it_printed(caplog: pytest.LogCaptureFixture) -> None:
    from envhub._foreign import quiet

    with caplog.at_level("DEBUG", logger="envhub"), quiet():
        print("Failed to import warp")
    assert "Failed to import warp" in caplog.text
    assert registry.get("brax").installed()
