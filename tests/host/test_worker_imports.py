"""What a worker imports, in a process or an actor: what its instances need, and no JAX.

Each way to make an environment has its own constructor of instances, which the worker unpickles.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import pytest

import envhub
from envhub import registry
from envhub.host import HostEnvironment
from tests.host import awkward
from tests.host.test_workers import CARTPOLE, KEY
from tests.host.toy import loaded
from tests.packages import needed
from tests.processes import fresh

MEGABYTES, SECONDS = 60, 0.4  # of a worker, before it imports a suite
RAY = {"ray_options": {"num_cpus": 0.1}}


def wrapped(module: str, name: str, needs: str) -> Callable[..., Any]:
    """A way to make an environment: by `wrap`, of a class in a module of tests."""

    def make(**how: Any) -> Any:
        needed(needs)
        if needs == "pufferlib":
            registry.get(needs).load()  # without what importing it does
        return envhub.wrap(getattr(importlib.import_module(module), name), **how)[0]

    return make


def made(env_id: str, **options: Any) -> Callable[..., Any]:
    """A way to make an environment: by `make`."""
    suite = registry.get(env_id.partition("::")[0])

    def make(**how: Any) -> Any:
        if not suite.installed():
            pytest.skip(reason=f"{suite.name} is not installed")
        return envhub.make(env_id, **options, **how)[0]

    return make


WAYS: dict[str, Callable[..., Any]] = {
    "gymnasium": made(CARTPOLE),
    "ale": made("ale::pong"),
    "minigrid by replay": made("minigrid::MiniGrid-Empty-5x5-v0", forkable=True),
    "pufferlib under emulation": made("pufferlib::CartPole-v1"),
    "wrap an object": lambda **how: envhub.wrap(gymnasium.make("CartPole-v1"), **how)[0],
}
MORE_WAYS: dict[str, Callable[..., Any]] = {
    "gymnasium in MuJoCo": made("gymnasium::Ant-v5"),
    "gymnasium by replay": made("gymnasium::LunarLander-v3", forkable=True),
    "gymnasium's toys": made("gymnasium::FrozenLake-v1"),
    "somebody's id": made("gymnasium::tests.host.broken:Broken-v0"),
    "ale as Gymnasium has it": made("ale::ALE/Pong-v5"),
    "ogbench": made("ogbench::puzzle-3x3-v0"),
    "popgym": made("popgym::popgym-RepeatPreviousEasy-v0"),
    "bsuite": made("bsuite::catch_noise/0"),
    "dm_control": made("dm_control::reacher-easy"),
    "somebody's PufferEnv": made("pufferlib::tests.quirks.puffer_envs:Walkers", num_envs=1),
    "wrap a class": wrapped("tests.host.awkward", "Drift", "gymnasium"),
    "wrap a class of dm_env": wrapped("tests.host.fall", "Fall", "dm_env"),
    "wrap a PufferEnv": wrapped("tests.quirks.puffer_envs", "Walkers", "pufferlib"),
    "wrapped by replay": lambda **how: envhub.wrap(awkward.Drift, forkable=True, **how)[0],
    "a batch": lambda **how: envhub.make_vec(CARTPOLE, 2, **how)[0],
    "with a wrapper": lambda **how: envhub.make(
        CARTPOLE, wrappers=[envhub.wrappers.RecordEpisodeStatistics], **how
    )[0],
    "a fleet of different ones": lambda **how: envhub.make_multi({"one": (CARTPOLE, how)})[0],
}


FULL = pytest.mark.full
CASES = [
    *(pytest.param("process", way, id=f"process-{way}") for way in WAYS),
    *(pytest.param("process", way, id=f"process-{way}", marks=FULL) for way in MORE_WAYS),
    *(pytest.param("ray", way, id=f"ray-{way}", marks=FULL) for way in {**WAYS, **MORE_WAYS}),
]


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_a_worker_imports_no_jax(kind: str, way: str) -> None:
    if kind == "ray":
        needed("ray")
    more = RAY if kind == "ray" else {}
    made = {**WAYS, **MORE_WAYS}[way](workers=kind, num_workers=1, **more)
    try:
        made.reset(KEY)
        found = made.find(HostEnvironment)
        (env,) = found.values() if isinstance(found, dict) else [found]
        one, other = env.reset(KEY)[1], env.reset(jax.random.key(1))[1]
        for state in (one, other, one) if env.capabilities.forkable else (other,):  # restored, too
            env.step(KEY, state, env.action_space().sample(KEY))
        fleet: Any = env._pool._fleet  # noqa: SLF001 (what runs in a worker is not public)
        assert fleet._command(loaded, {0: ()}) == [[]]  # noqa: SLF001
    finally:
        made.close()
    assert loaded(), "the test itself runs JAX"


def test_envpool_itself_imports_jax() -> None:
    """So its workers do; nothing of envhub's asks for it."""
    needed("envpool")
    script = (
        "import json, sys\n"
        "sys.modules['jax'] = None\n"  # importing it fails
        "import envhub.adapters.envpool.suite\n"
        "found = []\n"
        "try:\n    import envpool.python.xla_template\n"
        "except ImportError as error:\n    found.append(str(error))\n"
        "print(json.dumps(found))"
    )
    (told,) = json.loads(fresh(script).stdout)
    assert "jax" in told


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted otherwise elsewhere")
@pytest.mark.parametrize("module", ["processes", "hosted"])
def test_a_worker_is_small_and_starts_soon(module: str) -> None:
    script = (
        "import re, time\n"
        f"import envhub.host.parallel.{module}\n"
        "used = re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status', 'rb').read().decode())\n"
        "print(used.group(1), time.process_time())"
    )
    runs = [list(map(float, fresh(script).stdout.split())) for _ in range(3)]
    kilobytes, seconds = map(min, zip(*runs, strict=True))
    assert kilobytes < MEGABYTES * 1000
    assert seconds < SECONDS
