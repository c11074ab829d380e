"""The benchmarks run; what they measure is not for tests."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .conftest import REPOSITORY


@pytest.mark.parametrize("suite", ["gymnax", "brax"])
def test_the_hub_is_compared_with_the_suite(suite: str) -> None:
    small = ["--num-envs", "4", "--steps", "4", "--repeats", "1", "--json"]
    command = [sys.executable, "benchmarks/overhead.py", "--suite", suite, *small]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
