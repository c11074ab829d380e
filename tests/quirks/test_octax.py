"""What is peculiar to octax."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import envhub
from envhub import errors
from tests.packages import needed

octax = needed("octax.environments")
KEY = jax.random.key(0)


def test_a_name_is_always_the_same_level() -> None:
    """octax keeps the level that was made last, and takes it for a name without one."""
    first, _ = envhub.make("octax::target_shooter1")
    last, _ = envhub.make("octax::target_shooter3")
    again, _ = envhub.make("octax::target_shooter1")
    assert first.unwrapped.rom_path == again.unwrapped.rom_path != last.unwrapped.rom_path
    with pytest.raises(errors.UnknownEnvError, match="target_shooter1"):
        envhub.make("octax::target_shooter")


def test_the_last_action_presses_no_key_and_chance_comes_from_the_reset() -> None:
    env, params = envhub.make("octax::pong", frame_skip=2)
    assert env.action_space() == envhub.spaces.Discrete(len(env.unwrapped.action_set) + 1)
    obs, state = env.reset(KEY, params)
    assert obs.shape == (2, 64, 32)
    other, _ = env.reset(jax.random.key(1), params)
    np.testing.assert_array_equal(obs, other)
    results = [env.step(jax.random.key(seed), state, 2, params) for seed in range(2)]
    jax.tree.map(np.testing.assert_array_equal, *[each.obs for each in results])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"color_scheme": "pink"}, "Available: .*'classic'"),
        ({"render_scale": 0}, "positive integer"),
    ],
)
def test_an_option_of_drawing_is_looked_at_before_it_draws(wrong: Any, reason: str) -> None:
    with pytest.raises(errors.InvalidOptionError, match=reason):
        envhub.make("octax::brix", **wrong)


def test_wrap_takes_a_game_and_the_limit_is_a_param() -> None:
    _, params = envhub.wrap(octax.create_environment("pong", max_num_steps_per_episodes=7)[0])
    assert params.max_num_steps_per_episodes == 7
