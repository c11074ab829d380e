"""Environments of Gymnasium as people write them are made, or refused with the reason."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np
import pytest

import envhub
from envhub import errors

from . import odd

KEY = jax.random.key(0)


def make(name: str, **options: Any) -> envhub.Environment:
    env, _ = envhub.make(f"gymnasium::{odd.__name__}:{name}-v0", **options)
    return env


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("FourValues", "returned 4 values.*obs, reward, terminated, truncated, info.*shimmy"),
        ("VectorReward", r"shape \(2,\).*mo_gymnasium.wrappers.LinearReward"),
        ("ExitsInit", "SystemExit: enough"),
        ("ExitsReset", "SystemExit: enough"),
        ("PanicsStep", "Panic: enough"),
        ("NeedsDisplay", r"make\(…, render_mode=None\).*there is no display"),
    ],
)
def test_what_cannot_be_driven_is_refused_by_make(name: str, reason: str) -> None:
    with pytest.raises(errors.UnavailableEnvError, match=reason):
        make(name)


def test_wrap_refuses_the_same() -> None:
    for kind in (odd.FourValues, odd.VectorReward):
        with pytest.raises(errors.UnavailableEnvError, match=r"returned 4 values|LinearReward"):
            envhub.wrap(kind)
    with pytest.raises(errors.InvalidOptionError, match="SystemExit: enough"):
        envhub.wrap(odd.ExitsInit)
    with pytest.raises(errors.InvalidOptionError, match="ZeroDivisionError"):
        envhub.wrap(lambda: 1 / 0)


def test_what_ends_other_processes_is_an_error_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = make("PanicsLater")
    monkeypatch.setattr(odd.PanicsLater, "armed", True)
    _, state = env.reset(KEY)
    with pytest.raises(errors.HostEnvError, match="Panic: enough"):
        env.step(KEY, state, 1)
    _, state = env.reset(KEY)
    assert env.step(KEY, state, 0).obs[1] == 1


@pytest.mark.parametrize("name", ["TakesNoMode", "ModesNone"])
def test_what_does_not_draw_is_made_all_the_same(name: str) -> None:
    _, state = (env := make(name)).reset(KEY)
    assert env.step(KEY, state, 0).obs[1] == 1


def test_pictures_can_be_left_out() -> None:
    _, state = (env := make("NeedsDisplay", render_mode=None)).reset(KEY)
    assert env.step(KEY, state, 0).obs[1] == 1
    pole, _ = envhub.make("gymnasium::CartPole-v1", render_mode=None)
    assert pole.unwrapped.render_mode is None
    assert pole.capabilities.why("renderable") == "it was made with render_mode=None."
    assert envhub.capabilities("gymnasium::CartPole-v1", render_mode=None) == pole.capabilities
    with pytest.raises(errors.MissingCapabilityError, match="render_mode=None"):
        pole.render(pole.reset(KEY)[1])
    with pytest.raises(errors.InvalidOptionError, match="'rgb_array', or None"):
        envhub.make("gymnasium::CartPole-v1", render_mode="human")


def test_reset_options_are_given_to_every_reset() -> None:
    env = make("Plain", reset_options={"start": 3})
    obs, _ = jax.vmap(env.reset)(jax.random.split(KEY, 3))
    np.testing.assert_array_equal(obs, [[3, 0]] * 3)
    bounds = {"low": 0.04, "high": 0.05}
    own, _ = gymnasium.make("CartPole-v1").reset(seed=envhub.host_seed(KEY), options=bounds)
    pole, _ = envhub.make("gymnasium::CartPole-v1", reset_options=bounds)
    np.testing.assert_array_equal(pole.reset(KEY)[0], own)
    emulated, _ = envhub.make("pufferlib::CartPole-v1", reset_options=bounds)
    np.testing.assert_array_equal(emulated.reset(KEY)[0], own)
    for wrong in (3, [("start", 3)], "start"):
        with pytest.raises(errors.InvalidOptionError, match="reset_options must be a dict"):
            make("Plain", reset_options=wrong)
    with pytest.raises(errors.InvalidOptionError, match="reset_options"):
        envhub.make("gymnasium::CartPole-v1", reset_options={"low": "x"})


def test_options_behind_keywords_of_a_constructor_are_known() -> None:
    ant, _ = envhub.make("gymnasium::Ant-v5", width=64, height=48)
    _, state = ant.reset(KEY)
    assert ant.render(state).shape == (48, 64, 3)
    with pytest.raises(errors.InvalidOptionError, match=r"'witdh'.*Did you mean 'width'"):
        envhub.make("gymnasium::Ant-v5", witdh=64)


def test_a_snapshot_that_has_no_room_is_refused() -> None:
    with pytest.raises(errors.InvalidOptionError, match=r"snapshot_size=1 is too small.*40 bytes"):
        envhub.make("gymnasium::CartPole-v1", snapshot_size=1)
    env, _ = envhub.make("gymnasium::CartPole-v1", snapshot_size=40)
    _, state = env.reset(KEY)
    assert env.step(KEY, state, 1).obs.shape == (4,)
