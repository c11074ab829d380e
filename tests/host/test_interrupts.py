"""Ctrl-C outside `jit`: it arrives as what it is, and the states that are out stay good."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import envhub
from tests.presses import Presses

KEY = jax.random.key(0)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("options", [{}, {"forkable": False}])
def test_it_is_an_interrupt_wherever_it_comes(
    options: dict[str, bool], pytestconfig: pytest.Config
) -> None:
    """In the environment, in the bridge, or while JAX prepares the call."""
    env, _ = envhub.make("gymnasium::CartPole-v1", **options)
    rng = np.random.default_rng(0)
    kept = env.reset(KEY)[1]
    expected = envhub.make("gymnasium::CartPole-v1")[0].reset(KEY)[0]
    tries, pressed = 60 if pytestconfig.getoption("full") else 15, 0
    for _ in range(tries):
        _, state = env.reset(KEY)
        presses = Presses(rng.uniform(0, 0.01))
        with pytest.raises(KeyboardInterrupt), presses:
            step_for_ever(env, state)
        pressed += presses.count
        np.testing.assert_array_equal(env.reset(KEY)[0], expected)
    assert tries <= pressed <= tries + 2
    assert env.step(KEY, kept, 0).reward == 1


def step_for_ever(env: envhub.Environment, state: object) -> None:
    while True:
        state = env.step(KEY, state, 0).state
