"""The examples for PyTorch's trainers run in their short form, and what they show is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import REPOSITORY
from .processes import fresh
from .test_examples import EXAMPLES, skip_without

pytestmark = pytest.mark.full  # a minute each, most of it to compile


def run(name: str, needs: str, tmp_path: Path) -> Any:
    """What the short form returns, in a process of its own, and after it has drawn its figure.

    PyTorch 2.13 for CUDA imports triton 3.7.1 late, which crashes a process that has run all the
    other tests.
    """
    skip_without("matplotlib", needs)
    out, script = tmp_path / "figure.svg", str(EXAMPLES / f"{name}.py")
    code = (
        "import json, runpy\n"
        f"found = runpy.run_path({script!r})['main'](['--short', '--out', {str(out)!r}])\n"
        "print(json.dumps(found))"
    )
    told = fresh(code, cwd=REPOSITORY, timeout=600).stdout
    assert "</svg>" in out.read_text(encoding="utf-8")
    return json.loads(told.splitlines()[-1])


def test_a_pytorch_policy_learns_to_hop(tmp_path: Path) -> None:
    found = run("torch_policy_gradient", "torch", tmp_path)
    assert found["steps"] == [2048, 4096, 6144]
    first, *_, last = found["returns"]
    assert 5 < first < last < 100


def test_stable_baselines3_plays_craftax(tmp_path: Path) -> None:
    found = run("stable_baselines3_craftax", "stable_baselines3", tmp_path)
    assert found["steps"] == [4096, 8192, 12288]
    # The first that end are the short ones, with little done; 22 is all that there is to do.
    first, *_, last = found["returns"]
    assert -1 < first < last < 22


def test_torchrls_ppo_balances_the_pole(tmp_path: Path) -> None:
    found = run("torchrl_ppo", "torchrl", tmp_path)
    assert found["steps"][-1] == 12 * 1024
    assert found["lengths"][0] < 40
    assert sum(found["lengths"][-3:]) / 3 > 100
