"""The examples for PyTorch's trainers run in their short form, and what they show is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_examples import example, run

pytestmark = pytest.mark.full  # a minute each, most of it to compile


def test_a_pytorch_policy_learns_to_hop(tmp_path: Path) -> None:
    found = run(example("torch_policy_gradient", "torch"), tmp_path)
    assert found["steps"] == [2048, 4096, 6144]
    first, *_, last = found["returns"]
    assert 5 < first < last < 100


def test_stable_baselines3_plays_craftax(tmp_path: Path) -> None:
    found = run(example("stable_baselines3_craftax", "stable_baselines3"), tmp_path)
    assert found["steps"] == [4096, 8192, 12288]
    # The first that end are the short ones, with little done; 22 is all that there is to do.
    first, *_, last = found["returns"]
    assert -1 < first < last < 22
