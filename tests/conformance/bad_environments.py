"""Environments that lie: each claims everything and lacks one capability, or breaks one clause.

And `Honest`, which does not, as those do not that are only slow to show it.

A second process makes them too, by `module:function`, so they are made by functions of no argument.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from envhub import spaces
from envhub.environment import Environment, StepResult
from envhub.flags import Capabilities
from envhub.params import params_dataclass


@params_dataclass
class Params:
    """How strongly the action acts, and when an episode is cut."""

    gain: Any = 0.5
    limit: Any = 50


class Honest(Environment):
    """A point moved by a continuous action, with every capability there is."""

    def __init__(self) -> None:
        super().__init__(self, Params(), Capabilities.native())

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        position = jax.random.uniform(key, (2,))
        return position, {"position": position, "time": jnp.int32(0)}

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        position = self.move(key, state, action, params)
        after = {"position": position, "time": state["time"] + 1}
        truncated = after["time"] >= params.limit
        return StepResult(position, after, position.sum(), False, truncated, {})

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return state["position"] + params.gain * action

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(-1.0, 1.0, (2,), np.float32)

    def render_env(self, state: Any, params: Any) -> Any:
        frame = np.zeros((8, 8, 3), np.uint8)
        frame[int(state["time"]) % 8] = 255
        return frame


class CallsTheHost(Honest):
    """Not jax_native: the move is computed by a callback."""

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        shape = jax.ShapeDtypeStruct((2,), jnp.float32)
        moved = lambda p, a: np.asarray(p + 0.5 * a, np.float32)  # noqa: E731
        return jax.pure_callback(moved, shape, state["position"], action, vmap_method="expand_dims")


class CountsOnTheHost(Honest):
    """Not forkable: a counter on the host, which every step advances, is part of the state."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        def count() -> Any:
            self.count += 1
            return np.float32(self.count)

        counted = jax.experimental.io_callback(count, jax.ShapeDtypeStruct((), jnp.float32))
        return super().move(key, state, action, params) + counted


class ShowsTheTime(Honest):
    """On purpose, as a fraction of the limit."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = super().reset_env(key, params)
        return {"position": obs, "time": jnp.float32(0)}, state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params)
        time = jnp.float32(result.state["time"] / params.limit)
        return result._replace(obs={"position": result.obs, "time": time})

    def observation_space(self, params: Any = None) -> spaces.Space:
        time = spaces.Box(0.0, np.inf, (), np.float32)
        return spaces.Dict({"position": super().observation_space(params), "time": time})


def in_a_batch(change: Callable[[Any], Any]) -> Any:
    """From a position to itself, under vmap to what is made of all of them."""

    @jax.custom_batching.custom_vmap
    def changed(position: Any) -> Any:
        return position

    @changed.def_vmap
    def _(axis_size: int, in_batched: Any, position: Any) -> tuple[Any, bool]:
        return change(position), True

    return changed


class MixesLanes(Honest):
    """Not vmap_safe: every lane gets the mean of the batch."""

    mean = staticmethod(in_a_batch(lambda each: jnp.broadcast_to(each.mean(0), each.shape)))

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return self.mean(super().move(key, state, action, params))


class RoundsAlikeInNoTwoPrograms(Honest):
    """As brax's ant in MJX: what a program finds is another's but for a part in a hundred."""

    rounded = staticmethod(in_a_batch(lambda each: 1.01 * each))

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return self.rounded(super().move(key, state, action, params))


class IgnoresParams(Honest):
    """No has_env_params: there is a pytree, and it changes nothing."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return super().step_env(key, state, action, Params())


class BranchesOnParams(Honest):
    """No has_env_params: Python decides by their value, so they cannot be traced."""

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return state["position"] + (action if params.gain > 1 else params.gain * action)


class SharesOneInstance(Honest):
    """No isolated_reset: there is one instance on the host, and a reset moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.resets = 0

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        def reset() -> Any:
            self.resets += 1
            return np.float32(0)

        zero = jax.experimental.io_callback(reset, jax.ShapeDtypeStruct((), jnp.float32))
        obs, state = super().reset_env(key, params)
        return obs + zero, state

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        read = lambda: np.float32(self.resets)  # noqa: E731
        shared = jax.experimental.io_callback(read, jax.ShapeDtypeStruct((), jnp.float32))
        return super().move(key, state, action, params) + shared


class SeedsFromTheProcess(Honest):
    """Not reproducible: another process plays another episode for the same key."""

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return super().move(key, state, action, params) + os.getpid() % 10_007


class WandersOff(Honest):
    """Not reproducible from the twentieth step on, where its library draws what no seed decides."""

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = self.capabilities.without(jax_native="a library moves it.")
        self.drawn = itertools.count()

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        def draw(time: Any) -> Any:
            return np.float32(next(self.drawn) if time >= 20 else 0)

        shape = jax.ShapeDtypeStruct((), jnp.float32)
        drawn = jax.experimental.io_callback(draw, shape, state["time"])
        return super().move(key, state, action, params) + drawn


class MovedByALibrary(Honest):
    """As a CPU library does it: what `drawn` gives at a time is added to a move by a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = self.capabilities.without(jax_native="a library moves it.")
        self.calls = self.resets = 0

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        def reset() -> Any:
            self.resets += 1
            self.restart()
            return np.float32(0)

        zero = jax.experimental.io_callback(reset, jax.ShapeDtypeStruct((), jnp.float32))
        obs, state = super().reset_env(key, params)
        return obs + zero, state

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        def draw(time: Any) -> Any:
            self.calls += 1
            return np.float32(self.drawn(int(time)))

        shape = jax.ShapeDtypeStruct((), jnp.float32)
        drawn = jax.experimental.io_callback(draw, shape, state["time"])
        return super().move(key, state, action, params) + drawn

    def restart(self) -> None:
        self.calls = 0

    def drawn(self, time: int) -> int:
        return 0


class CountsLater(MovedByALibrary):
    """Not forkable: from its twentieth step on it depends on a count that no fork has."""

    def drawn(self, time: int) -> int:
        return self.calls if time >= 20 else 0


class IsMovedByResetsLater(MovedByALibrary):
    """No isolated_reset: what a reset has changed shows after some steps."""

    def drawn(self, time: int) -> int:
        return self.resets if time == 20 else 0


class RemembersItsStart(MovedByALibrary):
    """Not checkpointable: the end of an episode depends on what only its own process has seen."""

    def drawn(self, time: int) -> int:
        return int(self.resets > 0) if time >= 20 else 0


class SharesOneGenerator(MovedByALibrary):
    """Not reproducible beside another instance: all instances of a process share one count."""

    shared: ClassVar[list[int]] = []

    def restart(self) -> None:
        self.shared.clear()

    def drawn(self, time: int) -> int:
        self.shared.append(time)
        return len(self.shared) if time >= 20 else 0


LATE_LIES = {
    CountsLater: "forkable",
    IsMovedByResetsLater: "isolated_reset",
    RemembersItsStart: "checkpointable",
    SharesOneGenerator: "reproducible",
}


class EndsAtOnce(Honest):
    """Its limit does nothing, and one episode in ten is long enough to show it."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params.replace(limit=50))
        is_long = state["start"][0] < 0.1
        state = result.state | {"start": state["start"]}
        return result._replace(state=state, terminated=(state["time"] == 3) & ~is_long)

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = super().reset_env(key, params)
        return obs, state | {"start": obs}


class KeepsTheStateElsewhere(Honest):
    """Not checkpointable: the state is an index into a table that this process fills."""

    def __init__(self) -> None:
        super().__init__()
        self.table: list[Any] = []

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        def look_up(time: Any, position: Any) -> Any:
            first = int(time) == 0
            if first:
                self.table = [np.asarray(position)]
            if not self.table:  # a process that never was at the start of the episode
                return np.zeros(2, np.float32)
            self.table.append(self.table[int(time)] + np.float32(0.1))
            return self.table[int(time) + 1]

        shape = jax.ShapeDtypeStruct((2,), jnp.float32)
        return jax.pure_callback(look_up, shape, state["time"], state["position"])


class StopsGradients(Honest):
    """Not differentiable: the gradient is zero."""

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return jax.lax.stop_gradient(super().move(key, state, action, params))


class HasNanGradients(Honest):
    """Not differentiable: the gradient is not a number."""

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return super().move(key, state, action, params) + jnp.sqrt(0.0 * action)


class NeedsOneDevice(Honest):
    """Not multi_device: an ordered effect, which XLA refuses on more than one device."""

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        jax.debug.callback(lambda: None, ordered=True)
        return super().move(key, state, action, params)


class DrawsFloats(Honest):
    """Not renderable: the picture is of floats."""

    def render_env(self, state: Any, params: Any) -> Any:
        return super().render_env(state, params) / 255


class DrawsNothing(Honest):
    """Not renderable: the picture is empty."""

    def render_env(self, state: Any, params: Any) -> Any:
        return np.zeros((8, 8, 3), np.uint8)


class BeginsDark(Honest):
    """Its pictures show nothing for 40 steps, as those of ALE's Elevator Action."""

    def render_env(self, state: Any, params: Any) -> Any:
        return super().render_env(state, params) * (state["time"] > 40)


class IsDrawnUntilItsEnd(Honest):
    """Its episodes take 3 steps, and there is no picture of what follows an end."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return super().step_env(key, state, action, Params(limit=3))

    def render_env(self, state: Any, params: Any) -> Any:
        assert state["time"] < 3
        return super().render_env(state, params)


class StandsStill(Honest):
    """Its actions move nothing in the first 20 steps."""

    def move(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return super().move(key, state, action * (state["time"] > 20), params)


class ActsLate(Honest):
    """Its params decide nothing before the hundredth step."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        gain = jnp.where(state["time"] < 100, 0.5, params.gain)
        return super().step_env(key, state, action, Params(gain, limit=200))


class ActsRarely(Honest):
    """Its params decide something at the first step of one episode in a hundred."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        is_rare = (state["time"] == 0) & (state["position"][0] < 0.01)
        gain = jnp.where(is_rare, params.gain, 0.5)
        return super().step_env(key, state, action, Params(gain, limit=1))


class LeavesEarly(Honest):
    """Two agents: one terminates, and is done when the other is cut."""

    num_agents = 2

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params)
        terminated = (result.state["time"] >= 5) & jnp.array([True, False])
        truncated = result.truncated & ~terminated
        return result._replace(reward=result.obs, terminated=terminated, truncated=truncated)


LIES = {
    CallsTheHost: "jax_native",
    CountsOnTheHost: "forkable",
    MixesLanes: "vmap_safe",
    IgnoresParams: "has_env_params",
    BranchesOnParams: "has_env_params",
    SharesOneInstance: "isolated_reset",
    SeedsFromTheProcess: "reproducible",
    KeepsTheStateElsewhere: "checkpointable",
    StopsGradients: "differentiable",
    HasNanGradients: "differentiable",
    NeedsOneDevice: "multi_device",
    DrawsFloats: "renderable",
    DrawsNothing: "renderable",
}


class HasAnEmptyArray(Honest):
    """In its state."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = super().reset_env(key, params)
        return obs, state | {"nothing": jnp.zeros(0)}

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params)
        return result._replace(state=result.state | {"nothing": state["nothing"]})


class TellsKeysApart(Honest):
    """A legacy key starts another episode."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = super().reset_env(key, params)
        return obs + (key.dtype == jnp.uint32), state


class HasAListForInfo(Honest):
    """Info is no dict."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return super().step_env(key, state, action, params)._replace(info=[1.0])


class ChangesShape(Honest):
    """The observation of a step is longer than that of a reset."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params)
        return result._replace(obs=jnp.append(result.obs, 0.0))


class IsWeaklyTyped(Honest):
    """The reward is a number of Python's."""

    def step(self, key: jax.Array, state: Any, action: Any, params: Any = None) -> StepResult:
        return super().step(key, state, action, params)._replace(reward=jnp.asarray(1.0))


class CompilesTwice(Honest):
    """The first state has other types than the later ones."""

    def reset(self, key: jax.Array, params: Any = None) -> tuple[Any, Any]:
        obs, state = super().reset(key, params)
        return obs, state | {"time": jnp.asarray(0)}


class TakesAnything(Honest):
    """An action of any shape."""

    def step(self, key: jax.Array, state: Any, action: Any, params: Any = None) -> StepResult:
        return super().step(key, state, jnp.reshape(action, (-1, 2))[0], params)


class HasASmallSpace(Honest):
    """Observations leave their space."""

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.Box(-1.0, 1.0, (2,), np.float32)


class MeasuresItsParams(Honest):
    """A space is made of numbers that are not there while a program is traced."""

    def observation_space(self, params: Any = None) -> spaces.Space:
        bound = np.asarray((params or self.default_params).gain)
        return spaces.Box(-np.inf + bound, np.inf, (2,), np.float32)


class RewardsWithNothing(Honest):
    """A reward that is not a number."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return super().step_env(key, state, action, params)._replace(reward=jnp.nan)


class TerminatesAtTheLimit(Honest):
    """The limit is called a termination."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params)
        return result._replace(terminated=result.truncated, truncated=False)


class GoesOnAfterTheLimit(Honest):
    """There is a limit, and it is another one."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        return super().step_env(key, state, action, params.replace(limit=50))


class ShowsTheReset(Honest):
    """The last observation is that of the next episode."""

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        result = super().step_env(key, state, action, params)
        first = super().reset_env(key, params)[0]
        return result._replace(obs=jnp.where(result.truncated, first, result.obs))


BREACHES = {
    HasAnEmptyArray: "no_array_of_a_state_is_empty",
    TellsKeysApart: "typed_and_legacy_keys_give_the_same_episode",
    HasAListForInfo: "step_returns_the_documented_types",
    ChangesShape: "structure_shapes_and_dtypes_never_change",
    IsWeaklyTyped: "nothing_is_64_bit_or_weakly_typed",
    CompilesTwice: "no_second_compilation_after_the_first_step",
    TakesAnything: "the_step_takes_what_the_action_space_holds",
    MeasuresItsParams: "spaces_are_known_inside_jit",
    HasASmallSpace: "observations_lie_in_the_space_until_the_end",
    RewardsWithNothing: "observations_lie_in_the_space_until_the_end",
    GoesOnAfterTheLimit: "a_time_limit_is_a_truncation",
    EndsAtOnce: "a_time_limit_is_a_truncation",
    TerminatesAtTheLimit: "the_limit_does_not_terminate",
    ShowsTheReset: "the_observation_at_the_limit_is_the_last_and_not_a_reset",
    MixesLanes: "while_loops_and_conditions_under_vmap",
}


def make(kind: type[Environment]) -> tuple[Environment, Any]:
    env = kind()  # type: ignore[call-arg]
    return env, env.default_params


for _kind in (Honest, WandersOff, *LIES, *LATE_LIES, *BREACHES):
    globals()[f"make_{_kind.__name__}"] = functools.partial(make, _kind)
