"""What type checkers say of the programs in the documents, as users have envhub."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from envhub import registry

from . import typed_pages, wrapper_types
from .conftest import REPOSITORY
from .test_documents import A_PACKAGE, WITH_CODE, blocks, named
from .test_packaging import built, once, run, wheel

__all__ = ["built", "wheel"]  # fixtures

pytestmark = [
    once,
    pytest.mark.skipif(
        jax.__version_info__ < (0, 8), reason="the annotations of an older jax are other ones"
    ),
]
# What an editor knows.
PROGRAM = """
from typing import Any, NamedTuple, assert_type

import envhub
import jax
import jax.numpy as jnp
import numpy as np
from envhub import spaces
from envhub.wrappers import AutoReset, TimeLimit

key = jax.random.key(0)
box = spaces.Box(-1, 1, (3,))
assert_type(box.shape, tuple[int, ...])
assert_type(box.dtype, np.dtype[Any])
assert_type(box.sample(key), jax.Array)
assert_type(spaces.batch(spaces.Discrete(3), 4), spaces.MultiDiscrete)
assert_type(spaces.batch(box, 4), spaces.Box)
both = spaces.Tuple([box, spaces.Discrete(3)])
assert_type(both[0], spaces.Space)
assert_type(both[:1], tuple[spaces.Space, ...])
assert_type(spaces.Dict({"both": both}).sample(key), dict[str, Any])

env, params = envhub.make("gymnax::CartPole-v1")
assert_type(env, envhub.Environment)
print(env.observation_space(params).shape[0], env.observation_space(params).dtype.kind)
venv, params = envhub.make_vec("gymnax::CartPole-v1", 8)
assert_type(venv.step(key, 3, 4, params).reward, jax.Array)

limit = TimeLimit(max_episode_steps=5)
assert_type(limit(env), envhub.Environment)
limited = TimeLimit(env, 5)
assert_type(limited.max_episode_steps, int)
assert_type(limited.find(TimeLimit), TimeLimit | None)
envhub.make("gymnax::CartPole-v1", wrappers=[limit, AutoReset, lambda env: TimeLimit(env, 9)])


def insist(env: envhub.Environment, space: spaces.Space) -> envhub.Environment:
    return envhub.require(env, "forkable")


class State(NamedTuple):
    place: jax.Array


class Walk(envhub.Environment[jax.Array, State, None]):
    def reset_env(self, key: jax.Array, params: None) -> tuple[jax.Array, State]:
        place = jnp.float32(0)
        return place, State(place)

    def step_env(
        self, key: jax.Array, state: State, action: Any, params: None
    ) -> envhub.StepResult[jax.Array, State]:
        place = state.place + action
        no = jnp.bool_(False)
        return envhub.StepResult(place, State(place), place, no, no, {})

    def observation_space(self, params: None = None) -> spaces.Box:
        return box

    def action_space(self, params: None = None) -> spaces.Discrete:
        return spaces.Discrete(3)


walk = Walk(None, None, envhub.Capabilities.native())
assert_type(walk.reset(key), tuple[jax.Array, State])
assert_type(walk.step(key, walk.reset(key)[1], 1), envhub.StepResult[jax.Array, State])
assert_type(walk.action_space().n, int)
assert_type(envhub.rollout(walk, None, None, key, 3).obs, jax.Array)
assert_type(envhub.rollout(walk, None, None, key, 3).last, tuple[jax.Array, State])
"""
# What both checkers refuse: they see the types at all.
MISTAKES = [
    "spaces.Discrete('three')",
    "spaces.Box(-1, 1).n",
    "envhub.make(3)",
    "envhub.Capabilities.native(forkable=3)",
    "envhub.wrappers.TimeLimit(max_episode_steps='five')",
    "envhub.wrappers.TimeLimit()",
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each block of Python on the pages as a module."""
    folder = tmp_path_factory.mktemp("programs")
    for page in WITH_CODE:
        if registry.BUILTIN.get(page.stem) and registry.get(page.stem).installed() is None:
            continue  # what its programs import is not here
        name = named(page).removesuffix(".md").replace("/", "_").replace("-", "_")
        typed_pages.write(folder, name, blocks(page, "python"))
    for block in blocks(A_PACKAGE, "python"):
        first, _, code = block.partition("\n")
        with (folder / first.removeprefix("# ")).open("a", encoding="utf-8") as file:
            file.write(code)
    (folder / "what_an_editor_knows.py").write_text(PROGRAM, encoding="utf-8")
    lines = ["import envhub", "from envhub import spaces", *MISTAKES]
    (folder / "mistakes.py").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=["wheel", "editable"])
def python(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    built: Path,
    wheel: Path,
) -> Path:
    """The interpreter of an environment in which envhub is installed in this way."""
    folder = tmp_path_factory.mktemp(request.param)
    made = folder / "environment"
    venv.create(made, symlinks=True)
    interpreter = made / "bin" / "python"
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # The libraries are those of these tests, whose own envhub is not looked for there.
    libraries = sysconfig.get_path("purelib")
    (made / "lib" / minor / "site-packages" / "libraries.pth").write_text(
        libraries, encoding="utf-8"
    )
    editable = ["--no-build-isolation", "--editable", str(built.parent)]
    what = [str(wheel)] if request.param == "wheel" else editable
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", *what, cwd=folder)
    return interpreter


def mypy(python: Path, programs: Path) -> str:
    """What mypy says."""
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports"]
    command += ["--config-file=", "--python-executable", str(python)]
    command += ["--cache-dir", str(REPOSITORY / ".mypy_cache" / "programs"), "."]
    return said_by(command, programs)


def pyright(python: Path, programs: Path) -> str:
    """What pyright says."""
    if not importlib.util.find_spec("pyright"):
        pytest.skip(reason="pyright is not installed: it comes with the extra dev")
    (programs / "pyrightconfig.json").write_text(
        json.dumps({"reportMissingModuleSource": False}), encoding="utf-8"
    )
    command = [sys.executable, "-m", "pyright", "--pythonpath", str(python), "--project", "."]
    return said_by(command, programs)


def said_by(command: list[str], programs: Path) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=programs,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT": "1"},
        encoding="utf-8",
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
@pytest.mark.slow
def test_the_programs_of_the_documents_are_well_typed(
    checker: Callable[[Path, Path], str], python: Path, programs: Path
) -> None:
    said = checker(python, programs).splitlines()
    wrong = [line for line in said if re.search(r"\berror: ", line.replace(" - ", ": "))]
    noticed = {int(line) for line in re.findall(r"mistakes\.py:(\d+)", "\n".join(wrong))}
    assert noticed == set(range(3, 3 + len(MISTAKES)))
    assert not [line for line in wrong if "mistakes.py" not in line]


def test_the_signatures_of_wrappers_are_those_of_their_classes() -> None:
    written, made = wrapper_types.PLACE.read_text(encoding="utf-8"), wrapper_types.text()
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(made)), "run tests.wrapper_types"
