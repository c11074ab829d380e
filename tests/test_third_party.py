"""A suite of one's own: from an installed package, or registered in this process."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import pytest

import envhub
from envhub import errors, registry
from envhub.testing import SuiteTests

PACKAGE = '''
    """A counter: up or down, from a random start, until it reaches the goal."""

    from typing import Any

    import jax
    import jax.numpy as jnp

    from envhub import Capabilities, Environment, StepResult, Suite, spaces
    from envhub.params import params_dataclass


    @params_dataclass
    class CounterParams:
        goal: Any = 3


    class Counter(Environment):
        def reset_env(self, key, params):
            count = jax.random.randint(key, (), -1, 2)
            return count, count

        def step_env(self, key, state, action, params):
            count = state + jnp.where(action == 1, self.unwrapped, -self.unwrapped)
            arrived = count >= params.goal
            return StepResult(count, count, arrived, arrived, False, {"count": count})

        def observation_space(self, params=None):
            return spaces.Box(-100, 100, (), jnp.int32)

        def action_space(self, params=None):
            return spaces.Discrete(2)


    class ToySuite(Suite):
        name = "toysuite"
        title = "counters"
        module = "toysuite"
        distribution = "toysuite-envs"
        supported = ">=1.2,<2"
        example = "Counter-v0"
        install_command = "pip install toysuite-envs"

        def known_names(self):
            return ["Counter-v0", "Counter-v1"]

        live_names = known_names

        def options(self, name):
            return ["stride"]

        def capabilities(self, name, options):
            return Capabilities.native(differentiable="it counts.", renderable="nothing to see.")

        def make(self, name, options):
            stride = options.get("stride", 1)
            return Counter(stride, CounterParams(), self.capabilities(name, options))


    SUITE = ToySuite()
'''

USE = """
    import json, sys
    import envhub, jax
    from envhub import errors, registry
    from envhub.testing import SuiteTests

    imported_by_testing = "pytest" in sys.modules

    def refusal(call, *arguments, **keywords):
        try:
            call(*arguments, **keywords)
        except Exception as error:
            return [type(error).__name__, str(error)]

    key = jax.random.key(0)
    suites = envhub.suites()
    imported_by_suites = "toysuite" in sys.modules
    env, params = envhub.make("toysuite::Counter-v0", stride=2, goal=5)
    obs, state = env.reset(key, params)
    steps = [env.step(key, state, 1, params)]
    while not steps[-1].done:
        steps.append(env.step(key, steps[-1].state, 1, params))
    batch = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(key, 7), params)[0]
    print(json.dumps({
        "suites": suites,
        "imported by suites": imported_by_suites,
        "imported by testing": imported_by_testing,
        "listed": envhub.list_envs("toysuite"),
        "listed among all": [i for i in envhub.list_envs(forkable=True) if "toysuite" in i],
        "forkable": envhub.capabilities("toysuite::Counter-v0").forkable,
        "required": envhub.require("toysuite::Counter-v1", "forkable", "vmap_safe"),
        "missing": refusal(envhub.require, env, "renderable"),
        "unknown": refusal(envhub.make, "toysuite::Counter-v2"),
        "option": refusal(envhub.make, "toysuite::Counter-v0", strid=2),
        "unregister": refusal(envhub.unregister, "toysuite"),
        "register": refusal(envhub.register, "toysuite", "elsewhere:SUITE"),
        "version": env.spec.version,
        "counts": [int(obs), *(int(step.obs) for step in steps)],
        "rewards": [float(step.reward) for step in steps],
        "truncated": any(bool(step.truncated) for step in steps),
        "in its space": bool(env.observation_space(params).contains(obs)),
        "batch": batch.shape,
        "default goal": envhub.make("toysuite::Counter-v0")[1].goal,
    }))
"""

TESTS = """
    import jax.numpy as jnp
    from envhub.testing import Own, SuiteTests

    LIMITS = [
        "a_time_limit_is_a_truncation",
        "the_limit_does_not_terminate",
        "the_observation_at_the_limit_is_the_last_and_not_a_reset",
    ]
    OWN = "reset_and_step_equal_the_suites_own_bit_for_bit"


    class TestCounters(SuiteTests):
        suite = "toysuite"
        checks = ["forkable", "reproducible", OWN, *LIMITS]
        not_run = dict.fromkeys(LIMITS, "counters have no limit.")

        def own(self, env):
            def step(key, state, action, params):
                result = env.step_env(key, state, action, params)
                return result.obs, result.state, result.reward, result.terminated, result.info

            return Own(env.reset_env, step)

        def test_of_its_own(self):
            assert self.suite == "toysuite"


    class TestWithoutReasons(SuiteTests):
        suite = "toysuite"
        names = ["Counter-v1"]
        checks = [OWN, *LIMITS]


    class TestOfAnother(TestCounters):
        names = ["Counter-v0"]
        checks = [OWN]

        def own(self, env):
            theirs = super().own(env)
            return Own(lambda key, params: (jnp.int32(7), jnp.int32(7)), theirs.step)
"""

pytestmark = pytest.mark.xdist_group("third_party")


def install(folder: Path, distribution: str, module: str, source: str, entry_point: str) -> Path:
    """Write a package with one entry point, and install it for real, into a folder of its own."""
    project, target = folder / "project", folder / "installed"
    project.mkdir(parents=True)
    (project / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    (project / "pyproject.toml").write_text(
        textwrap.dedent(
            f"""
            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"

            [project]
            name = "{distribution}"
            version = "1.2.3"

            [project.entry-points."envhub.suites"]
            {entry_point}

            [tool.setuptools]
            py-modules = ["{module}"]
            """
        ),
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(project)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return target


def python(
    target: Path, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that finds what is installed in `target`."""
    path = os.pathsep.join([str(target), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        encoding="utf-8",
    )


def run_with(target: Path, code: str) -> Any:
    """Run code that prints JSON."""
    done = python(target, "-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def toysuite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed."""
    folder = tmp_path_factory.mktemp("toysuite")
    return install(folder, "toysuite-envs", "toysuite", PACKAGE, 'toysuite = "toysuite:SUITE"')


@pytest.fixture(scope="module")
def used(toysuite: Path) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = run_with(toysuite, USE)
    return facts


@pytest.mark.slow
def test_an_installed_suite_is_found_without_importing_it(used: Mapping[str, Any]) -> None:
    assert used["suites"] == sorted([*registry.BUILTIN, "toysuite"])
    assert not used["imported by suites"]
    assert used["listed"] == ["toysuite::Counter-v0", "toysuite::Counter-v1"]
    assert used["listed among all"] == used["listed"]


def test_the_tests_of_a_suite_need_pytest_only_where_they_run(used: Mapping[str, Any]) -> None:
    assert used["imported by testing"] is False


def test_an_installed_suite_answers_about_capabilities(used: Mapping[str, Any]) -> None:
    assert used["forkable"]
    assert used["required"] == "toysuite::Counter-v1"
    kind, message = used["missing"]
    assert kind == "MissingCapabilityError"
    assert "nothing to see." in message


def test_an_environment_of_an_installed_suite_runs(used: Mapping[str, Any]) -> None:
    start, *counts = used["counts"]
    assert start in (-1, 0, 1)
    assert counts == [start + 2 * (step + 1) for step in range(len(counts))]
    assert counts[-2] < 5 <= counts[-1]
    assert used["rewards"] == [0.0] * (len(counts) - 1) + [1.0]
    assert not used["truncated"]
    assert used["in its space"]
    assert used["batch"] == [7]
    assert used["version"] == "1.2.3"
    assert used["default goal"] == 3


def test_mistakes_with_an_installed_suite_are_explained(used: Mapping[str, Any]) -> None:
    kind, message = used["unknown"]
    assert kind == "UnknownEnvError"
    assert "Counter-v1" in message
    kind, message = used["option"]
    assert kind == "InvalidOptionError"
    assert "strid" in message


def test_an_installed_suite_can_be_neither_removed_nor_replaced(used: Mapping[str, Any]) -> None:
    assert used["unregister"][0] == "UnknownSuiteError"
    kind, message = used["register"]
    assert kind == "DuplicateSuiteError"
    assert "toysuite:SUITE" in message


@pytest.mark.slow
def test_an_installed_claim_to_a_built_in_name_is_left_out(tmp_path: Path) -> None:
    target = install(tmp_path, "imposter", "imposter", "SUITE = 0\n", 'gymnax = "imposter:SUITE"')
    told, place, listed, suites = run_with(
        target,
        """
        import json, warnings
        import envhub
        from envhub import registry

        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            suites = [envhub.suites(), envhub.suites()]
        place = type(registry.get("gymnax")).__module__
        listed = envhub.list_envs("gymnax")
        told = [[str(each.message), each.filename] for each in told]
        print(json.dumps([told, place, listed, suites]))
        """,
    )
    ((message, where),) = told  # once
    assert "imposter:SUITE" in message
    assert registry.BUILTIN["gymnax"] in message
    assert where == "<string>"  # whoever asked
    assert place == "envhub.adapters.gymnax"
    assert "gymnax::CartPole-v1" in listed
    assert suites == [sorted(registry.BUILTIN)] * 2


def examined(target: Path, folder: Path, tests: str) -> dict[str, str]:
    """From the tests that pytest ran of a file to what came of each, or the error of collecting."""
    (folder / "test_toys.py").write_text(textwrap.dedent(tests), encoding="utf-8")
    done = python(target, "-m", "pytest", "-q", "-rA", "--rootdir=.", "test_toys.py", cwd=folder)
    found = re.findall(r"^(PASSED|FAILED|ERROR) test_toys.py(?:::)?(\S*)(.*)", done.stdout, re.M)
    skipped = re.findall(r"^SKIPPED \[(\d+)\].*: (.*)$", done.stdout, re.M)
    assert found, done.stdout + done.stderr
    return {
        **{name: outcome + reason for outcome, name, reason in found},
        **{reason: f"SKIPPED {number}" for number, reason in skipped},
    }


@pytest.mark.slow
def test_an_installed_suite_has_a_test_for_each_check_and_name(
    toysuite: Path, tmp_path: Path
) -> None:
    found = examined(toysuite, tmp_path, TESTS)
    own = "test_reset_and_step_equal_the_suites_own_bit_for_bit"
    for name in ("Counter-v0", "Counter-v1"):
        for test in ("test_makes", "test_forkable", "test_reproducible", own):
            assert found.pop(f"TestCounters::{test}[toysuite::{name}]") == "PASSED"
    assert found.pop("TestCounters::test_of_its_own") == "PASSED"
    assert found.pop("counters have no limit.") == "SKIPPED 6"
    for kind, name in (("TestWithoutReasons", "Counter-v1"), ("TestOfAnother", "Counter-v0")):
        assert found.pop(f"{kind}::test_makes[toysuite::{name}]") == "PASSED"
    assert found.pop("TestOfAnother::test_of_its_own") == "PASSED"
    # What nobody gave a reason for, and what is another's.
    assert len(found) == 5
    assert all(outcome.startswith("FAILED") for outcome in found.values())


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"suite": "gymnaxx"}, "Did you mean 'gymnax'"),
        ({"suite": "gymnax", "names": ["CartPole-v7"]}, "no environment 'CartPole-v7'"),
        ({"suite": "gymnax", "names": []}, "there is no name to examine"),
        ({"suite": "gymnax", "checks": ["forkabel"]}, "'forkabel'.*Did you mean 'forkable'"),
        ({"suite": "gymnax", "not_run": {"forkabel": ""}}, "'forkabel'.*Did you mean 'forkable'"),
    ],
)
def test_tests_that_would_examine_nothing_are_an_error(
    attributes: dict[str, Any], error: str, pytestconfig: pytest.Config
) -> None:
    asks = SimpleNamespace(fixturenames=["case"], config=pytestconfig)
    with pytest.raises(errors.EnvHubError, match=error):
        type("TestToys", (SuiteTests,), attributes)().pytest_generate_tests(asks)


@pytest.mark.slow
def test_a_suite_that_is_absent_is_an_error_and_no_skip(tmp_path: Path) -> None:
    tests = """
        import envhub
        from envhub.testing import SuiteTests
        from tests.test_third_party import Described

        class Absent(Described):
            distribution = "no-such-distribution"

        envhub.register("mine", Absent())

        class TestMine(SuiteTests):
            suite = "mine"
    """
    found = examined(tmp_path, tmp_path, tests)
    assert [*found] == ["TestMine"]
    assert found["TestMine"].startswith("ERROR - envhub.errors.MissingDependencyError")


def entry_points(*claims: tuple[str, str]) -> importlib.metadata.EntryPoints:
    group = registry.ENTRY_POINT_GROUP
    return importlib.metadata.EntryPoints(
        importlib.metadata.EntryPoint(name, value, group) for name, value in claims
    )


def test_two_packages_cannot_claim_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    two = entry_points(("mine", "one:SUITE"), ("mine", "two:SUITE"))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: two)
    monkeypatch.setattr(registry, "_named", set())
    with pytest.warns(UserWarning, match=r"left out: .*two:SUITE.*one:SUITE"):
        assert envhub.suites() == sorted(registry.BUILTIN)
    for ask in (envhub.make, envhub.capabilities):
        with pytest.raises(errors.DuplicateSuiteError, match=r"two:SUITE.*one:SUITE"):
            ask("mine::Some-v0")
    with pytest.raises(errors.UnknownSuiteError, match="gymnax"):
        envhub.make("gymnaxx::CartPole-v1")


def test_a_package_that_is_found_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = entry_points(("mine", "one:SUITE"), ("mine", "one:SUITE"))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: twice)
    assert envhub.suites() == sorted([*registry.BUILTIN, "mine"])


class Described(envhub.Suite):
    """The least that is a suite."""

    name = "mine"
    title = "nothing"
    module = "json"
    distribution = "numpy"
    supported = ">=1"
    example = "None-v0"

    def known_names(self) -> list[str]:
        return ["None-v0"]

    live_names = known_names

    def options(self, name: str) -> list[str]:
        return []

    def capabilities(self, name: str, options: Mapping[str, Any]) -> envhub.Capabilities:
        return envhub.Capabilities.none("there is nothing.")

    def make(self, name: str, options: Mapping[str, Any]) -> envhub.Environment:
        raise NotImplementedError


SUITE = Described()


class Unreadable(Described):
    supported = "~=1, or so"


class Mute(Described):
    def live_names(self) -> list[str]:  # type: ignore[override]
        raise ValueError("no names")


class Blind(Described):
    name = "blind"

    def adopt(self, obj: Any, construct: Any) -> Any:
        raise ValueError("no eyes")


BROKEN = {"an unreadable range": Unreadable(), "no names": Mute()}


@pytest.mark.usefixtures("clean_registry")
class TestRegister:
    @pytest.mark.parametrize("suite", [SUITE, f"{__name__}:SUITE", __name__])
    def test_a_registered_suite_is_there_until_it_is_unregistered(
        self, suite: str | envhub.Suite
    ) -> None:
        before = envhub.suites()
        envhub.register("mine", suite)
        assert envhub.suites() == sorted([*before, "mine"])
        assert envhub.list_envs("mine") == ["mine::None-v0"]
        assert envhub.capabilities("mine::None-v0").why("forkable") == "there is nothing."
        envhub.unregister("mine")
        assert envhub.suites() == before
        with pytest.raises(errors.UnknownSuiteError, match="mine"):
            envhub.capabilities("mine::None-v0")

    def test_the_same_again_changes_nothing(self) -> None:
        envhub.register("mine", SUITE)
        envhub.register("mine", SUITE)
        envhub.register("gymnax", registry.BUILTIN["gymnax"])
        assert envhub.suites() == sorted([*registry.BUILTIN, "mine"])
        envhub.unregister("mine")
        with pytest.raises(errors.UnknownSuiteError):
            envhub.unregister("mine")

    def test_something_else_under_a_taken_name_is_refused(self) -> None:
        envhub.register("mine", SUITE)
        for other in (Described(), "elsewhere:SUITE"):
            with pytest.raises(errors.DuplicateSuiteError, match=r"mine.*unregister") as caught:
                envhub.register("mine", other)
            assert isinstance(caught.value, ValueError)
        assert registry.get("mine") is SUITE

    @pytest.mark.parametrize("name", registry.BUILTIN)
    def test_a_built_in_suite_cannot_be_replaced_or_removed(self, name: str) -> None:
        with pytest.raises(errors.DuplicateSuiteError, match=name):
            envhub.register(name, SUITE)
        with pytest.raises(errors.UnknownSuiteError, match=name) as caught:
            envhub.unregister(name)
        assert isinstance(caught.value, LookupError)
        assert name in envhub.suites()

    def test_a_suite_must_call_itself_what_it_is_registered_as(self) -> None:
        with pytest.raises(errors.InvalidEnvIdError, match="'yours' calls itself 'mine'"):
            envhub.register("yours", SUITE)
        assert "yours" not in envhub.suites()

    @pytest.mark.parametrize("suite", ["no_such_module:SUITE", "exits", "raises", *BROKEN])
    def test_a_broken_suite_does_not_hide_the_others(
        self,
        suite: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / "exits.py").write_text("import sys; sys.exit('enough')", encoding="utf-8")
        (tmp_path / "raises.py").write_text("raise RuntimeError('enough')", encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(registry, "BUILTIN", {"navix": registry.BUILTIN["navix"]})
        monkeypatch.setattr(registry, "_named", set())
        envhub.register("mine", BROKEN.get(suite, suite))
        with pytest.warns(UserWarning, match="'mine' is left out") as told:
            listed = envhub.list_envs()
        assert len(told) == 1
        assert told[0].filename == __file__
        assert listed == envhub.list_envs("navix")
        assert envhub.list_envs(renderable=True)  # and it is named once
        env, _ = envhub.make("navix::Navix-Empty-5x5-v0")
        assert env.spec
        with pytest.raises(errors.UnknownSuiteError, match="'navix'"):
            envhub.make("navixx::Empty")
        with pytest.raises(errors.UnknownEnvError, match="Navix-Empty"):
            envhub.make("navix::Navix-Empty")
        with pytest.raises(errors.InvalidOptionError, match="takes"):
            envhub.wrap(object())
        with pytest.raises(errors.MissingDependencyError) as caught:
            envhub.list_envs("mine")
        assert caught.value.__cause__ is not None

    def test_one_that_fails_to_look_at_an_object_does_not_spoil_wrap(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(registry, "_named", set())
        envhub.register("blind", Blind())
        with pytest.warns(UserWarning, match=r"'blind' is left out.*no eyes"):
            env, _ = envhub.wrap(gymnasium.make("CartPole-v1"))
        assert env.spec
        assert env.spec.suite == "gymnasium"

    def test_the_command_for_a_third_party_names_its_own_package(self) -> None:
        assert SUITE.install_command == f'pip install "{SUITE.distribution}{SUITE.supported}"'

    def test_the_table_of_built_in_suites_is_read_only(self) -> None:
        with pytest.raises(TypeError):
            registry.BUILTIN["gymnax"] = "elsewhere:SUITE"  # type: ignore[index]
        envhub.suites().append("mine")
        assert "mine" not in envhub.suites()

    @pytest.mark.parametrize(
        ("place", "cause"),
        [
            ("no_such_module_anywhere:SUITE", ModuleNotFoundError),
            ("no_such_module_anywhere", ModuleNotFoundError),
            (f"{__name__}:NO_SUCH_NAME", AttributeError),
        ],
    )
    def test_a_place_that_cannot_be_loaded_is_named(self, place: str, cause: type) -> None:
        envhub.register("mine", place)
        for ask in (envhub.capabilities, envhub.make):
            with pytest.raises(errors.MissingDependencyError, match=place) as caught:
                ask("mine::None-v0")
            assert isinstance(caught.value, ImportError)
            assert isinstance(caught.value.__cause__, cause)

    def test_a_place_that_holds_no_suite_is_named(self) -> None:
        envhub.register("mine", "envhub:__version__")
        with pytest.raises(errors.MissingDependencyError, match=r"envhub:__version__.*not a Suite"):
            envhub.make("mine::None-v0")

    @pytest.mark.parametrize("name", ["", "my suite", "my-suite", "my::suite", "1st", None, 3])
    def test_a_name_that_fits_no_id_is_refused(self, name: Any) -> None:
        with pytest.raises(errors.InvalidEnvIdError, match="identifier") as caught:
            envhub.register(name, SUITE)
        assert isinstance(caught.value, ValueError)
        assert envhub.suites() == sorted(registry.BUILTIN)

    @pytest.mark.parametrize("suite", [None, 3, Described, object()])
    def test_something_that_is_no_suite_is_refused(self, suite: Any) -> None:
        with pytest.raises(TypeError, match="Suite"):
            envhub.register("mine", suite)
        assert envhub.suites() == sorted(registry.BUILTIN)


def test_files_that_another_distribution_wrote_over_are_noticed(tmp_path: Path) -> None:
    """As stable-gymnax does to gymnax: pip lets it, and says nothing."""
    for version, name in (("1.2.3", "toysuite-envs"), ("9.0", "stable-toysuite")):
        source = f"# {name}" + textwrap.dedent(PACKAGE)
        (tmp_path / "toysuite").mkdir(exist_ok=True)
        (tmp_path / "toysuite" / "__init__.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
        )
        (info / "RECORD").write_text(
            f"toysuite/__init__.py,,{len(source.encode())}\n", encoding="utf-8"
        )
    told = run_with(
        tmp_path,
        """
        import json
        import envhub

        class Loading(envhub.Suite):
            name = title = module = "toysuite"
            distribution, supported, example = "toysuite-envs", ">=1.2,<2", "Counter-v0"
            def known_names(self): return ["Counter-v0"]
            def live_names(self): return self.load().SUITE.known_names()
            def options(self, name): return []
            def capabilities(self, name, options): return envhub.Capabilities.none("none.")
            def make(self, name, options): return self.load()

        envhub.register("toysuite", Loading())
        told = []
        for call in (envhub.list_envs, lambda name: envhub.make(f"{name}::Counter-v0")):
            try:
                call("toysuite")
            except envhub.errors.UnsupportedVersionError as error:
                told.append(str(error))
        print(json.dumps(told))
        """,
    )
    assert len(told) == 2
    for message in told:
        assert (
            "toysuite-envs 1.2.3 is installed, and stable-toysuite 9.0 has overwritten" in message
        )
        assert "pip install" in message


class Heavy(Described):
    name = title = module = "heavy"
    distribution, supported, data = "heavy", ">=1", "heavy-models"


def test_data_that_a_suite_would_die_without_are_looked_for_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of its data is absent, or of a version that does not fit."""

    def install(name: str, version: str, *required: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}.dist-info"
        info.mkdir(exist_ok=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {each}" for each in required]
        (info / "METADATA").write_text("\n".join(lines), encoding="utf-8")

    (tmp_path / "heavy.py").write_text("models = 3", encoding="utf-8")
    install("heavy", "1.5", "heavy-models>=2", "heavy-models-large", "absent-and-harmless")
    install("heavy-models-large", "1.0")
    monkeypatch.syspath_prepend(tmp_path)
    told = "heavy 1.5 is installed without heavy-models>=2, and ends .* Run: pip install"
    with pytest.raises(errors.MissingDependencyError, match=told):
        Heavy().load()
    install("heavy-models", "1.0")
    with pytest.raises(errors.MissingDependencyError, match=told):
        Heavy().load()
    install("heavy-models", "2.0")
    assert Heavy().load().models == 3
