"""xminigrid 0.9.3: XLand-MiniGrid and MiniGrid's gridworlds, in JAX."""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities
from envhub.params import params_dataclass
from envhub.suite import Gap, Suite, in_x64_mode

XLAND = """
    R1-9x9 R1-11x11 R1-13x13 R1-15x15 R1-17x17 R2-9x9 R2-11x11 R2-13x13 R2-15x15 R2-17x17
    R4-9x9 R4-11x11 R4-13x13 R4-15x15 R4-17x17 R6-13x13 R6-17x17 R6-19x19
    R9-16x16 R9-19x19 R9-25x25
""".split()
MINIGRID = """
    BlockedUnlockPickUp DoorKey-5x5 DoorKey-6x6 DoorKey-8x8 DoorKey-16x16
    Empty-5x5 Empty-6x6 Empty-8x8 Empty-16x16
    EmptyRandom-5x5 EmptyRandom-6x6 EmptyRandom-8x8 EmptyRandom-16x16 FourRooms LockedRoom
    MemoryS8 MemoryS16 MemoryS32 MemoryS64 MemoryS128 Playground Unlock UnlockPickUp
""".split()
# The file of each benchmark, in the folder where xminigrid looks for them.
BENCHMARKS = {
    "trivial-21k": "trivial_21k",
    "small-1m": "small_1m_v3",
    "medium-1m": "medium_1m_v3",
    "medium-3m": "medium_3m_v3",
    "high-1m": "high_1m_v3",
    "high-3m": "high_3m_v3",
}


@params_dataclass
class MiniGridParams:
    """What can change from call to call.

    Attributes:
        max_steps: int32[], the step at which an episode is truncated.
    """

    max_steps: Any


@params_dataclass
class XLandParams:
    """What can change from call to call in XLand-MiniGrid.

    Attributes:
        max_steps: int32[], the step at which an episode is truncated.
        ruleset: xminigrid's `RuleSet`: the goal, the rules and the objects of an episode. The
            option of this name decides how many rules and objects there are.
    """

    max_steps: Any
    ruleset: Any


@params_dataclass
class BenchmarkParams:
    """What can change from call to call in XLand-MiniGrid with a benchmark.

    Attributes:
        max_steps: int32[], the step at which an episode is truncated.
        benchmark: xminigrid's `Benchmark`, from whose rulesets each reset draws one.
    """

    max_steps: Any
    benchmark: Any


class XMiniGridSuite(Suite):
    """xminigrid's environments, whose step never resets."""

    name = "xminigrid"
    title = "XLand-MiniGrid and MiniGrid's gridworlds in JAX"
    module = "xminigrid"
    distribution = "xminigrid"
    relies_on = ("flax",)
    supported = ">=0.9.3,<1"
    example = "MiniGrid-DoorKey-5x5"
    # fmt: off
    references = (("*", "https://github.com/dunnolab/xland-minigrid/blob/main/src/xminigrid/envs/minigrid/memory.py"),)
    # fmt: on

    def known_names(self) -> Iterable[str]:
        xland = [f"XLand-MiniGrid-{short}" for short in XLAND]
        return xland + [f"MiniGrid-{short}" for short in MINIGRID]

    def live_names(self) -> Iterable[str]:
        return list(self.load().registered_environments())

    def options(self, name: str) -> Iterable[str]:
        return ["view_size", *(["ruleset", "benchmark"] if is_xland(name) else [])]

    def family(self, name: str) -> str:
        return "XLand" if is_xland(name) else "MiniGrid"

    def families(self) -> Mapping[str, str]:
        return {name: self.family(name) for name in self.known_names()}

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_steps"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        return Capabilities.native(differentiable="actions are discrete.")

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if in_x64_mode() and name.startswith("MiniGrid-Memory"):
            reason = "xminigrid 0.9.3 mixes dtypes there in x64 mode; switch that off."
            return Gap("upstream", reason)
        benchmark = options.get("benchmark")
        if not isinstance(benchmark, str) or benchmark not in BENCHMARKS:
            return None
        if not benchmark_file(benchmark).exists():
            fetch = f"import xminigrid; xminigrid.load_benchmark({benchmark!r})"
            return Gap(
                "needs_network",
                f"the benchmark {benchmark!r} is not here, and envhub downloads nothing. "
                f"Fetch it once: python -c {shlex.quote(fetch)}",
            )
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        given = dict(options)
        benchmark, size = given.pop("benchmark", None), given.get("view_size", 3)
        # xminigrid takes an even one too, and the agent then stands beside its place in the view.
        if not (isinstance(size, int | np.integer) and size >= 3 and size % 2):
            raise InvalidOptionError(f"view_size must be an odd number from 3; got {size!r}.")
        if benchmark is not None and benchmark not in list(BENCHMARKS):
            known = ", ".join(BENCHMARKS)
            raise InvalidOptionError(f"benchmark must be one of {known}; got {benchmark!r}.")
        if benchmark is not None and "ruleset" in given:
            raise InvalidOptionError("a benchmark has its own rulesets: give it without ruleset=.")
        ruleset = self.load("types").RuleSet
        if "ruleset" in given and not isinstance(given["ruleset"], ruleset):
            raise InvalidOptionError(
                f"ruleset must be an xminigrid.types.RuleSet; got {given['ruleset']!r}. "
                "benchmark= takes the name of a benchmark."
            )
        env, own = self.load().make(name, **given)
        params: Any = MiniGridParams(own.max_steps)
        if benchmark is not None:
            load = self.load("benchmarks").load_benchmark_from_path
            params = BenchmarkParams(own.max_steps, load(str(benchmark_file(benchmark))))
        elif is_xland(name):
            params = XLandParams(own.max_steps, own.ruleset)
        return XMiniGridEnvironment(env, own, params, self.capabilities(name, options))


class XMiniGridEnvironment(Environment):
    """An environment of xminigrid; its state is xminigrid's `TimeStep`.

    Chance is in the reset alone.
    """

    def __init__(self, env: Any, own: Any, params: Any, capabilities: Capabilities) -> None:
        super().__init__(env, params, capabilities)
        self._own = own

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        if isinstance(params, BenchmarkParams):
            key, drawn = jax.random.split(key)
            params = XLandParams(params.max_steps, params.benchmark.sample_ruleset(drawn))
        changes = {"ruleset": params.ruleset} if isinstance(params, XLandParams) else {}
        timestep = self.unwrapped.reset(self._own.replace(**changes), key)
        return timestep.observation, timestep

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        # The rules of an episode are in its state.
        own = self._own.replace(max_steps=params.max_steps)
        after = self.unwrapped.step(own, state, action)
        return StepResult(
            obs=after.observation,
            state=after,
            reward=after.reward,
            terminated=after.discount == 0,
            truncated=after.state.step_num >= params.max_steps,
            info={},
        )

    def observation_space(self, params: Any = None) -> spaces.Space:
        constants = SUITE.load("core.constants")
        high = [constants.NUM_TILES - 1, constants.NUM_COLORS - 1]
        shape = self.reset_shapes[0].shape
        return spaces.Box(0, np.broadcast_to(np.asarray(high, np.uint8), shape), shape, np.uint8)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(self.unwrapped.num_actions(self._own))

    def render_env(self, state: Any, params: Any) -> Any:
        draw = SUITE.load("rendering.rgb_render").render
        return draw(np.asarray(state.state.grid), state.state.agent, self._own.view_size)


def is_xland(name: str) -> bool:
    """Tell whether an environment has rulesets."""
    return name.startswith("XLand-")


def benchmark_file(benchmark: str) -> pathlib.Path:
    """Return the place where xminigrid keeps a benchmark that it has downloaded."""
    folder = os.environ.get("XLAND_MINIGRID_DATA", os.path.expanduser("~/.xland_minigrid"))
    return pathlib.Path(folder, BENCHMARKS[benchmark])


SUITE = XMiniGridSuite()
