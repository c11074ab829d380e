"""gymnax 0.0.9 and 1.x: classic control, bsuite, MinAtar and more, in JAX."""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from envhub import spaces
from envhub._headless import no_sound
from envhub._tracing import concrete_if_known, is_traced, numpy_for
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError
from envhub.flags import Capabilities, Claim
from envhub.limits import NO_LIMIT, with_limit
from envhub.params import Rule, computed
from envhub.suite import Gap, Suite, in_x64_mode, keywords

NAMES = """
    CartPole-v1 Pendulum-v1 Acrobot-v1 MountainCar-v0 MountainCarContinuous-v0
    Asterix-MinAtar Breakout-MinAtar Freeway-MinAtar SpaceInvaders-MinAtar
    Catch-bsuite DeepSea-bsuite MemoryChain-bsuite UmbrellaChain-bsuite DiscountingChain-bsuite
    MNISTBandit-bsuite SimpleBandit-bsuite
    FourRooms-misc MetaMaze-misc PointRobot-misc BernoulliBandit-misc GaussianBandit-misc
    Reacher-misc Swimmer-misc Pong-misc
""".split()
NAMES_SINCE_1_0 = ["Seaquest-MinAtar", "FrozenLake-misc"]

CLASSIC_CONTROL = set(NAMES[:5])
DRAWN_BY_VISUALIZER = {name for name in NAMES + NAMES_SINCE_1_0 if name.endswith("-MinAtar")} | {
    "Catch-bsuite",
    "FourRooms-misc",
    "MetaMaze-misc",
    "PointRobot-misc",
    "Pong-misc",
}
WITH_TRANSITION_GRADIENTS = {
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "PointRobot-misc",
    "Reacher-misc",
    "Swimmer-misc",
}
# Where gymnax puts the MNIST images, on every machine (0.0.9 and 1.0.1).
MNIST = "/tmp/mnist"
# A lax.select between two widths, in 0.0.9 and 1.0.1, and in one of them.
BROKEN_IN_X64 = {"DiscountingChain-bsuite", "GaussianBandit-misc", "MetaMaze-misc"}
BROKEN_IN_X64_SINCE_1_0 = {"Freeway-MinAtar"}
BROKEN_IN_X64_BEFORE_1_0 = {"FourRooms-misc", "MemoryChain-bsuite"}
# What gymnax computes once, for the defaults (0.0.9 and 1.0.1).
DERIVED: dict[str, dict[str, Rule]] = {
    "CartPole": {
        "total_mass": ({"masscart", "masspole"}, lambda own: own.masscart + own.masspole),
        "polemass_length": ({"masspole", "length"}, lambda own: own.masspole * own.length),
    }
}


class GymnaxSuite(Suite):
    """gymnax's environments, stepped by `step_env`, which never resets."""

    name = "gymnax"
    title = "classic control, bsuite, MinAtar and bandits in JAX"
    module = "gymnax"
    distribution = "gymnax"
    supported = ">=0.0.9,<2"
    example = "CartPole-v1"
    interface = "a gymnax Environment"
    enabling = ({"transition_gradients": True},)
    # fmt: off
    references = (("SimpleBandit-bsuite", "https://github.com/RobertTLange/gymnax/issues/110"),)
    # fmt: on

    def known_names(self) -> Iterable[str]:
        return NAMES + (NAMES_SINCE_1_0 if self.at_least("1.0") else [])

    def live_names(self) -> Iterable[str]:
        return list(self.load().registered_envs)

    def options(self, name: str) -> Iterable[str]:
        env, _ = self.load().make(name)
        gradients = ["transition_gradients"] if self.at_least("1.0") else []
        return keywords(type(env)) + gradients

    def family(self, name: str) -> str:
        return "classic control" if name in CLASSIC_CONTROL else name.rpartition("-")[2]

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        return [{}, *self.needs(name).values()]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_steps_in_episode"

    def without_limit(self, name: str, obs: Any) -> Any:
        # The other entry of this one is the time as a fraction of the limit.
        return obs[..., :1] if name == "DiscountingChain-bsuite" else obs

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        return Capabilities.native(
            differentiable=self._differentiable(name, options), renderable=self._renderable(name)
        )

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if name == "MNISTBandit-bsuite" and not all(map(os.path.exists, mnist_files())):
            fetch = 'import gymnax; gymnax.make("MNISTBandit-bsuite")'
            return Gap(
                "needs_network",
                f"the MNIST images are not in {MNIST}, and envhub downloads nothing. "
                f"Fetch them once: python -c {shlex.quote(fetch)}",
            )
        if name == "SimpleBandit-bsuite" and not self.at_least("1.0"):
            return Gap("upstream", "gymnax 0.0.9 indexes an array of no dimensions; use 1.0.")
        if in_x64_mode() and name in self._broken_in_x64():
            return Gap("upstream", "gymnax mixes dtypes there in x64 mode; switch that off.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        options = dict(options)
        transition_gradients = options.pop("transition_gradients", False)
        if not isinstance(transition_gradients, bool):
            raise InvalidOptionError("transition_gradients must be True or False.")
        env, params = self.load().make(name, **options)
        if transition_gradients:
            env = env.with_transition_gradients()
        return GymnaxEnvironment(env, params, self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load("environments.environment").Environment):
            return None
        if _resets_with_more(obj):
            return None
        gradients = {"transition_gradients": getattr(obj, "transition_gradients_enabled", False)}
        if type(obj).__module__.startswith("gymnax."):
            capabilities = self.capabilities(obj.name, gradients)
        else:
            capabilities = Capabilities.native(
                differentiable="not known of an environment of a third party.",
                renderable="gymnax draws its own environments.",
            )
        return obj.name, GymnaxEnvironment(obj, obj.default_params, capabilities)

    def _broken_in_x64(self) -> set[str]:
        newer = self.at_least("1.0")
        return BROKEN_IN_X64 | (BROKEN_IN_X64_SINCE_1_0 if newer else BROKEN_IN_X64_BEFORE_1_0)

    def _differentiable(self, name: str, options: Mapping[str, Any]) -> Claim:
        if name not in WITH_TRANSITION_GRADIENTS:
            return "actions are discrete, or gymnax has no gradient for this transition."
        if not self.at_least("1.0"):
            return "gymnax 0.0.9 stops the gradient of every transition; 1.0 has an option."
        if options.get("transition_gradients") is not True:
            return "gymnax stops the gradient of transitions; make(…, transition_gradients=True)."
        return True

    def _renderable(self, name: str) -> Claim:
        if name in CLASSIC_CONTROL:
            return self.at_least("1.0") or "gymnax 0.0.9 draws with a Gym older than Gymnasium."
        return name in DRAWN_BY_VISUALIZER or "gymnax's visualizer draws nothing for it."


class GymnaxEnvironment(Environment):
    """A gymnax environment; its state and params are gymnax's own."""

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        obs, state = self.unwrapped.reset_env(key, params)
        return obs, state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        step = self.unwrapped.step_env
        obs, state_after, reward, terminated, info = step(key, state, action, params)
        if SUITE.at_least("1.0"):
            truncated = self.unwrapped.is_truncated(state_after, params)
        else:
            # gymnax 0.0.9 merges the time limit into `done`.
            unlimited = with_limit(params, "max_steps_in_episode", NO_LIMIT)
            terminated = step(key, state, action, unlimited)[3]
            truncated = state_after.time >= params.max_steps_in_episode
        return StepResult(obs, state_after, reward, terminated, truncated, info)

    def observation_space(self, params: Any = None) -> spaces.Space:
        correct = CORRECTIONS.get(type(self.unwrapped).__name__)
        with concrete_if_known(self._params_of(params)) as known:
            space = _convert(self.unwrapped.observation_space(known))
            return correct(self.unwrapped, known, space) if correct else space

    def action_space(self, params: Any = None) -> spaces.Space:
        with concrete_if_known(self._params_of(params)) as known:
            return _convert(self.unwrapped.action_space(known))

    def _params_of(self, params: Any) -> Any:
        if params is None:
            return self.default_params
        self.check_params(params)
        return params

    def derived_params(self, params: Any, changed: set[str]) -> dict[str, Any]:
        return computed(DERIVED.get(type(self.unwrapped).__name__, {}), params, changed)

    def render_env(self, state: Any, params: Any) -> Any:
        name = self.unwrapped.name
        if name in CLASSIC_CONTROL:
            with no_sound():
                return SUITE.load("visualize.vis_gym").render_gym_frame(name, state, params)
        if name not in DRAWN_BY_VISUALIZER:
            return super().render_env(state, params)
        drawing = SUITE.load("visualize").Visualizer(self.unwrapped, params, [state])
        return _rasterise(drawing)


def _resets_with_more(env: Any) -> bool:
    """Tell whether a reset needs more than a key and params: kinetix's (3.0.2) takes the level."""
    given = inspect.signature(env.reset_env).parameters.values()
    return len([each for each in given if each.default is each.empty]) > 2


def _rasterise(drawing: Any) -> np.ndarray:
    """The pixels of a matplotlib figure, drawn without a window and then closed."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    try:
        drawing.init()
        canvas = FigureCanvasAgg(drawing.fig)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
    finally:
        pyplot.close(drawing.fig)


def _convert(space: Any) -> spaces.Space:
    """gymnax's spaces; its bounds may be numbers, NumPy or JAX arrays, which may be traced."""
    if hasattr(space, "n"):
        return spaces.Discrete(int(space.n))
    low, high, dtype = space.low, space.high, np.dtype(space.dtype)
    if not is_traced(low, high):
        low, high = np.asarray(low, dtype), np.asarray(high, dtype)
    return spaces.Box(low, high, tuple(space.shape), dtype)


# Where gymnax's spaces lie (0.0.9 and 1.0.1), and what is true. The time that the bandits and the
# maze observe is scaled to [-1, 1] over 100 steps, whatever the limit, unless a param says not to.


def _time_bounds(params: Any, low: float = -1.0, high: float = 1.0, t_max: float = 100.0) -> Any:
    limit, numpy = params.max_steps_in_episode, numpy_for(params)
    scaled = numpy.maximum(high, low + (high - low) * limit / t_max)
    is_scaled = params.normalize_time
    return numpy.where(is_scaled, low, 0.0), numpy.where(is_scaled, scaled, limit)


def _with(bound: Any, values: Mapping[int, Any]) -> Any:
    """A bound with some elements replaced; all of it may be traced."""
    parts = [values.get(index - len(bound), bound[index]) for index in range(len(bound))]
    return numpy_for(parts).stack(parts)


def _catch(env: Any, params: Any, space: Any) -> spaces.Space:
    return spaces.Box(0.0, 1.0, space.shape, np.float32)  # says int32, observes float32


def _four_rooms(env: Any, params: Any, space: Any) -> spaces.Space:
    if env.use_visual_obs:
        return spaces.Box(space.low, space.high, space.shape, space.dtype)
    return spaces.Box(space.low, space.high, space.shape, np.int32)  # says float32, observes int32


def _memory_chain(env: Any, params: Any, space: Any) -> spaces.Space:
    # The context is -1 or 1, and the time left goes below 0 by a rounding error.
    return spaces.Box(-1.0, space.high, space.shape, np.float32)


def _umbrella_chain(env: Any, params: Any, space: Any) -> spaces.Space:
    low = np.zeros(space.shape, np.float32)
    low[2] = -1e-6  # the time left goes below 0 by a rounding error
    return spaces.Box(low, space.high, space.shape, np.float32)


def _meta_maze(env: Any, params: Any, space: Any) -> spaces.Space:
    rewards = [0.0, params.reward, params.punishment, params.reward + params.punishment]
    all_rewards = numpy_for(rewards).stack(rewards)
    time_low, time_high = _time_bounds(params)
    # It says 0 to 1, and observes the last reward.
    low = _with(space.low, {-2: all_rewards.min(), -1: time_low})
    high = _with(space.high, {-2: all_rewards.max(), -1: time_high})
    return spaces.Box(low, high, space.shape, np.float32)


def _gaussian_bandit(env: Any, params: Any, space: Any) -> spaces.Space:
    time_low, time_high = _time_bounds(params)
    low = _with(np.array([-np.inf, 0, 0, 0]), {-1: time_low})  # the last reward is Gaussian
    high = _with(np.array([np.inf, 1, 1, 0]), {-1: time_high})
    return spaces.Box(low, high, space.shape, np.float32)


def _bernoulli_bandit(env: Any, params: Any, space: Any) -> spaces.Space:
    bounds = _time_bounds(params, params.min_lim, params.max_lim, params.t_max)
    # Its own are right for the default limit only.
    low, high = _with(space.low, {-1: bounds[0]}), _with(space.high, {-1: bounds[1]})
    return spaces.Box(low, high, space.shape, np.float32)


def _mnist_bandit(env: Any, params: Any, space: Any) -> spaces.Space:
    # The loader casts uint8 pixels to int8 before it divides by 255.
    return spaces.Box(-128 / 255, 1.0, space.shape, np.float32)


CORRECTIONS: dict[str, Callable[[Any, Any, Any], spaces.Space]] = {
    "Catch": _catch,
    "FourRooms": _four_rooms,
    "MemoryChain": _memory_chain,
    "UmbrellaChain": _umbrella_chain,
    "MetaMaze": _meta_maze,
    "GaussianBandit": _gaussian_bandit,
    "BernoulliBandit": _bernoulli_bandit,
    "MNISTBandit": _mnist_bandit,
}


def mnist_files() -> list[str]:
    """Return the places of the files that the MNIST bandit reads."""
    kinds = ("images-idx3", "labels-idx1")
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in kinds]
    return [os.path.join(MNIST, name) for name in names]


SUITE = GymnaxSuite()
