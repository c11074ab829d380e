"""jumanji 1.1.1 and newer: combinatorial puzzles, packing and routing, in JAX."""

from __future__ import annotations

import os
import pathlib
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub._foreign import quiet
from envhub._tracing import numpy_for
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities
from envhub.limits import NO_LIMIT, with_limit
from envhub.params import params_dataclass
from envhub.suite import Gap, Suite, in_x64_mode, keywords

WITH_TIME_LIMIT = """
    RubiksCube-v0 RubiksCube-partly-scrambled-v0 SlidingTilePuzzle-v0 Tetris-v0
    Cleaner-v0 LevelBasedForaging-v0 Maze-v0 PacMan-v1 RobotWarehouse-v0 Snake-v1 Sokoban-v0
    SearchAndRescue-v0
""".split()
WITHOUT_TIME_LIMIT = """
    Game2048-v1 GraphColoring-v1 Minesweeper-v0 Sudoku-v0 Sudoku-very-easy-v0
    BinPack-v2 FlatPack-v0 JobShop-v0 Knapsack-v1 CVRP-v1 MultiCVRP-v0 TSP-v1
""".split()
# As jumanji's documentation groups them.
FAMILIES = {
    "logic": "Game2048 GraphColoring Minesweeper RubiksCube SlidingTilePuzzle Sudoku",
    "packing": "BinPack FlatPack JobShop Knapsack Tetris",
    "routing": "Cleaner Connector CVRP LevelBasedForaging MMST Maze MultiCVRP PacMan "
    "RobotWarehouse Snake Sokoban TSP",
    "swarms": "SearchAndRescue",
}
FAMILY_OF = {each: family for family, names in FAMILIES.items() for each in names.split()}
# Its state has an array as long as its episodes, so the limit is part of how it is made.
OF_FIXED_LENGTH = "MMST-v0"
# One branch of a lax.cond is wider than the other, or what is joined is (1.1.2).
BROKEN_IN_X64 = """
    Game2048-v1 Tetris-v0 Connector-v2 Connector-v3 CVRP-v1 MMST-v0 Maze-v0 RobotWarehouse-v0
""".split()
# What all agents see together, in environments that reward each of them.
CLOCKS = {"step", "step_count"}
SHARED = CLOCKS | {"grid", "targets_remaining"}


@params_dataclass
class JumanjiParams:
    """What jumanji's step reads and can change from call to call.

    Attributes:
        time_limit: int32[], the step at which an episode is truncated.
    """

    time_limit: Any


class JumanjiSuite(Suite):
    """jumanji's environments, which never reset on their own."""

    name = "jumanji"
    title = "combinatorial puzzles, packing and routing in JAX"
    module = "jumanji"
    distribution = "jumanji"
    # jumanji 1.1.0 wants a matplotlib of before 3.8.
    supported = ">=1.1.1,<2"
    example = "Game2048-v1"
    interface = "a jumanji Environment"

    def known_names(self) -> Iterable[str]:
        connector = "Connector-v3" if self.at_least("1.1.2") else "Connector-v2"
        return [*WITH_TIME_LIMIT, connector, *WITHOUT_TIME_LIMIT, OF_FIXED_LENGTH]

    def live_names(self) -> Iterable[str]:
        return list(self.load().registered_environments())

    def options(self, name: str) -> Iterable[str]:
        ours = {"viewer", *(["time_limit"] if _has_params(name) else [])}
        return set(keywords(self._constructor(name))) - ours

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        return [{}, *([{"generator": "ToyGenerator"}] if name == "Sokoban-v0" else [])]

    def family(self, name: str) -> str:
        return FAMILY_OF.get(name.partition("-")[0], "")

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "time_limit" if _has_params(name) or name == OF_FIXED_LENGTH else None

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        stopped = "jumanji stops the gradient of what it observes."
        fixed = "jumanji has nothing there that can change from call to call."
        return Capabilities.native(
            differentiable=stopped if name == "SearchAndRescue-v0" else "actions are discrete.",
            has_env_params=_has_params(name) or fixed,
        )

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if name == "Sokoban-v0" and not options.get("generator") and not levels().exists():
            fetch = 'import jumanji; jumanji.make("Sokoban-v0")'
            return Gap(
                "needs_network",
                "its levels are not here, and envhub downloads nothing. Give "
                "generator='ToyGenerator', which has two, or fetch them once: "
                f"python -c {shlex.quote(fetch)}",
            )
        if in_x64_mode() and name in BROKEN_IN_X64:
            return Gap("upstream", "jumanji mixes dtypes there in x64 mode; switch that off.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        jumanji, options = self.load(), dict(options)
        if isinstance(options.get("generator"), str):
            options["generator"] = self._generator(name, options["generator"])
        return _environment(jumanji.make(name, **options), name, self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load("env").Environment):
            return None
        if isinstance(obj, self.load("wrappers").Wrapper):
            raise InvalidOptionError(
                f"jumanji's {type(obj).__name__} resets, makes batches or joins agents: give the "
                "environment inside, obj.unwrapped. envhub.wrappers.AutoReset and envhub.VectorEnv "
                "do the rest."
            )
        kinds = {self._constructor(name): name for name in reversed([*self.known_names()])}
        name = kinds.get(type(obj), type(obj).__name__)
        capabilities = self.capabilities(name, {})
        if type(obj) not in kinds:
            unknown = "not known of an environment of a third party."
            viewer = self.load("viewer").MatplotlibViewer
            is_drawn = any(isinstance(part, viewer) for part in vars(obj).values())
            capabilities = Capabilities.native(
                differentiable=unknown,
                has_env_params=unknown,
                renderable=is_drawn or "it has no viewer of jumanji's.",
            )
        return name, _environment(obj, name, capabilities)

    def _constructor(self, name: str) -> Any:
        registration = self.load("registration")
        return registration.load(registration._REGISTRY[name].entry_point)

    def _generator(self, name: str, wanted: str) -> Any:
        """An instance of one of the generators that the environment's package has, by its class."""
        package = self._constructor(name).__module__.rpartition(".")[0].removeprefix("jumanji.")
        return getattr(self.load(f"{package}.generator"), wanted)()


class JumanjiEnvironment(Environment):
    """A jumanji environment; its state is jumanji's own, and observations are dicts.

    Randomness in a step comes from the key in the state, as jumanji has it: the key given to `step`
    is not used.
    """

    def __init__(self, env: Any, params: Any, capabilities: Capabilities) -> None:
        super().__init__(env, params, capabilities)
        agents = env.reward_spec.shape
        self.num_agents = agents[0] if agents else 1

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state, timestep = self.unwrapped.reset(key)
        return self._shown(timestep), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        env = self.unwrapped
        limited = env if params is None else with_limit(env, "time_limit", params.time_limit)
        after, timestep = limited.step(_copied(state), action)
        ended = timestep
        if hasattr(env, "time_limit"):
            # All but two environments call their time limit a termination (1.1.2).
            unlimited = with_limit(env, "time_limit", NO_LIMIT)
            ended = unlimited.step(_copied(state), action)[1]
        # Of several agents, some may be done before the episode is; a limit cuts it for the others.
        terminated = ended.discount == 0
        return StepResult(
            obs=self._shown(timestep),
            state=after,
            reward=timestep.reward,
            terminated=terminated,
            truncated=timestep.last() & ~terminated,
            info=timestep.extras,
        )

    def limit(self, params: Any) -> Any:
        return getattr(self.unwrapped if params is None else params, "time_limit", None)

    def observation_space(self, params: Any = None) -> spaces.Space:
        params = self.default_params if params is None else params
        seen = dict(_space(self.unwrapped.observation_spec))
        if params is not None:
            # Those of Snake and Tetris end one step before the limit (1.1.2), and none follows it.
            for clock in CLOCKS & seen.keys():
                limit = numpy_for(params).max(params.time_limit)
                seen[clock] = spaces.Box(0, limit, (), np.int32)
        if type(self.unwrapped).__name__ == "TSP":
            # Before the first city the position is -1, which the space leaves out (1.1.2).
            seen["position"] = spaces.Discrete(seen["position"].n + 1, start=-1)
        if self.num_agents > 1:
            for name in SHARED & seen.keys():
                seen[name] = spaces.batch(seen[name], self.num_agents)
        return spaces.Dict(seen)

    def action_space(self, params: Any = None) -> spaces.Space:
        space: spaces.Space = _space(self.unwrapped.action_spec)
        return space

    def render_env(self, state: Any, params: Any) -> Any:
        kind = SUITE.load("viewer").MatplotlibViewer
        viewer = next(part for part in vars(self.unwrapped).values() if isinstance(part, kind))
        pictures: list[Any] = []

        def show(figure: Any) -> None:
            if type(viewer).__name__ == "MMSTViewer":
                # The nodes lie in a unit square, of which jumanji 1.1.2 shows a corner.
                figure.axes[0].axis([0, 1, 0, 1])
            pictures.append(viewer._display_rgb_array(figure))

        # The viewers are made to open a window, and SearchAndRescue returns nothing (1.1.2).
        viewer._display = show
        if hasattr(state, "adj_matrix"):
            state = jax.device_get(state)  # loops over a graph of JAX arrays take a minute
        try:
            with quiet():
                self.unwrapped.render(state)
        finally:
            viewer.close()
        return pictures[0][..., :3].copy()

    def _shown(self, timestep: Any) -> dict[str, Any]:
        """What the agents see: of several agents each sees what all share."""
        seen: dict[str, Any] = _by_name(self.unwrapped.observation_spec, timestep.observation)
        if self.num_agents > 1:
            for name in SHARED & seen.keys():
                seen[name] = jnp.stack([seen[name]] * self.num_agents)
        return seen


def _environment(env: Any, name: str, capabilities: Capabilities) -> JumanjiEnvironment:
    params = JumanjiParams(np.int32(env.time_limit)) if _has_params(name) else None
    return JumanjiEnvironment(env, params, capabilities)


def _has_params(name: str) -> bool:
    return name in WITH_TIME_LIMIT or name.startswith("Connector-")


def _copied(state: Any) -> Any:
    """MMST and PacMan (1.1.2) write into the state that they are given."""
    return jax.tree.map(lambda leaf: leaf, state)


def _by_name(spec: Any, observed: Any) -> Any:
    """A named tuple or dataclass, of others and of arrays, as a dict."""
    if hasattr(spec, "dtype"):
        return observed
    return {name: _by_name(part, getattr(observed, name)) for name, part in spec._specs.items()}


def _space(spec: Any) -> Any:
    """jumanji's specs; what is nested is a `Dict`."""
    if not hasattr(spec, "dtype"):
        return spaces.Dict({name: _space(part) for name, part in spec._specs.items()})
    if hasattr(spec, "num_values"):
        kind: Any = spaces.MultiDiscrete if spec.shape else spaces.Discrete
        return kind(np.asarray(spec.num_values), dtype=spec.dtype)
    return spaces.Box(*_bounds(spec), spec.shape, spec.dtype)


def _bounds(spec: Any) -> tuple[Any, Any]:
    if hasattr(spec, "minimum"):
        return np.asarray(spec.minimum), np.asarray(spec.maximum)
    if spec.dtype.kind == "f":
        return -np.inf, np.inf
    limits = np.iinfo(spec.dtype)
    return limits.min, limits.max


def levels() -> pathlib.Path:
    """Return the place where the Hugging Face Hub's client keeps the levels of Sokoban."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", os.path.join(cache, "huggingface"))
    hub = pathlib.Path(os.environ.get("HF_HUB_CACHE", os.path.join(home, "hub")))
    return hub.expanduser() / "models--InstaDeepAI--boxoban-levels"


SUITE = JumanjiSuite()
