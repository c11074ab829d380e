"""The command line: what it answers, in both forms, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envhub
from envhub import (
    Capabilities,
    Environment,
    Gap,
    StepResult,
    Suite,
    _distribution,
    _versions,
    cli,
    errors,
    registry,
    spaces,
)
from envhub._random_policy import CHUNK, Rollout
from envhub._speed import Speed
from envhub.cli._noise import QUIET
from envhub.flags import FLAGS
from envhub.matrix.results import load
from envhub.matrix.tested import newest
from envhub.testing import check_id
from envhub.vector import VectorEnv
from envhub.wrappers import AutoReset

from .conftest import REPOSITORY
from .packages import needed
from .processes import fresh

CARTPOLE = "gymnax::CartPole-v1"
TOY_LENGTH = 3
BAR = set("▏▎▍▌▋▊▉█")


class ToyEnvironment(Environment):
    """Every episode lasts three steps, with rewards 1, 2 and 3."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        return jnp.int32(0), jnp.int32(0)

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        state = state + 1
        end = state == TOY_LENGTH
        return StepResult(state, state, state.astype(jnp.float32), end, end, {})

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(TOY_LENGTH + 1)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(2)


class ToySuite(Suite):
    name = "toy"
    title = "for these tests"
    module = distribution = "numpy"
    supported = ">=1"
    example = "Three"

    def known_names(self) -> Iterable[str]:
        return ["Three", "Broken"]

    live_names = known_names

    def options(self, name: str) -> Iterable[str]:
        return []

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        return Capabilities.native(renderable="it has no picture.")

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        return Gap("never", "it cannot [be] built.") if name == "Broken" else None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        print("a suite that prints")
        if name == "Broken":
            raise RuntimeError("no")
        return ToyEnvironment(None, None, self.capabilities(name, options))


class FailingSuite(ToySuite):
    name = "failing"

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        env = super().make(name, options)
        env.step_env = None  # type: ignore[method-assign,assignment]
        return env


@pytest.fixture(autouse=True)
def _toy_suites(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)  # a command sets them for good
    for suite in (ToySuite(), FailingSuite()):
        envhub.register(suite.name, suite)
    yield
    for name in ("toy", "failing"):
        envhub.unregister(name)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Leave only these suites, the ones marked with "-" not installed."""

    def leave(*names: str) -> None:
        absent = [registry.get(name[1:]).distribution for name in names if name.startswith("-")]
        ask = _versions.installed_version
        monkeypatch.setattr(
            _versions, "installed_version", lambda name: None if name in absent else ask(name)
        )
        monkeypatch.setattr(registry, "suites", lambda: [name.lstrip("-") for name in names])

    return leave


class Printed(NamedTuple):
    stdout: str
    stderr: str


def invoke(*arguments: str, exit_code: int = 0) -> Printed:
    # Not typer's CliRunner: which of its versions keep the two streams apart depends on click.
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        cli.app(list(arguments))
    assert ended.value.code == exit_code, out.getvalue() + err.getvalue()
    return Printed(out.getvalue(), err.getvalue())


def ask(*arguments: str, exit_code: int = 0) -> Any:
    """What a command answers with --json; nothing but JSON may be on stdout."""
    return json.loads(invoke(*arguments, "--json", exit_code=exit_code).stdout)


def words(text: str) -> str:
    return " ".join(text.split())


# Starting up


def test_help_imports_no_suite() -> None:
    suites = [registry.get(name).module for name in registry.BUILTIN]
    code = f"""
import sys
from envhub import cli
cli.app(["--help"], standalone_mode=False)
print("imported:", *sorted(set({suites}) & set(sys.modules)))
"""
    shown, _, imported = fresh(code).stdout.partition("imported:")
    assert all(
        command in shown
        for command in ("list", "info", "doctor", "run", "bench", "render", "tour", "matrix")
    )
    assert imported.strip() == ""


def test_pygame_does_not_greet_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame", reason="the suite that draws with it is not installed")
    for name in QUIET:
        monkeypatch.delenv(name)
    code = """
from envhub import cli
cli.app(["list", "craftax"], standalone_mode=False)
import pygame
pygame.init()
pygame.display.set_mode((9, 9))
"""
    done = fresh(code)
    assert "pygame" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_importing_envhub_imports_no_command_line() -> None:
    code = "import sys, envhub; print({'typer', 'rich', 'click'} & set(sys.modules))"
    assert fresh(code).stdout.strip() == "set()"


@pytest.mark.slow
def test_what_suites_print_stays_off_stdout() -> None:
    code = "from envhub import cli; cli.app(['info', 'brax::fast', '--json'])"
    assert json.loads(fresh(code).stdout)["id"] == "brax::fast"


# list


def test_list_is_list_envs_with_flags() -> None:
    answer = ask("list", "gymnax")
    found = {entry["id"]: entry["capabilities"] for entry in answer["environments"]}
    assert list(found) == envhub.list_envs("gymnax")
    assert answer["count"] == len(found) > 20
    assert found[CARTPOLE] == envhub.capabilities(CARTPOLE).as_dict()
    title, version = registry.get("gymnax").title, registry.get("gymnax").installed()
    assert answer["suites"] == {"gymnax": {"title": title, "version": version}}


@pytest.mark.slow
def test_list_imports_no_suite() -> None:
    suites = [registry.get(name).module for name in registry.BUILTIN]
    code = f"""
import sys
from envhub import cli
for command in ("--version", "list", "doctor"):
    cli.app([command], standalone_mode=False)
assert not set({suites}) & set(sys.modules)
"""
    shown = fresh(code).stdout
    assert shown.startswith(f"envhub {envhub.__version__}\n")
    assert f"{CARTPOLE.partition('::')[2]} " in shown


def test_the_package_runs_as_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["-m", "--version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("envhub", run_name="__main__")
    assert (caught.value.code, capsys.readouterr().out) == (0, f"envhub {envhub.__version__}\n")


def test_list_shows_one_row_an_environment_below_the_names_of_the_flags() -> None:
    shown = invoke("list", "toy").stdout.splitlines()
    marks = " ".join("·" if flag == "renderable" else "✓" for flag in FLAGS)
    row = next(line for line in shown if line.startswith("Three"))
    assert words(row) == f"Three {marks} not known"
    heads = {line.replace("│", "").strip(): line for line in shown if "│" in line}
    for index, flag in enumerate(FLAGS[1:], start=1):
        assert row[heads[flag].index(flag)] == marks[2 * index]
    version = registry.get("toy").installed()
    assert shown[0] == f"toy {version}, 2 environments: for these tests"
    assert "environments: 2" in shown


@pytest.mark.slow
def test_list_fits_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for line in invoke("list").stdout.splitlines():
        assert len(line) <= 80
    rows = [line for line in invoke("list", "navix").stdout.splitlines() if " ✓ ✓ " in line]
    assert len(rows) == ask("list", "navix")["count"]


def test_the_help_of_list_names_the_short_option_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "Short: --native." in words(re.sub("[│]", "", invoke("list", "--help").stdout))
    found = ask("list", "gymnasium", "--native")["environments"]
    assert [each["id"] for each in found] == envhub.list_envs("gymnasium", jax_native=True)


def test_list_marks_what_takes_an_option_and_names_it() -> None:
    assert set(ask("list", "ale")["environments"][0]) == {
        *("id", "family", "capabilities", "needs", "control", "image", "num_agents", "gap")
    }
    found = {entry["id"]: entry for entry in ask("list", "ale", "--forkable")["environments"]}
    assert list(found) == envhub.list_envs("ale", forkable=True)
    pong = found["ale::pong"]
    assert not pong["capabilities"]["forkable"]
    assert pong["needs"]["forkable"] == "forkable=True"
    assert pong["needs"]["renderable"] == "engine='python'"
    shown = invoke("list", "ale").stdout
    assert "○ with forkable=True: forkable" in shown
    row = next(line for line in shown.splitlines() if line.startswith("pong "))
    assert words(row) == "pong · ○ ✓ ○ ✓ ✓ ○ · ✓ ○ discrete, image"


@pytest.mark.parametrize("name", registry.BUILTIN)
@pytest.mark.slow
def test_what_an_option_is_said_to_give_it_gives(name: str) -> None:
    suite = registry.get(name)
    given = {
        tuple(options) for each in suite.known_names() for options in suite.needs(each).values()
    }
    assert given == {tuple(options) for options in suite.enabling}
    for each in suite.known_names():
        for flag, options in suite.needs(each).items():
            assert getattr(suite.capabilities(each, options), flag)
            assert not getattr(suite.capabilities(each, {}), flag)


@pytest.mark.slow
def test_list_filters_by_what_is_done_and_seen() -> None:
    def ids(*arguments: str) -> list[str]:
        return [entry["id"] for entry in ask("list", *arguments)["environments"]]

    assert "gymnax::Pendulum-v1" in ids("gymnax", "--no-discrete")
    assert CARTPOLE in ids("gymnax", "--discrete", "--native")
    assert ids("craftax", "--image") == [
        "craftax::Craftax-Classic-Pixels-v1",
        "craftax::Craftax-Pixels-v1",
    ]
    assert "jumanji::LevelBasedForaging-v0" in ids("jumanji", "--multi-agent")
    assert "jumanji::Snake-v1" in ids("jumanji", "--no-multi-agent")
    assert ids("gymnasium", "--native") == envhub.list_envs("gymnasium", jax_native=True)
    of_minatar = ids("--family", "minatar")
    assert {"gymnax::Breakout-MinAtar", "pgx::minatar-breakout"} <= set(of_minatar)
    assert all("minatar" in each.lower() for each in of_minatar)
    for family in ("classic-control", "Classic Control"):
        found = ids("--family", family)
        assert {CARTPOLE, "gymnasium::CartPole-v1"} <= set(found)
    error = ask("list", "gymnax", "--family", "minatr", exit_code=1)["error"]["message"]
    assert "Did you mean 'MinAtar'" in error


def test_list_leaves_out_what_it_does_not_know_and_says_so() -> None:
    assert ask("list", "toy", "--discrete")["not_known"] == ["toy::Broken", "toy::Three"]
    shown = invoke("list", "toy", "--no-image", "--forkable").stdout
    assert "not known, and left out: toy::Broken, toy::Three" in shown
    assert ask("list", "toy", "--multi-agent", "--renderable")["not_known"] == []


def test_list_shows_registered_ids_when_the_suites_are_asked() -> None:
    code = """
import gymnasium
gymnasium.register("Mine-v0", entry_point="nowhere:Mine")
from envhub import cli
cli.app(["list", "gymnasium", "--live", "--json"])
"""
    ids = [entry["id"] for entry in json.loads(fresh(code).stdout)["environments"]]
    assert "gymnasium::Mine-v0" in ids


def test_list_marks_a_gap_and_says_why() -> None:
    broken = ask("list", "toy")["environments"][0]
    assert broken["id"] == "toy::Broken"
    assert broken["gap"] == {"kind": "never", "reason": "it cannot [be] built."}
    shown = invoke("list", "toy").stdout
    assert "does not run (never)" in shown
    assert "toy::Broken (never): it cannot [be] built." in shown


@pytest.mark.parametrize("value", [True, False])
def test_list_filters_by_capability(value: bool) -> None:
    option = "--renderable" if value else "--no-renderable"
    found = [entry["id"] for entry in ask("list", "gymnax", option, "--forkable")["environments"]]
    assert found == envhub.list_envs("gymnax", renderable=value, forkable=True)
    assert 0 < len(found) < len(envhub.list_envs("gymnax"))


def test_list_has_an_option_pair_for_every_capability() -> None:
    for flag in FLAGS:
        dashed = flag.replace("_", "-")
        yes, no = (ask("list", "toy", f"--{prefix}{dashed}")["count"] for prefix in ("", "no-"))
        assert (yes, no) == ((0, 2) if flag == "renderable" else (2, 0))


def test_list_says_quietly_what_is_not_installed(only: Any) -> None:
    only("-navix", "toy")
    result, answer = invoke("list"), ask("list")
    assert 'navix is not installed: pip install "envhub-rl[navix]"' in result.stdout
    assert result.stderr == ""
    assert [entry["id"] for entry in answer["environments"]] == ["toy::Broken", "toy::Three"]
    command = 'pip install "envhub-rl[navix]"'
    assert answer["not_installed"] == [{"suite": "navix", "command": command}]
    assert answer["unusable"] == []


def test_list_of_a_suite_that_is_not_installed_says_what_it_would_have(only: Any) -> None:
    only("-navix")
    result = invoke("list", "navix").stdout
    assert "navix (not installed)" in result
    assert "Navix-Empty-5x5-v0" in result


def test_list_names_the_suites_that_are_not_usable(
    only: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    only("failing", "toy")
    monkeypatch.setattr(FailingSuite, "supported", "<1")
    (unusable,) = ask("list")["unusable"]
    assert (unusable["suite"], unusable["type"]) == ("failing", "UnsupportedVersionError")
    assert "envhub supports numpy<1" in invoke("list").stderr


# Errors


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["info", "CartPole-v1"], "InvalidEnvIdError", "suite::Name"),
        (["run", "gymnaxx::CartPole-v1"], "UnknownSuiteError", "Did you mean 'gymnax'"),
        (["info", "gymnax::CartPole"], "UnknownEnvError", "Did you mean 'CartPole-v1'"),
        (["list", "gymnaxx"], "UnknownSuiteError", "Did you mean 'gymnax'"),
        (["run", CARTPOLE, "-o", "gravty=1"], "InvalidOptionError", "Did you mean 'gravity'"),
        (["info", CARTPOLE, "-o", "gravity=strong"], "InvalidOptionError", "gravity='strong'"),
        (["run", "toy::Broken"], "UnavailableEnvError", "it cannot [be] built."),
    ],
)
def test_an_error_is_one_message(arguments: list[str], error: str, message: str) -> None:
    result, answer = invoke(*arguments, exit_code=1), ask(*arguments, exit_code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert answer["error"]["type"] == error
    assert message in answer["error"]["message"]


@pytest.mark.parametrize("command", ["run", "bench"])
def test_a_missing_suite_is_an_error_with_the_command(command: str, only: Any) -> None:
    only("-navix")
    arguments = (command, "navix::Navix-Empty-5x5-v0")
    assert 'pip install "envhub-rl[navix]"' in invoke(*arguments, exit_code=1).stderr
    assert ask(*arguments, exit_code=1)["error"]["type"] == "MissingDependencyError"


@pytest.mark.parametrize(
    "bad", [["--steps", "0"], ["--num-envs", "0"], ["-o", "gravity"], ["-o", "=1"]]
)
def test_a_misuse_is_refused(bad: list[str]) -> None:
    assert invoke("run", CARTPOLE, *bad, exit_code=2).stdout == ""


# info


def test_info_describes_an_environment() -> None:
    env, params = envhub.make(CARTPOLE)
    answer = ask("info", CARTPOLE)
    assert answer["observation_space"] == str(env.observation_space(params))
    assert answer["action_space"] == "Discrete(2)"
    assert answer["params"] == {name: getattr(params, name) for name in answer["params"]}
    assert len(answer["params"]) == 11
    assert set(answer["keywords"]) == {
        *answer["params"],
        *registry.get("gymnax").options("CartPole-v1"),
    }
    assert answer["capabilities"] == env.capabilities.as_dict()
    assert answer["reasons"] == dict(env.capabilities.reasons)
    assert answer["gap"] is None
    assert answer["versions"]["gymnax"] == env.spec.version  # type: ignore[union-attr]
    assert set(answer["versions"]) == {"gymnax", "python", "envhub", "jax", "jaxlib", "numpy"}


def test_info_shows_the_same_to_a_reader() -> None:
    shown = words(invoke("info", CARTPOLE).stdout)
    reason = envhub.capabilities(CARTPOLE).why("differentiable")
    for part in ("Discrete(2)", "gravity = 9.8", f"· differentiable: {reason}", "✓ forkable"):
        assert part in shown
    assert f"jax {jax.__version__}" in shown


def test_info_follows_options() -> None:
    options = ["-o", "episode_length=55", "-o", "backend=mjx"]
    answer = ask("info", "brax::inverted_pendulum", *options)
    assert answer["params"]["episode_length"] == 55
    assert not answer["capabilities"]["differentiable"]


def test_info_says_arrays_as_lists_and_none_as_null() -> None:
    assert ask("info", "gymnax::Acrobot-v1")["params"]["available_torque"] == [-1.0, 0.0, 1.0]
    assert ask("info", "brax::fast")["params"]["sys"] is None


def test_info_of_a_gap_says_what_is_known() -> None:
    answer = ask("info", "toy::Broken")
    assert answer["gap"] == {"kind": "never", "reason": "it cannot [be] built."}
    assert answer["observation_space"] is None
    assert "never: it cannot [be] built." in invoke("info", "toy::Broken").stdout


def test_info_answers_without_the_suite(only: Any) -> None:
    here = ask("info", CARTPOLE)
    only("-gymnax")
    answer = ask("info", CARTPOLE)
    for key in ("observation_space", "action_space", "capabilities", "reasons", "family"):
        assert answer[key] == here[key]
    assert (answer["params"], answer["keywords"], here["spaces_of"]) == (None, None, None)
    assert answer["spaces_of"].startswith("gymnax 1.")
    assert answer["command"] == 'pip install "envhub-rl[gymnax]"'
    shown = words(invoke("info", CARTPOLE).stdout)
    assert 'not installed Run: pip install "envhub-rl[gymnax]"' in shown
    # What options make of the spaces is not known without the suite.
    assert ask("info", CARTPOLE, "-o", "gravity=1.0")["observation_space"] is None


def test_info_answers_without_a_package_that_the_environment_needs() -> None:
    needed("gymnasium")
    code = """
import sys
sys.modules["mujoco"] = None  # as if it were absent
from envhub import cli
cli.app(["info", "gymnasium::Hopper-v5", "--json"])
"""
    answer = json.loads(fresh(code).stdout)
    capabilities = envhub.capabilities("gymnasium::Hopper-v5")
    assert answer["capabilities"] == capabilities.as_dict()
    assert "(3,)" in answer["action_space"]
    assert (answer["params"], answer["command"]) == (None, None)
    assert answer["problem"].endswith("Run: pip install mujoco")
    assert answer["spaces_of"].startswith("gymnasium 1.")


def test_info_marks_what_takes_an_option() -> None:
    assert "○ forkable, with forkable=True: " in words(invoke("info", "ale::pong").stdout)
    answer = ask("info", "ale::pong", "-o", "forkable=True")
    assert answer["capabilities"]["forkable"]
    assert "forkable" not in answer["needs"]


# run


def test_run_finishes_and_restarts_every_episode() -> None:
    steps, num_envs = 2 * CHUNK + 50, 2  # a number of steps that chunks of one length overshoot
    answer = ask("run", "toy::Three", "--steps", str(steps), "--num-envs", str(num_envs))
    per_env = steps // TOY_LENGTH
    assert (answer["steps"], answer["num_envs"]) == (steps, num_envs)
    assert answer["episodes"] == answer["terminated"] == answer["truncated"] == per_env * num_envs
    assert answer["return"] == {"mean": 6, "min": 6, "max": 6}
    assert answer["length"] == {"mean": 3, "min": 3, "max": 3}
    assert answer["compile_seconds"] > 0
    assert answer["steps_per_second"] > 0
    assert not answer["interrupted"]


def test_run_tells_truncation_from_termination() -> None:
    option = ("-o", "max_steps_in_episode=5")
    answer = ask("run", "gymnax::MountainCar-v0", "--steps", "23", "--num-envs", "3", *option)
    assert (answer["episodes"], answer["truncated"], answer["terminated"]) == (12, 12, 0)
    assert answer["length"] == {"mean": 5, "min": 5, "max": 5}
    assert answer["return"] == {"mean": -5, "min": -5, "max": -5}


def test_run_counts_what_cartpole_gives() -> None:
    answer = ask("run", CARTPOLE, "--steps", "500", "--num-envs", "4")
    assert answer["terminated"] == answer["episodes"] > 50
    assert answer["return"] == answer["length"]  # its reward is 1 a step
    assert 8 <= answer["length"]["min"] < answer["length"]["max"]  # no two resets are the same
    unfinished = 500 * 4 - answer["length"]["mean"] * answer["episodes"]
    assert 0 <= unfinished < 4 * answer["length"]["max"]


def test_run_is_decided_by_the_seed() -> None:
    def measured(seed: str) -> Any:
        answer = ask("run", CARTPOLE, "--steps", "100", "--num-envs", "2", "--seed", seed)
        return answer["episodes"], answer["return"]

    assert measured("1") == measured("1") != measured("2")


def test_run_shows_the_same_to_a_reader() -> None:
    result = invoke("run", "toy::Three", "--steps", "10", "--num-envs", "2")
    shown = words(result.stdout)
    assert "10 in each of 2" in shown
    assert "6 finished: 6 by termination, 6 by truncation" in shown
    assert "mean 6, min 6, max 6" in shown
    assert result.stderr.strip() == ""  # no progress bar where nobody watches


def test_run_without_an_ended_episode_has_no_return() -> None:
    answer = ask("run", "toy::Three", "--steps", "2")
    assert (answer["episodes"], answer["return"]["mean"]) == (0, None)
    assert "mean -" in invoke("run", "toy::Three", "--steps", "2").stdout


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_interrupted_run_says_what_was_measured(
    form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Rollout):
        def __iter__(self) -> Iterator[int]:
            for taken in super().__iter__():
                yield taken
                raise KeyboardInterrupt

    monkeypatch.setattr("envhub.cli.run.Rollout", Interrupted)
    arguments = ("toy::Three", "--steps", str(10 * CHUNK), "--num-envs", "2", *form)
    shown = invoke("run", *arguments, exit_code=130).stdout
    if form:
        answer = json.loads(shown)
        assert answer["interrupted"]
        assert (answer["steps"], answer["episodes"]) == (CHUNK, 2 * (CHUNK // TOY_LENGTH))
    else:
        assert f"{CHUNK} in each of 2 (interrupted)" in shown


def test_a_rollout_is_random_and_in_the_action_space() -> None:
    env = ToyEnvironment(None, None, Capabilities.native())
    taken: list[np.ndarray] = []

    def spy(key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        jax.debug.callback(lambda action: taken.append(np.asarray(action)), action)
        return ToyEnvironment.step_env(env, key, state, action, params)

    env.step_env = spy  # type: ignore[method-assign]
    list(Rollout(env, None, steps=20, num_envs=3, seed=0))
    jax.effects_barrier()
    assert len(taken) == 60
    assert {int(action) for action in taken} == {0, 1}


# bench


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of a millisecond are long enough: the speed is not looked at."""
    monkeypatch.setattr("envhub._speed.CALL_SECONDS", 0.001)


@pytest.mark.usefixtures("quick")
def test_bench_measures_each_number_of_environments() -> None:
    arguments = ("bench", "toy::Three", "--num-envs", " 4, 1,4", "--repeats", "2", "--seed", "3")
    answer = ask(*arguments, "--steps", "300")
    assert (answer["ids"], answer["seed"], answer["repeats"]) == (["toy::Three"], 3, 2)
    assert not answer["interrupted"]
    assert {row["id"] for row in answer["measured"]} == {"toy::Three"}
    assert [row["num_envs"] for row in answer["measured"]] == [1, 4]
    for row in answer["measured"]:
        assert (row["steps"], row["repeats"]) == (300, 2)
        assert row["episodes"] == 2 * 300 // TOY_LENGTH * row["num_envs"]
        assert row["compile_seconds"] > 0
        speed = row["steps_per_second"]
        assert 0 < speed["min"] <= speed["median"] <= speed["max"]
    assert answer["device"] == jax.devices()[0].device_kind
    assert answer["cores"] >= 1
    assert answer["load"] >= 0
    assert set(answer["versions"]) >= {"numpy", "python", "envhub", "jax", "jaxlib"}
    assert answer["options"] == {"autoreset": "same_step"}
    by_time = ask(*arguments, "-o", "autoreset=next_step")
    assert by_time["options"] == {"autoreset": "next_step"}
    assert all(row["steps"] >= 1 for row in by_time["measured"])


@pytest.mark.usefixtures("quick")
def test_bench_shows_the_same_to_a_reader() -> None:
    result = invoke("bench", "toy::Three", "--num-envs", "1,4", "--repeats", "1")
    shown = words(result.stdout)
    assert f"jax {jax.__version__}" in shown
    assert "autoreset 'same_step': the median, least and greatest of 1 repeats" in shown
    assert "The bars are logarithmic, from " in shown
    rows = [line.split() for line in result.stdout.splitlines() if set(line) & BAR]
    assert [(row[0], len(row)) for row in rows] == [("1", 6), ("4", 6)]
    assert result.stderr.strip() == ""


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
def test_bench_measures_several_environments_in_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needed("matplotlib")
    measured: list[tuple[int, int]] = []

    class Watched(Speed):
        def __iter__(self) -> Iterator[int]:
            for repeat in super().__iter__():
                measured.append((self._venv.num_envs, repeat))
                yield repeat

    monkeypatch.setattr("envhub.cli.bench.Speed", Watched)
    path, ids = tmp_path / "speed.svg", ["toy::Three", CARTPOLE]
    arguments = ("bench", *ids, ids[0], "--num-envs", "1,2", "--repeats", "2", "--steps", "3")
    answer = ask(*arguments, "--out", str(path))
    assert measured == [(1, 1), (1, 1), (1, 2), (1, 2), (2, 1), (2, 1), (2, 2), (2, 2)]
    assert answer["ids"] == ids
    rows = [(row["id"], row["num_envs"]) for row in answer["measured"]]
    assert rows == [(ids[0], 1), (ids[1], 1), (ids[0], 2), (ids[1], 2)]
    assert "gymnax" in answer["versions"]
    assert path.read_text(encoding="utf-8").count("<!-- gymnax::CartPole-v1 -->") == 1
    shown = invoke(*arguments).stdout
    assert [line.split()[0] for line in shown.splitlines() if set(line) & BAR] == ids * 2


@pytest.mark.usefixtures("quick")
def test_bench_takes_environments_on_the_host() -> None:
    (row,) = ask("bench", "gymnasium::CartPole-v1", "--num-envs", "2", "--steps", "40")["measured"]
    assert row["episodes"] > 0


@pytest.mark.parametrize("counts", ["0,x", "", "1,,2", "-1", "1.5", "1;2"])
def test_bench_refuses_what_is_no_number_of_environments(counts: str) -> None:
    result = invoke("bench", "toy::Three", "--num-envs", counts, exit_code=2)
    assert "expected positive integers with commas between them, such as 1,8,64" in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["speed.png", "speed.SVG"])
def test_bench_plots_into_a_file(name: str, tmp_path: Path) -> None:
    needed("matplotlib")
    path = tmp_path / name
    arguments = ("bench", "toy::Three", "--num-envs", "1,2", "--steps", "3", "--out", str(path))
    assert ask(*arguments)["path"] == str(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("x.gif", "InvalidOptionError", "png, svg, got 'gif'"),
        ("x", "InvalidOptionError", "png, svg"),
        ("x.svg", "MissingDependencyError", "Run: pip install matplotlib"),
    ],
)
def test_bench_says_that_it_cannot_plot_before_it_measures(
    name: str, error: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("envhub.cli.bench.Speed", None)
    arguments = ("bench", "toy::Three", "--out", str(tmp_path / name))
    assert message in invoke(*arguments, exit_code=1).stderr
    assert ask(*arguments, exit_code=1)["error"]["type"] == error
    assert list(tmp_path.iterdir()) == []


def test_bench_refuses_a_folder_that_is_not_there() -> None:
    bad = ("--out", "no/such/folder/x.png")
    assert "there is no folder" in invoke("bench", CARTPOLE, *bad, exit_code=2).stderr


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_interrupted_bench_says_what_was_measured(
    form: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Interrupted(Speed):
        def __iter__(self) -> Iterator[int]:
            for repeat in super().__iter__():
                if (self._venv.num_envs, repeat) == (2, 2):
                    raise KeyboardInterrupt
                yield repeat

    monkeypatch.setattr("envhub.cli.bench.Speed", Interrupted)
    arguments = ("bench", "toy::Three", "--num-envs", "1,2,3", "--repeats", "3", "--steps", "3")
    shown = invoke(*arguments, *form, exit_code=130).stdout
    if form:
        answer = json.loads(shown)
        assert answer["interrupted"]
        found = [(row["num_envs"], row["repeats"]) for row in answer["measured"]]
        assert found == [(1, 3), (2, 2)]
    else:
        assert "toy::Three (interrupted)" in shown
        assert sum(bool(set(line) & BAR) for line in shown.splitlines()) == 2


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_bench_that_fails_shows_what_was_measured_before(
    form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class TooLarge(Speed):
        def __iter__(self) -> Iterator[int]:
            if self._venv.num_envs == 2:
                raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
            return super().__iter__()

    monkeypatch.setattr("envhub.cli.bench.Speed", TooLarge)
    arguments = ("bench", "toy::Three", "--num-envs", "1,2,3", "--repeats", "1", "--steps", "3")
    shown = invoke(*arguments, *form, exit_code=1).stdout
    assert "RESOURCE_EXHAUSTED: out of memory" in shown
    if form:
        assert [row["num_envs"] for row in json.loads(shown)["measured"]] == [1]
    else:
        assert sum(bool(set(line) & BAR) for line in shown.splitlines()) == 1


@pytest.mark.parametrize("command", ["run", "bench"])
def test_an_interrupt_within_a_call_to_the_host_is_one(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(state: Any) -> Any:
        raise KeyboardInterrupt

    class Interrupting(ToyEnvironment):
        """A class of its own: what is compiled of equal environments is shared."""

        def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
            shape = jax.ShapeDtypeStruct((), jnp.int32)
            called = jax.pure_callback(interrupt, shape, state, vmap_method="sequential")
            return StepResult(called, called, jnp.float32(0), called < 0, called < 0, {})

    monkeypatch.setattr(f"{__name__}.ToyEnvironment", Interrupting)
    assert ask(command, "toy::Three", "--num-envs", "1", exit_code=130)["interrupted"]


def test_an_interrupted_bench_that_measured_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needed("matplotlib")

    class Interrupted(Speed):
        def __iter__(self) -> Iterator[int]:
            raise KeyboardInterrupt

    monkeypatch.setattr("envhub.cli.bench.Speed", Interrupted)
    arguments = ("bench", "toy::Three", "--out", str(tmp_path / "x.png"))
    answer = ask(*arguments, exit_code=130)
    assert (answer["measured"], answer["path"]) == ([], None)
    assert "toy::Three (interrupted)" in invoke(*arguments, exit_code=130).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_speed_is_that_of_steps_whose_observations_are_computed() -> None:
    seen: list[int] = []

    def look(state: Any) -> np.ndarray:
        seen.append(int(state))
        return np.int32(state)  # type: ignore[return-value]

    class Watched(ToyEnvironment):
        """A compiler may leave out a pure callback whose result is not used."""

        def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
            result = super().step_env(key, state, action, params)
            shape = jax.ShapeDtypeStruct((), jnp.int32)
            looked = jax.pure_callback(look, shape, result.state, vmap_method="sequential")
            return result._replace(obs=looked)

    env = AutoReset(Watched(None, None, Capabilities.native()), "same_step")
    speed = Speed(VectorEnv(env, 2), None, steps=9, repeats=1, seed=0)
    for repeats in speed:
        assert repeats == 1
    assert len(seen) >= 2 * 9
    assert set(seen) == {1, 2, 3}


# render


def test_render_writes_the_episode_as_a_gif(tmp_path: Path) -> None:
    pillow = needed("PIL.Image")
    path = tmp_path / "pole.gif"
    arguments = ("render", "gymnasium::CartPole-v1", "--policy", "random", "--seed", "1")
    answer = ask(*arguments, "--out", str(path), "--fps", "10", "-o", "force_mag=20.0")
    assert (answer["path"], answer["policy"], answer["fps"]) == (str(path), "random", 10)
    assert answer["terminated"]
    assert answer["return"] == answer["steps"] == answer["frames"] - 1 > 5  # its reward is 1
    with pillow.open(path) as gif:
        shown_ms = 0  # of frames that are equal, one is shown for longer
        for index in range(gif.n_frames):
            gif.seek(index)
            shown_ms += gif.info["duration"]
    assert shown_ms == 100 * answer["frames"]
    shown = words(invoke(*arguments, "--out", str(path), "--steps", "3").stdout)
    for row in (f"path {path}", "frames 4, 50 a second", "steps 3, not the whole", "return 3"):
        assert row in shown


def test_render_writes_the_first_frame_as_a_png(tmp_path: Path) -> None:
    pillow = needed("PIL.Image")
    path = tmp_path / "pole.PNG"
    answer = ask("render", "gymnasium::CartPole-v1", "--out", str(path), "--steps", "2")
    assert (answer["frames"], answer["steps"], answer["return"]) == (1, 2, 2)
    env, params = envhub.make("gymnasium::CartPole-v1")
    _, state = env.reset(jax.random.split(jax.random.key(0))[1], params)
    with pillow.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), env.render(state, params))


@pytest.mark.parametrize(
    ("env_id", "name", "error", "message"),
    [
        ("toy::Three", "x.gif", "MissingCapabilityError", "it has no picture."),
        (CARTPOLE, "x.webm", "InvalidOptionError", "mp4, gif, png, got 'webm'"),
        (CARTPOLE, "x", "InvalidOptionError", "mp4, gif, png"),
    ],
)
def test_render_says_what_it_cannot(
    env_id: str, name: str, error: str, message: str, tmp_path: Path
) -> None:
    arguments = ("render", env_id, "--out", str(tmp_path / name))
    result, answer = invoke(*arguments, exit_code=1), ask(*arguments, exit_code=1)
    assert message in result.stderr
    assert result.stdout == ""
    assert answer["error"]["type"] == error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        [],
        ["--out", "no/such/folder/x.gif"],
        ["--out", "x.gif", "--steps", "0"],
        ["--out", "x.gif", "--fps", "0"],
        ["--out", "x.gif", "--policy", "best"],
    ],
)
def test_a_misuse_of_render_is_refused(bad: list[str]) -> None:
    assert invoke("render", CARTPOLE, *bad, exit_code=2).stdout == ""


# doctor

CRASHING = """
import os, signal
from tests.test_cli import ToySuite

class CrashingSuite(ToySuite):
    name = "crashing"

    def make(self, name, options):
        os.kill(os.getpid(), signal.SIGKILL)

SUITE = CrashingSuite()
"""


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed suite of a third party that ends the process when it is used."""
    (tmp_path / "crashing.py").write_text(CRASHING, encoding="utf-8")
    facts = tmp_path / "crashing-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: crashing\nVersion: 1.0\n", encoding="utf-8"
    )
    (facts / "entry_points.txt").write_text(
        "[envhub.suites]\ncrashing = crashing:SUITE\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")


@pytest.mark.usefixtures("crashing")
@pytest.mark.slow
def test_doctor_tries_every_suite(only: Any) -> None:
    only("crashing", "gymnax", "-navix")
    answer = ask("doctor", "--try")
    crashed, works, missing = answer["suites"]
    del works["needs_network"]  # whether the images of MNIST are here
    assert works == {
        "suite": "gymnax",
        "state": "works",
        "example": CARTPOLE,
        "version": registry.get("gymnax").installed(),
        "supported": registry.get("gymnax").supported,
        "problem": None,
        "command": 'pip install "envhub-rl[gymnax]"',
        "misfits": [],
    }
    assert crashed["state"] == "does not work"
    assert "Killed" in crashed["problem"]
    assert (missing["state"], missing["version"]) == ("not installed", None)
    assert missing["problem"] is None
    assert answer["devices"]
    assert answer["versions"]["jax"] == jax.__version__


def test_doctor_shows_what_is_broken_in_red(only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    only("toy", "-navix")
    monkeypatch.setattr(ToySuite, "supported", "some")
    monkeypatch.setattr(registry, "refused_claims", lambda: {"gymnax": "claimed by an imposter"})
    answer = ask("doctor", exit_code=1)
    toy, _ = answer["suites"]
    assert toy["state"] == "does not work"
    assert "'some', the range of toy, failed" in toy["problem"]
    assert answer["refused_claims"] == {"gymnax": "claimed by an imposter"}
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = invoke("doctor", exit_code=1).stdout
    red = [line for line in shown.splitlines() if "\x1b[31m" in line]
    assert {line.split("m", 1)[1].split()[0] for line in red} >= {"toy", "toy:", "gymnax:"}
    assert not any("navix" in line for line in red)


def test_what_must_be_fetched_is_never_made_and_doctor_list_and_info_say_how(
    only: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap, needy = Gap("needs_network", "its data is not here. Run: fetch [it]"), "toy::Broken"
    of_name = {"Broken": gap}
    monkeypatch.setattr(ToySuite, "gap", lambda suite, name, options: of_name.get(name))
    monkeypatch.setattr(ToySuite, "make", lambda suite, name, options: pytest.fail("it was made"))
    only("toy")
    (toy,) = ask("doctor")["suites"]
    assert (toy["state"], toy["needs_network"]) == ("installed", {gap.reason: ["Broken"]})
    assert f"toy: Broken does not run yet: {gap.reason}" in words(invoke("doctor").stdout)
    assert ask("info", needy)["gap"] == {"kind": gap.kind, "reason": gap.reason}
    assert gap.reason in words(invoke("list", "toy").stdout)
    with pytest.raises(errors.UnavailableEnvError, match=r"needs_network: .* fetch \[it\]\)$"):
        envhub.make(needy)
    columns = check_id(needy).columns()
    assert (columns["makes"].value, columns["makes"].reason) == (gap.kind, gap.reason)
    assert {each.value for name, each in columns.items() if name != "makes"} == {"not run"}


def test_doctor_shows_a_suite_whose_list_of_names_fails_in_red(
    only: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(suite: Suite) -> Iterable[str]:
        raise ValueError("no names")

    monkeypatch.setattr(ToySuite, "live_names", fails)
    only("toy", "gymnax")
    toy, gymnax = ask("doctor")["suites"]
    assert (toy["state"], gymnax["state"]) == ("does not work", "installed")
    assert "no names" in toy["problem"]
    assert "toy" in toy["problem"]


def test_doctor_says_what_is_newer_than_anything_tested_and_what_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tested = newest(load())
    assert set(tested) >= {"jax", "gymnax", "gymnasium", "mujoco", "numpy"}
    here = {**tested, "jax": "99.1", "mujoco": "99.0.0"}
    monkeypatch.setattr(_versions, "installed_version", here.get)
    monkeypatch.setattr(registry, "suites", lambda: ["gymnasium"])
    answer = ask("doctor")
    assert answer["newer_than_tested"] == {
        name: {"installed": here[name], "tested": tested[name]} for name in ("jax", "mujoco")
    }
    shown = words(invoke("doctor").stdout)
    assert f"jax 99.1 is newer than anything tested: {tested['jax']} was." in shown
    misfits = f"mujoco 99.0.0 and dm-control {tested['dm-control']} do not fit"
    assert f"{misfits}: its tasks cannot be loaded." in shown
    here |= {"jax": tested["jax"], "mujoco": tested["mujoco"], "dm-control": "99"}
    answer = ask("doctor")
    assert [*answer["newer_than_tested"]] == ["dm-control"]
    assert answer["suites"][0]["misfits"] == []


def test_misfits_are_requirements_of_packages() -> None:
    misfits = [each for name in registry.BUILTIN for each in registry.get(name).misfits]
    assert misfits
    for one, other, reason in misfits:
        assert _versions.met(f"{one},<0") is _versions.met(f"{other},<0") is None
        assert not reason.endswith(".")


def test_doctor_notices_the_strangers_distribution(
    only: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    only("-navix")
    assert json.loads(invoke("doctor", "--json", exit_code=1).stdout)["stranger"] is None
    monkeypatch.setattr(_distribution, "_STRANGERS_FILE", "hub.py")  # which is there
    assert "Run: pip uninstall envhub." in words(invoke("doctor", exit_code=1).stdout)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals")
@pytest.mark.slow
def test_doctor_shows_progress_while_a_plug_in_of_jax_starts(tmp_path: Path) -> None:
    (tmp_path / "idle_plugin.py").write_text("def initialize(): pass\n", encoding="utf-8")
    facts = tmp_path / "idle_plugin-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Name: idle-plugin\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[jax_plugins]\nidle = idle_plugin\n", encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    program = "from envhub.cli import app; app(['doctor'])"
    terminal, stderr = os.openpty()
    output = tmp_path / "stdout"
    with output.open("w", encoding="utf-8") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": paths, "TERM": "xterm"},
            stdout=stdout,
            stderr=stderr,
        )
    os.close(stderr)
    shown = b""
    with contextlib.suppress(OSError):  # Linux raises it at the end of a terminal
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    assert process.wait() == 0
    assert b"asking JAX for its devices" in shown
    assert jax.devices("cpu")[0].platform in output.read_text(encoding="utf-8")


@pytest.mark.usefixtures("crashing")
def test_doctor_shows_the_same_to_a_reader_and_fails_if_nothing_works(only: Any) -> None:
    only("crashing", "-navix")
    assert "doctor --try" in invoke("doctor").stdout
    shown = invoke("doctor", "--try", exit_code=1).stdout
    assert "crashing: [signal: Killed] Run: pip install" in words(shown)
    assert "navix >=0.7.1,<5 not installed" in words(shown)
    assert shown.count('pip install "envhub-rl[navix]"') == 1


# tour


def test_tour_runs_an_environment_of_every_suite(only: Any) -> None:
    only("gymnax", "-navix", "toy")
    ran, missing, toy = ask("tour", "--steps", "200", "--num-envs", "3")["stops"]
    assert (ran["suite"], ran["id"], ran["state"]) == ("gymnax", CARTPOLE, "ran")
    assert ran["version"] == registry.get("gymnax").installed()
    assert ran["capabilities"] == envhub.capabilities(CARTPOLE).as_dict()
    assert ran["measured"]["episodes"] > 0
    assert (missing["state"], missing["command"]) == ("missing", 'pip install "envhub-rl[navix]"')
    assert (toy["measured"]["episodes"], toy["measured"]["return"]["mean"]) == (198, 6)


def test_tour_shows_the_same_to_a_reader(only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    only("-navix", "toy")
    monkeypatch.setenv("COLUMNS", "80")
    lines = invoke("tour", "--steps", "10", "--num-envs", "2").stdout.splitlines()
    shown = [*map(words, lines)]
    assert shown[0] == "suite version environment episodes return steps/s"
    assert "navix not installed" in shown
    version = registry.get("toy").installed()
    assert any(line.startswith(f"toy {version} Three 6 6 ") for line in shown)
    marks = " ".join("·" if flag == "renderable" else "✓" for flag in FLAGS)
    assert f"toy {marks}" in shown
    assert 'navix is not installed: pip install "envhub-rl[navix]"' in shown


def test_tour_goes_on_after_a_failure_and_reports_it(only: Any) -> None:
    only("failing", "toy")
    arguments = ("tour", "--steps", "10", "--num-envs", "2")
    failed, ran = ask(*arguments, exit_code=1)["stops"]
    assert (failed["state"], failed["error"]["type"], ran["state"]) == (
        "failed",
        "TypeError",
        "ran",
    )
    assert "failing failed with TypeError: " in invoke(*arguments, exit_code=1).stdout


def test_tour_without_any_suite_fails(only: Any) -> None:
    only("-navix")
    assert 'pip install "envhub-rl[navix]"' in invoke("tour", exit_code=1).stdout


# example

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))


def test_examples_are_listed_with_what_they_show() -> None:
    listed = ask("example")["examples"]
    assert [each["name"] for each in listed] == [path.stem for path in EXAMPLES]
    assert all(each["title"] for each in listed)
    shown = words(invoke("example").stdout)
    assert "ppo PPO in JAX: four seeds" in shown
    assert "envhub example NAME --copy" in shown


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_printed_and_copied_as_it_is(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("example", path.stem).stdout == path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    assert f"python {path.name} --help" in words(invoke("example", path.stem, "--copy").stdout)
    assert (tmp_path / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    (tmp_path / path.name).write_text("mine", encoding="utf-8")
    assert "already exists" in words(invoke("example", path.stem, "--copy", exit_code=2).stderr)
    assert (tmp_path / path.name).read_text(encoding="utf-8") == "mine"
    answer = ask("example", path.stem)
    assert answer == {
        "name": path.stem,
        "source": path.read_text(encoding="utf-8"),
        "copied_to": None,
    }


def test_an_unknown_example_names_the_nearest() -> None:
    assert "'ppo'" in words(invoke("example", "ppoo", exit_code=2).stderr)
    assert "which example" in words(invoke("example", "--copy", exit_code=2).stderr)
