"""Programs in the style of CleanRL take an environment of envhub by `--env-id`, and learn."""

from __future__ import annotations

import numpy as np
import pytest

from tests.packages import needed

gymnasium = needed("gymnasium")
torch = needed("torch")

from . import dqn, ppo  # noqa: E402 (where their packages are installed)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small networks on many threads wait for each other."""
    torch.set_num_threads(1)


@pytest.mark.full
def test_ppo_learns() -> None:
    returns = np.array(ppo.main(["--env-id", "envhub.gym:gymnax/CartPole-v1"]))
    assert returns[:50].mean() < 50
    assert returns[-50:].mean() > 150


@pytest.mark.full
def test_dqn_learns() -> None:
    returns = np.array(dqn.main(["--env-id", "envhub.gym:gymnax/CartPole-v1"]))
    assert returns[:50].mean() < 50
    assert returns[-20:].mean() > 100
