"""What the command line prints: its answer alone, on whatever stdout is."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import envhub
from envhub import Environment, StepResult, registry, spaces
from envhub._random_policy import Rollout
from envhub.testing.second_process import SecondProcess, make_by_recipe

from .packages import needed
from .test_cli import CARTPOLE, ToyEnvironment, ToySuite, ask, crashing, invoke  # noqa: F401 (a fixture)

ENVHUB = [sys.executable, "-c", "from envhub.cli import app; app()"]
ONLY = "from envhub import registry; registry.suites = lambda: [{suite!r}]; "


def outside(
    *arguments: str, stdout: Any = subprocess.PIPE, only: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, where there may be one suite alone."""
    python, option, code = ENVHUB
    return subprocess.run(
        [python, option, (ONLY.format(suite=only) if only else "") + code, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        encoding="utf-8",
        env={**os.environ, **variables},
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_output_that_cannot_be_written_is_one_message(form: list[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = outside("list", "craftax", *form, stdout=full)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["Error: [Errno 28] No space left on device"]


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = " ".join(map(shlex.quote, [*ENVHUB, "list", "gymnasium", "--json"]))
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1"], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


@pytest.mark.slow
def test_a_terminal_without_the_signs_gets_others() -> None:
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = outside("list", "craftax", **ascii_alone)
    assert done.returncode == 0, done.stderr
    assert "Craftax-Pixels-v1           y y y y y y y . y y  discrete, image" in done.stdout
    for arguments in (["info", CARTPOLE], ["matrix", "craftax"]):
        done = outside(*arguments, **ascii_alone)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["run", "bench", "tour"])
def test_more_environments_than_there_can_be_are_a_usage_error(command: str) -> None:
    env_id = [] if command == "tour" else [CARTPOLE]
    assert (
        "--num-envs" in invoke(command, *env_id, "--num-envs", "1" + "0" * 11, exit_code=2).stderr
    )


def test_the_want_of_memory_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def want(*_: Any) -> None:
        raise RuntimeError("INTERNAL: Error dispatching computation: Out of memory allocating 1")

    monkeypatch.setattr(Rollout, "__iter__", want)
    told = invoke("run", CARTPOLE, "--steps", "1", exit_code=1).stderr
    assert told.startswith("Error: INTERNAL: Error dispatching")


LOUD = """
import os
from tests.test_cli import ToySuite

os.write(1, b"printed on import")

class LoudSuite(ToySuite):
    name = "crashing"
    supported = ">=1"

    def make(self, name, options):
        import ctypes
        ctypes.CDLL(None).puts(b"printed by C, which keeps it until the end")
        print("printed by Python")
        return super().make(name, options)

SUITE = LoudSuite()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the C library has another name there")
@pytest.mark.usefixtures("crashing")
@pytest.mark.slow
def test_what_a_suite_prints_in_c_stays_out_of_the_answer(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(LOUD, encoding="utf-8")
    for arguments in (
        ["run", "crashing::Three", "--steps", "4"],
        ["list", "crashing"],
        ["doctor", "--try"],
    ):
        done = outside(*arguments, "--json", only="crashing")
        assert json.loads(done.stdout), done.stderr
        assert "printed on import" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the C library has another name there")
@pytest.mark.usefixtures("crashing")
@pytest.mark.slow
def test_what_a_suite_prints_in_c_stays_out_of_the_second_process(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(LOUD, encoding="utf-8")
    other = SecondProcess()
    for _ in range(2):
        recipe = {"id": "crashing::Three"}
        assert other.call("tests.test_cli_output:is_made", recipe=recipe)
    with pytest.raises(RuntimeError, match="SystemExit: enough"):
        other.call("tests.test_cli_output:leave")
    assert other.call("tests.test_cli_output:is_made", recipe={"id": CARTPOLE})
    other.close()


def is_made(recipe: Mapping[str, Any]) -> bool:
    return isinstance(make_by_recipe(recipe)[0], Environment)


def leave() -> None:
    raise SystemExit("enough")


# Several agents


class TeamEnvironment(ToyEnvironment):
    """Agent n of three gets n a step, and is done after n + 1 steps."""

    num_agents = 3

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        agents = jnp.arange(3)
        done = state + 1 > agents
        return StepResult(state + 1, state + 1, agents, done, jnp.zeros(3, bool), {})

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(9)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.MultiDiscrete([2, 2, 2])


class TeamSuite(ToySuite):
    name = "team"

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        return TeamEnvironment(None, None, self.capabilities(name, options))


@pytest.mark.parametrize("num_envs", ["1", "3", "4"])  # as many as agents, and not
def test_run_and_tour_of_several_agents(num_envs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    envhub.register("team", TeamSuite())
    try:
        monkeypatch.setattr(registry, "suites", lambda: ["team"])
        ran = ask("run", "team::Three", "--steps", "7", "--num-envs", num_envs)
        (stop,) = ask("tour", "--steps", "7", "--num-envs", num_envs)["stops"]
    finally:
        envhub.unregister("team")
    for measured in (ran, stop["measured"]):
        assert measured["episodes"] == measured["terminated"] == 2 * int(num_envs)
        assert measured["truncated"] == 0
        assert measured["length"] == {"mean": 3, "min": 3, "max": 3}
        assert measured["return"] == {"mean": 3, "min": 3, "max": 3}


@pytest.mark.slow
def test_run_of_foragers_of_jumanji_in_as_many_environments() -> None:
    needed("jumanji")
    foraging = "jumanji::LevelBasedForaging-v0"  # of two agents
    ran = ask("run", foraging, "--option", "time_limit=5", "--steps", "20", "--num-envs", "2")
    assert ran["episodes"] == ran["truncated"] == 8
    assert ran["length"] == {"mean": 5, "min": 5, "max": 5}


@pytest.mark.full
def test_tour_of_foragers_of_jumanji(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("jumanji")
    monkeypatch.setattr(registry, "suites", lambda: ["jumanji"])
    monkeypatch.setattr(type(registry.get("jumanji")), "example", "LevelBasedForaging-v0")
    (stop,) = ask("tour", "--steps", "100", "--num-envs", "3")["stops"]  # of 100 steps at most
    measured = stop["measured"]
    assert measured["episodes"] == measured["terminated"] + measured["truncated"] >= 3
    assert measured["length"]["max"] <= 100


@pytest.mark.parametrize("num_envs", ["2", "3"])
def test_run_of_agents_of_pufferlib(num_envs: str) -> None:
    """Walkers of three, which start together, end one by one, and walk a step in a while."""
    needed("pufferlib")
    walkers = "pufferlib::tests.quirks.puffer_envs:Walkers"
    ran = ask("run", walkers, "--option", "num_envs=3", "--steps", "60", "--num-envs", num_envs)
    assert ran["episodes"] == ran["terminated"] >= int(num_envs)
    assert ran["truncated"] == 0
    assert 0.5 < ran["return"]["mean"] / ran["length"]["mean"] < 1.5  # of 0, 1 or 2 a step


def test_run_of_paddles_of_ocean() -> None:
    needed("pufferlib")
    if "pufferlib::breakout" not in envhub.list_envs("pufferlib"):
        pytest.skip(reason="pufferlib-core has no Ocean")
    ran = ask("run", "pufferlib::breakout", "--option=num_envs=3", "--steps=20", "--num-envs=3")
    assert (ran["steps"], ran["num_envs"], ran["interrupted"]) == (20, 3, False)
