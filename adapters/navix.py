"""navix 0.7 and 4.x: MiniGrid's gridworlds in JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.params import params_dataclass
from envhub.suite import Gap, Suite, in_x64_mode, keywords

NAMES = """
    DistShift1 DistShift2
    DoorKey-5x5 DoorKey-6x6 DoorKey-8x8 DoorKey-16x16
    DoorKey-Random-5x5 DoorKey-Random-6x6 DoorKey-Random-8x8 DoorKey-Random-16x16
    Dynamic-Obstacles-5x5 Dynamic-Obstacles-6x6 Dynamic-Obstacles-8x8 Dynamic-Obstacles-16x16
    Dynamic-Obstacles-5x5-Random Dynamic-Obstacles-6x6-Random
    Empty-5x5 Empty-6x6 Empty-8x8 Empty-16x16
    Empty-Random-5x5 Empty-Random-6x6 Empty-Random-8x8 Empty-Random-16x16
    FourRooms GoToDoor-5x5 GoToDoor-6x6 GoToDoor-8x8
    KeyCorridorS3R1 KeyCorridorS3R2 KeyCorridorS3R3 KeyCorridorS4R3 KeyCorridorS5R3 KeyCorridorS6R3
    LavaGapS5 LavaGapS6 LavaGapS7
    SimpleCrossingS9N1 SimpleCrossingS9N2 SimpleCrossingS9N3 SimpleCrossingS11N5
""".split()
NAMES_SINCE_4_0 = """
    BlockedUnlockPickup Fetch-5x5-N2 Fetch-6x6-N2 Fetch-8x8-N3
    FourRooms-7x7 FourRooms-9x9 FourRooms-11x11 FourRooms-13x13 FourRooms-15x15 FourRooms-17x17
    GoToObject-6x6-N2 GoToObject-8x8-N2
    LavaCrossingS9N1 LavaCrossingS9N2 LavaCrossingS9N3 LavaCrossingS11N5 LockedRoom
    MemoryS7 MemoryS9 MemoryS11 MemoryS13 MemoryS13Random MemoryS17Random
    MultiRoom-N2-S4 MultiRoom-N4-S5 MultiRoom-N6
    ObstructedMaze-1Dl ObstructedMaze-1Dlh ObstructedMaze-1Dlhb ObstructedMaze-1Q
    ObstructedMaze-2Dl ObstructedMaze-2Dlh ObstructedMaze-2Dlhb ObstructedMaze-2Q
    ObstructedMaze-Full Playground PutNear-6x6-N2 PutNear-8x8-N3
    RedBlueDoors-6x6 RedBlueDoors-8x8 Unlock UnlockPickup
""".split()

# Fixed by the id, or not the caller's to choose here.
NOT_OPTIONS = {"height", "width", "max_steps", "disable_autoreset"}


@params_dataclass
class NavixParams:
    """What navix's step reads and can change from call to call.

    Attributes:
        max_steps: int32[], the step at which an episode is truncated.
        penalty_coeff: float32[], subtracted from the terminating reward, times t / max_steps.
    """

    max_steps: Any
    penalty_coeff: Any


class NavixSuite(Suite):
    """navix's environments, stepped by its internal step, which never resets."""

    name = "navix"
    title = "MiniGrid's gridworlds in JAX"
    module = "navix"
    distribution = "navix"
    relies_on = ("flax",)
    # navix 0.7.0 fails to import on Python 3.11 (a mutable dataclass default).
    supported = ">=0.7.1,<5"
    example = "Navix-DoorKey-8x8-v0"
    interface = "a navix Environment"

    def known_names(self) -> Iterable[str]:
        short = NAMES + (NAMES_SINCE_4_0 if self.at_least("4.0") else [])
        return [f"Navix-{name}-v0" for name in short]

    def live_names(self) -> Iterable[str]:
        return list(self.load().registry())

    def options(self, name: str) -> Iterable[str]:
        environments = self.load("environments.environment")
        return {*keywords(environments.Environment.create), "gamma"} - NOT_OPTIONS

    def family(self, name: str) -> str:
        return "MiniGrid"

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_steps"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        return Capabilities.native(differentiable="actions are discrete.")

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if in_x64_mode():
            return Gap("upstream", "navix 4.0.0 mixes dtypes in x64 mode; switch that off.")
        observes = options.get("observation_fn")
        is_broken = getattr(observes, "__name__", observes) == "rgb_first_person"
        if is_broken and not self.at_least("0.7.4"):
            return Gap("upstream", "navix 0.7.1's rgb_first_person fails; upgrade navix.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        navix, options = self.load(), dict(options)
        if isinstance(options.get("observation_fn"), str):
            options["observation_fn"] = getattr(navix.observations, options["observation_fn"])
        return self._of(navix.make(name, **options), self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load("environments.environment").Environment):
            return None
        # Nothing in it says by which of several names it was made.
        return type(obj).__name__, self._of(obj, self.capabilities("", {}))

    def _of(self, env: Any, capabilities: Capabilities) -> Environment:
        params = NavixParams(env.max_steps, getattr(env, self.penalty_field))
        return NavixEnvironment(env, params, capabilities)

    @property
    def penalty_field(self) -> str:
        """navix 0.7 spells it in its own way."""
        return "penalty_coeff" if self.at_least("4.0") else "penality_coeff"


class NavixEnvironment(Environment):
    """A navix environment; its state is navix's `Timestep`.

    Randomness in a step (of Dynamic-Obstacles only) comes from the key in the state, as navix has
    it: the key given to `step` is not used.
    """

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        timestep = self.unwrapped.reset(key)
        return timestep.observation, timestep

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        # The public step resets an episode that ended, and navix 0.7 cannot switch that off.
        timestep = self._under(params)._step(state, action)
        return StepResult(
            obs=timestep.observation,
            state=timestep,
            reward=timestep.reward,
            terminated=timestep.is_termination(),
            truncated=timestep.is_truncation(),
            info=timestep.info,
        )

    def observation_space(self, params: Any = None) -> spaces.Space:
        # navix's space has the wrong shape for `none`, the wrong dtype for the categorical
        # observations of KeyCorridor, and bounds that exclude walls (-1) and unseen cells (100) of
        # the categorical ones (4.0.0); 0.7 also halves the view of the first-person ones. So shape
        # and dtype are those of a reset, and the bounds those of what navix encodes.
        seen = self.reset_shapes[0]
        low, high = (0, 255) if seen.dtype == np.uint8 else (-1, 100)
        return spaces.Box(low, high, seen.shape, seen.dtype)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Discrete(len(self.unwrapped.action_set))

    def render_env(self, state: Any, params: Any) -> Any:
        return SUITE.load("observations").rgb(state.state)

    def _under(self, params: NavixParams) -> Any:
        """The environment with its static fields replaced, for this one call."""
        changes = {"max_steps": params.max_steps, SUITE.penalty_field: params.penalty_coeff}
        return self.unwrapped.replace(**changes)


SUITE = NavixSuite()
