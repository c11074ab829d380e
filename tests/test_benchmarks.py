"""The benchmarks run; what they measure is not for tests."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from envhub import registry

from .conftest import REPOSITORY
from .packages import needed


def result_of(script: str, *arguments: str) -> Any:
    command = [sys.executable, f"benchmarks/{script}", *arguments, "--repeats", "1", "--json"]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.full
@pytest.mark.parametrize("suite", ["gymnax", "brax"])
def test_the_hub_is_compared_with_the_suite(suite: str) -> None:
    result = result_of("overhead.py", "--rows", suite, "--num-envs", "4", "--steps", "4")
    assert list(result["rows"]) == [suite]


@pytest.mark.slow
def test_the_bridge_is_compared_with_the_library() -> None:
    # Each side of Pong starts an episode of its own.
    expected = {"cartpole-opaque-8": True, "cartpole-forkable-64": True, "pong-bound-8": None}
    chosen = [argument for row in expected for argument in ("--rows", row)]
    result = result_of("bridge.py", *chosen, "--steps", "4")
    if not registry.get("gymnasium").at_least("1.1"):  # ale-py's vector environment needs it
        del expected["pong-bound-8"]
        assert "AutoresetMode" in result["skipped"]["pong-bound-8"]
    assert {name: row["same_observations"] for name, row in result["rows"].items()} == expected
    assert result["cartpole"]["call_us"] > 0


@pytest.mark.full
def test_the_bridge_is_compared_with_pools_of_envpool() -> None:
    needed("envpool")
    rows = ("cartpole-64", "minigrid-64-exact")
    chosen = [argument for row in rows for argument in ("--rows", row)]
    result = result_of("pools.py", *chosen, "--steps", "4")
    assert list(result["rows"]) == list(rows)
    assert all(row["ratio"]["median"] > 0 for row in result["rows"].values())


@pytest.mark.full
def test_actors_of_ray_are_compared_with_processes() -> None:
    needed("ray")
    rows = ("instant-64-1", "instant-64-4", "pictures-64-4")
    chosen = [argument for row in rows for argument in ("--rows", row)]
    result = result_of("scaling.py", *chosen, "--steps", "2")
    assert all(row["times"] > 0 for row in result["rows"].values())
    steps = [row["step ms"] for row in result["calculated"]]
    assert [row["actors"] for row in result["calculated"]] == [10, 100, 1000]
    assert steps == sorted(steps)
    assert steps[0] >= 16, "what the simulators take"


@pytest.mark.full
def test_exports_are_compared_with_the_compiled_step() -> None:
    result = result_of("export.py", "--rows", "cartpole", "--steps", "4")
    assert result["rows"]["cartpole"]["raw_us"] > 0


@pytest.mark.full
@pytest.mark.parametrize(
    "name",
    [
        "sb3-cartpole-64",
        "torchrl-cartpole-64",
        "torchrl-share",
        "torchrl-idle-share",
        "gymwrapper-share",
    ],
)
def test_batches_are_compared_with_those_of_the_trainer(name: str) -> None:
    needed("stable_baselines3")
    needed("torchrl")
    result = result_of("export.py", "--rows", name, "--steps", "8")
    assert result["rows"][name]["ratio"]["median"] > 0


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("cartpole-1024-own", marks=pytest.mark.full),
        pytest.param("hopper-128-cached", marks=pytest.mark.full),
        # Those of Craftax compile for minutes each, by the same code.
    ],
)
def test_autoreset_is_compared_with_what_suites_do(row: str) -> None:
    result = result_of("autoreset.py", "--rows", row, "--steps", "8")["rows"]
    assert list(result) == [row]
    assert result[row]["ends_per_step"] > 0
    # The bits are not compared here, where programs are not optimised and round as they like.
    assert (result[row]["same_results"] is None) == (not row.endswith("own"))


@pytest.mark.full
def test_searches_replay_what_they_restore() -> None:
    needed("mctx")
    row = result_of("replay.py", "--rows", "lander-1")["rows"]["lander-1"]
    assert row["how"].startswith("by replay")
    assert 0.9 < row["steps_by_restores_and_depth"] < 1.1


@pytest.mark.full
def test_small_calls_are_compared_with_the_library() -> None:
    rows = ["cartpole-random-64-vector", "cartpole-step", "cartpole-export"]
    chosen = [argument for row in rows for argument in ("--rows", row)]
    result = result_of("calls.py", *chosen, "--steps", "4")["rows"]
    assert list(result) == rows
    assert all(row["ratio"]["median"] > 0 for row in result.values())


@pytest.mark.full
def test_the_memory_of_a_tree_is_measured() -> None:
    needed("mctx")
    needed("ale_py")
    command = [sys.executable, "benchmarks/search_tree.py", "--nodes", "20"]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    result = json.loads(done.stdout[done.stdout.index("{") :])
    assert result["snapshot_bytes"] > 28_224
