"""gymnasium 1.0 and newer: the field's standard environments, on the CPU behind a callback."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from envhub import spaces
from envhub.capabilities import Capabilities, Claim
from envhub.environment import Environment
from envhub.errors import MissingDependencyError, UnavailableEnvError
from envhub.headless import is_opengl_chosen, opengl_errors
from envhub.host import BRIDGE_OPTIONS, Instance, host_capabilities, plain
from envhub.params import named_params, params_dataclass
from envhub.suite import Gap, Suite, keywords

# What changes between the steps of an episode, by the class of the environment. A `reset` sets
# everything anew, the generator too, so it is part of a snapshot only where a step draws from it.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "CartPoleEnv": ("state", "steps_beyond_terminated"),
    "MountainCarEnv": ("state",),
    "Continuous_MountainCarEnv": ("state",),
    "PendulumEnv": ("state", "last_u"),
    "AcrobotEnv": ("state",),
    "FrozenLakeEnv": ("s", "lastaction"),
    "CliffWalkingEnv": ("s", "lastaction"),
    "TaxiEnv": ("s", "lastaction", "fickle_step", "taxi_orientation"),
    "BlackjackEnv": (
        "player", "dealer", "dealer_top_card_suit", "dealer_top_card_value_str",
    ),
}  # fmt: skip
DRAWS_IN_STEP = {"FrozenLakeEnv", "CliffWalkingEnv", "TaxiEnv", "BlackjackEnv"}

# Physics that may be set on a live instance, and what is computed from it at construction.
PHYSICS: dict[str, tuple[str, ...]] = {
    "CartPoleEnv": ("gravity", "masscart", "masspole", "length", "force_mag", "tau"),
    "MountainCarEnv": ("force", "gravity"),
    "Continuous_MountainCarEnv": ("power",),
    "PendulumEnv": ("g", "m", "l", "dt"),
    "AcrobotEnv": (
        "LINK_LENGTH_1", "LINK_LENGTH_2", "LINK_MASS_1", "LINK_MASS_2", "LINK_COM_POS_1",
        "LINK_COM_POS_2", "LINK_MOI", "torque_noise_max",
    ),
}  # fmt: skip
DERIVED: dict[str, dict[str, Callable[[Any], float]]] = {
    "CartPoleEnv": {
        "total_mass": lambda env: env.masspole + env.masscart,
        "polemass_length": lambda env: env.masspole * env.length,
    }
}

CLASSIC = "Acrobot-v1 CartPole-v0 CartPole-v1 MountainCar-v0 MountainCarContinuous-v0 Pendulum-v1"
TOY_TEXT = "Blackjack-v1 FrozenLake-v1 FrozenLake8x8-v1"
MUJOCO = """
    Ant HalfCheetah Hopper Humanoid HumanoidStandup InvertedDoublePendulum InvertedPendulum Pusher
    Reacher Swimmer Walker2d
"""
MUJOCO_V3 = "Ant HalfCheetah Hopper Humanoid Swimmer Walker2d"
FUNCTIONAL_IDS = """
    phys2d/CartPole-v0 phys2d/CartPole-v1 phys2d/Pendulum-v0 tabular/Blackjack-v0
    tabular/CliffWalking-v0
"""
BOX2D = """
    BipedalWalker-v3 BipedalWalkerHardcore-v3 CarRacing-v3 LunarLander-v3 LunarLanderContinuous-v3
"""

JAX_ALREADY = ("phys2d/", "tabular/")
FUNCTIONAL = (
    "it is written in JAX, which must not be touched inside a callback (it deadlocks), and envhub "
    "does not bind its functional core yet."
)


@params_dataclass
class MujocoParams:
    """The physics of MuJoCo's model, in its units.

    Attributes:
        gravity: float32[3], m/s².
        body_mass: float32[nbody], kg, the world first.
        geom_friction: float32[ngeom, 3], sliding, torsional and rolling.
    """

    gravity: Any
    body_mass: Any
    geom_friction: Any


class GymnasiumSuite(Suite):
    """Every id that Gymnasium's registry can make, each instance a `gymnasium.Env` of its own."""

    name = "gymnasium"
    title = "Gymnasium's environments, on the CPU"
    module = "gymnasium"
    distribution = "gymnasium"
    supported = ">=1.0,<1.4"
    example = "CartPole-v1"

    def known_names(self) -> Iterable[str]:
        has_1_2, has_1_3 = self.at_least("1.2"), self.at_least("1.3")
        mujoco = [f"{each}-{version}" for each in MUJOCO.split() for version in ("v4", "v5")]
        if not has_1_2:
            mujoco += [f"{each}-v2" for each in MUJOCO.split()]
            mujoco += [f"{each}-v3" for each in MUJOCO_V3.split()]
        cliff = "CliffWalking-v1 CliffWalkingSlippery-v1" if has_1_2 else "CliffWalking-v0"
        toy_text = f"{TOY_TEXT} {cliff} {'Taxi-v4' if has_1_3 else 'Taxi-v3'}"
        families = (CLASSIC, toy_text, BOX2D, FUNCTIONAL_IDS)
        return [*mujoco, *(name for names in families for name in names.split())]

    def live_names(self) -> Iterable[str]:
        registry = self.load("envs.registration").registry
        # Under the names of what is gone Gymnasium registers functions that raise.
        return [name for name, spec in registry.items() if not inspect.isfunction(spec.entry_point)]

    def resolve(self, name: str) -> str:
        module, separator, own = name.rpartition(":")
        if separator and self.installed():
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise MissingDependencyError(
                    f"gymnasium::{name} needs the module {module!r}, which cannot be imported: "
                    f"{error}"
                ) from error
            super().resolve(own)
            return name
        return super().resolve(name)

    def options(self, name: str) -> Iterable[str]:
        spec = self._spec(name)
        accepted = {"max_episode_steps", *BRIDGE_OPTIONS, *keywords(_creator(spec))}
        return accepted | set(spec.kwargs) - {"render_mode"}

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        gap = self.gap(name, options)
        if gap:
            return Capabilities.none(gap.reason)
        family = _family(name)
        forkable: Claim = family in ("classic", "toy_text", "mujoco") or (
            "Box2D's worlds cannot be saved."
            if family == "box2d"
            else "how to save the state of this environment is not known."
        )
        unknown = "not known before it is made, for an environment of a third party."
        return host_capabilities(
            options,
            forkable,
            has_env_params=family in ("classic", "mujoco")
            or "nothing of it can be changed while it lives.",
            renderable=True if family else unknown,
        )

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        base, _, version = name.rpartition("-")
        if base in MUJOCO.split() and version in ("v2", "v3"):
            return Gap("upstream", "it needs mujoco-py, which is not maintained; v4 and v5 do not.")
        if name.startswith(JAX_ALREADY):
            return Gap("notimpl", FUNCTIONAL)
        if name == "Pusher-v4":
            return Gap("upstream", "Gymnasium's Pusher-v4 needs mujoco<3; Pusher-v5 does not.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        from envhub.host.environment import HostEnvironment

        if name.startswith(JAX_ALREADY):
            raise UnavailableEnvError(f"gymnasium::{name}: {FUNCTIONAL}")
        kind = {"mujoco": MujocoInstance, "box2d": Box2DInstance}.get(_family(name), PlainInstance)
        own = {key: value for key, value in options.items() if key not in BRIDGE_OPTIONS}
        create = functools.partial(kind, self._without_checks(name), own)
        first = create()
        return HostEnvironment(
            f"gymnasium::{name}",
            create,
            first,
            unwrapped=first.inner,
            observation_space=spaces.from_gymnasium(first.env.observation_space),
            action_space=spaces.from_gymnasium(first.env.action_space),
            capabilities=self.capabilities(name, options),
            default_params=first.default_params,
            options=options,
            version=self.require_installed(),
        )

    def _spec(self, name: str) -> Any:
        return self.load("envs.registration").spec(name.rpartition(":")[2])

    def _without_checks(self, name: str) -> Any:
        """The registered spec without the wrapper that insists on a reset: the bridge does."""
        spec = copy.deepcopy(self._spec(name))
        spec.order_enforce = False
        return spec


def _creator(spec: Any) -> Any:
    """The class of an environment, or the function that makes one."""
    from gymnasium.envs.registration import load_env_creator

    named = isinstance(spec.entry_point, str)
    return load_env_creator(spec.entry_point) if named else spec.entry_point


def _family(name: str) -> str:
    """Which of Gymnasium's families an id belongs to; empty for those of third parties."""
    base = name.rpartition("-v")[0]
    if base in MUJOCO.split():
        return "mujoco"
    others = "CliffWalking-v1 CliffWalkingSlippery-v1 Taxi-v3"
    families = {"classic": CLASSIC, "toy_text": f"{TOY_TEXT} {others}", "box2d": BOX2D}
    for family, names in families.items():
        if base in [each.rpartition("-v")[0] for each in names.split()]:
            return family
    return ""


class GymnasiumInstance(Instance):
    """One `gymnasium.Env`, with its time limit; snapshots are those of its family."""

    def __init__(self, spec: Any, options: Mapping[str, Any]) -> None:
        import gymnasium

        modes = getattr(_creator(spec), "metadata", {}).get("render_modes", [])
        drawn = {"render_mode": "rgb_array"} if "rgb_array" in modes else {}
        self.env: Any = gymnasium.make(spec, disable_env_checker=True, **drawn, **options)
        self.inner = self.env.unwrapped
        self.kind = type(self.inner).__name__
        self.limit = self._wrapper(gymnasium.wrappers.TimeLimit)
        self.default_params: Any = None

    def reset(self, seed: int) -> Any:
        return self.env.reset(seed=seed)[0]

    def step(self, action: Any) -> Any:
        return self.env.step(action)

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    @property
    def elapsed(self) -> int | None:
        """The steps that the time limit has counted."""
        return self.limit._elapsed_steps if self.limit else None

    @elapsed.setter
    def elapsed(self, steps: int | None) -> None:
        if self.limit:
            self.limit._elapsed_steps = steps

    def _wrapper(self, kind: type) -> Any:
        env = self.env
        while env is not self.inner:
            if isinstance(env, kind):
                return env
            env = env.env
        return None


class PlainInstance(GymnasiumInstance):
    """Classic control and toy text: the state is a few attributes, and so is the physics."""

    def __init__(self, spec: Any, options: Mapping[str, Any]) -> None:
        super().__init__(spec, options)
        self._attributes = ATTRIBUTES.get(self.kind, ())
        self._draws = self.kind in DRAWS_IN_STEP
        self._physics = PHYSICS.get(self.kind, ())
        self._exact = [float(getattr(self.inner, name)) for name in self._physics]
        if self._physics:
            self.default_params = named_params(self.kind, self._physics, self._exact)

    def save(self) -> bytes:
        values = [self.elapsed, *[getattr(self.inner, name) for name in self._attributes]]
        saved = plain.dump(values)
        return plain.dump_generator(self.inner.np_random) + saved if self._draws else saved

    def restore(self, saved: bytes, obs: Any) -> None:
        self.env.reset(seed=0)  # what a step finds unset before the first reset
        if self._draws:
            plain.load_generator(self.inner.np_random, saved[: plain.GENERATOR_SIZE])
            saved = saved[plain.GENERATOR_SIZE :]
        self.elapsed, *values = plain.load(saved)
        for name, value in zip(self._attributes, values, strict=True):
            setattr(self.inner, name, value)

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        for name, value, exact in zip(self._physics, values, self._exact, strict=True):
            # A param that was not changed is the double that Gymnasium has, and not its float32.
            setattr(self.inner, name, exact if value == np.float32(exact) else float(value))
        for name, compute in DERIVED.get(self.kind, {}).items():
            setattr(self.inner, name, compute(self.inner))


class Box2DInstance(GymnasiumInstance):
    """Box2D: a world of C++ objects, which cannot be saved."""

    def reset(self, seed: int) -> Any:
        # Box2D 2.3 keeps contacts of the last episode: without a new world the same seed gives
        # another episode (BipedalWalker, gymnasium 1.3).
        if getattr(self.inner, "world", None) is not None:
            self.inner._destroy()
            self.inner.world = type(self.inner.world)(gravity=self.inner.world.gravity)
        return super().reset(seed)


class MujocoInstance(GymnasiumInstance):
    """MuJoCo: the integration state, and two arrays that rewards read before they are renewed."""

    def __init__(self, spec: Any, options: Mapping[str, Any]) -> None:
        super().__init__(spec, options)
        import mujoco

        self._mujoco, self._model, self._data = mujoco, self.inner.model, self.inner.data
        self._signature = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._size = mujoco.mj_stateSize(self._model, self._signature)
        self._lagged = (self._data.xpos, self._data.xipos)
        self._physics = (self._model.opt.gravity, self._model.body_mass, self._model.geom_friction)
        self._exact = [np.array(each) for each in self._physics]
        self.default_params = MujocoParams(*[each.astype(np.float32) for each in self._exact])

    def save(self) -> bytes:
        state = np.empty(self._size)
        self._mujoco.mj_getState(self._model, self._data, state, self._signature)
        elapsed = plain.dump([self.elapsed])
        return b"".join([state.tobytes(), *[each.tobytes() for each in self._lagged], elapsed])

    def restore(self, saved: bytes, obs: Any) -> None:
        self.env.reset(seed=0)  # the wrappers insist
        numbers = np.frombuffer(saved, np.float64, self._size + sum(x.size for x in self._lagged))
        state = numbers[: self._size].copy()  # mujoco 3.2 takes no read-only array
        self._mujoco.mj_setState(self._model, self._data, state, self._signature)
        start = self._size
        for each in self._lagged:
            each[:] = numbers[start : start + each.size].reshape(each.shape)
            start += each.size
        (self.elapsed,) = plain.load(saved[numbers.nbytes :])

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        start = 0
        for array, exact in zip(self._physics, self._exact, strict=True):
            new = values[start : start + exact.size].reshape(exact.shape)
            array[:] = np.where(new == exact.astype(np.float32), exact, new)
            start += exact.size

    def render(self) -> Any:
        before = self.save()
        self._mujoco.mj_forward(self._model, self._data)  # where the bodies are drawn
        with opengl_errors(), _egl_without_display():
            picture = self.env.render()
        self.restore(before, None)
        return picture


@contextlib.contextmanager
def _egl_without_display() -> Iterator[None]:
    """Have Gymnasium take EGL where nobody chose: it tries GLFW first, which warns (1.3)."""
    if is_opengl_chosen():
        yield
        return
    os.environ["MUJOCO_GL"] = "egl"
    try:
        yield
    finally:
        del os.environ["MUJOCO_GL"]


SUITE = GymnasiumSuite()
