"""gymnasium 1.0 and newer: the field's standard environments, on the CPU behind a callback.

Those that Gymnasium has written in JAX itself need no callback: `FunctionalEnvironment`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envhub import _versions, spaces
from envhub._headless import is_opengl_chosen, no_sound, opengl_errors
from envhub.environment import Environment, StepResult
from envhub.errors import InvalidOptionError, UnavailableEnvError
from envhub.flags import Capabilities, Claim
from envhub.host import BRIDGE_OPTIONS, Instance, host_capabilities, of_one_instance, plain
from envhub.host.fleet import Fleet, Outcomes
from envhub.params import named_params, params_dataclass
from envhub.suite import (
    ANY_KEYWORD,
    Gap,
    Suite,
    first_then_others,
    import_named,
    is_qualified,
    keywords,
    takes_any_keyword,
)
from envhub.wrappers.time_limit import Counted

# What changes between the steps of an episode, by the class of the environment. A `reset` sets
# everything anew, the generator too, so it is part of a snapshot only where a step draws from it.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
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
FUNCTIONAL = """
    phys2d/CartPole-v0 phys2d/CartPole-v1 phys2d/Pendulum-v0 tabular/Blackjack-v0
    tabular/CliffWalking-v0
"""
BOX2D = """
    BipedalWalker-v3 BipedalWalkerHardcore-v3 CarRacing-v3 LunarLander-v3 LunarLanderContinuous-v3
"""

UNKNOWN_STATE = "how to save the state of this environment is not known."

# Where Gymnasium keeps the functional core of what it has written in JAX.
CORES = {
    "phys2d/CartPole": ("envs.phys2d.cartpole", "CartPoleFunctional"),
    "phys2d/Pendulum": ("envs.phys2d.pendulum", "PendulumFunctional"),
    "tabular/Blackjack": ("envs.tabular.blackjack", "BlackjackFunctional"),
    "tabular/CliffWalking": ("envs.tabular.cliffwalking", "CliffWalkingFunctional"),
}
# Params that a reward asks with Python's `if` (gymnasium 1.0 to 1.3), which cannot be traced.
ASKED_BY_PYTHON = {"BlackjackFunctional": ("natural", "sutton_and_barto")}


@functools.cache  # made when it is needed: `capabilities` is quick without
def mujoco_params() -> Any:
    """The class of the params of MuJoCo's environments."""

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

    return MujocoParams


class GymnasiumSuite(Suite):
    """Every id that Gymnasium's registry can make, each instance a `gymnasium.Env` of its own."""

    name = "gymnasium"
    title = "Gymnasium's environments, on the CPU"
    module = "gymnasium"
    distribution = "gymnasium"
    supported = ">=1.0,<1.5"
    example = "CartPole-v1"
    interface = "a gymnasium.Env"
    # fmt: off
    references = (("Pusher-v4", "https://github.com/Farama-Foundation/Gymnasium/issues/950"),
                  ("*", "https://github.com/Farama-Foundation/Gymnasium/issues/993"))
    # fmt: on

    def known_names(self) -> Iterable[str]:
        found = self.installed()  # once: asking takes a millisecond
        has_1_2, has_1_3 = (
            found is None or _versions.admits(f">={version}", found) for version in ("1.2", "1.3")
        )
        mujoco = [f"{each}-{version}" for each in MUJOCO.split() for version in ("v4", "v5")]
        if not has_1_2:
            mujoco += [f"{each}-v2" for each in MUJOCO.split()]
            mujoco += [f"{each}-v3" for each in MUJOCO_V3.split()]
        cliff = "CliffWalking-v1 CliffWalkingSlippery-v1" if has_1_2 else "CliffWalking-v0"
        toy_text = f"{TOY_TEXT} {cliff} {'Taxi-v4' if has_1_3 else 'Taxi-v3'}"
        families = (CLASSIC, toy_text, BOX2D, FUNCTIONAL)
        return [*mujoco, *(name for names in families for name in names.split())]

    def live_names(self) -> Iterable[str]:
        registry = self.load("envs.registration").registry
        return [name for name, spec in registry.items() if _can_be_made(spec)]

    def resolve(self, name: str) -> str:
        # The module of `module:Id-v0` may run anything: `make` imports it, and a question does not.
        return name if is_qualified(f"gymnasium::{name}", name) else self._resolve(name)

    def _resolve(self, name: str) -> str:
        """The id; a name without a version is that of the newest one, as for Gymnasium."""
        start = f"{name}-v"
        names = () if "-v" in name or not self.installed() else self.live_names()
        versions = [each.removeprefix(start) for each in names if each.startswith(start)]
        newest = max((int(version) for version in versions if version.isdigit()), default=None)
        return super().resolve(name if newest is None or name in names else f"{start}{newest}")

    def options(self, name: str) -> Iterable[str]:
        if _family(name) == "functional":
            return ["max_episode_steps", *keywords(self._core(name))]
        spec = self._spec(name)
        creator = _creator(spec)
        accepted = {"max_episode_steps", *BRIDGE_OPTIONS, *keywords(creator)}
        if not _family(name) and takes_any_keyword(creator):
            accepted.add(ANY_KEYWORD)
        return (accepted | set(spec.kwargs)) - {"render_mode"}  # the adapter chooses it

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        gap = self.gap(name, options)
        if gap:
            return Capabilities.none(gap.reason)
        family = _family(name)
        if family == "functional":
            return Capabilities.native(
                differentiable=name == "phys2d/Pendulum-v0" or "actions are discrete.",
                has_env_params=name != "tabular/CliffWalking-v0" or "Gymnasium gives it none.",
            )
        forkable: Claim = family in ("classic", "toy_text", "mujoco") or (
            "Box2D's worlds cannot be saved." if family == "box2d" else UNKNOWN_STATE
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
        if name == "Pusher-v4":
            return Gap("upstream", "Gymnasium's Pusher-v4 needs mujoco<3; Pusher-v5 does not.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        if _family(name) == "functional":
            return self._make_functional(name, dict(options))
        create = self.instances(name, options)
        first = create()
        if _is_functional(first.inner):
            raise UnavailableEnvError(
                f"gymnasium::{name} is written in JAX, which deadlocks inside a callback; "
                "envhub.wrap takes its object."
            )
        capabilities = self.capabilities(name, options)
        return self._environment(name, create, first, capabilities, options)

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        # PufferLib's emulation is a `gymnasium.Env` by name, and has another step.
        if not isinstance(obj, self.load().Env) or hasattr(obj, "single_observation_space"):
            return None
        name = obj.spec.id if obj.spec else type(obj.unwrapped).__name__
        if obj.spec and not obj.spec.additional_wrappers and not construct and _family(name):
            env = self.make(name, self._options_of(obj.spec))
        elif _is_functional(obj.unwrapped):
            env = self._adopt_functional(obj)
        else:
            env = self._adopt_instances(name, obj, construct)
        if not env.capabilities.jax_native:
            env.unwrapped = obj
        return name, env

    def _options_of(self, spec: Any) -> dict[str, Any]:
        """The keywords of `make` that say the same."""
        options = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
        if spec.max_episode_steps != self._spec(spec.id).max_episode_steps:
            options["max_episode_steps"] = spec.max_episode_steps or -1
        return options

    def _adopt_functional(self, obj: Any) -> Environment:
        if obj.spec.additional_wrappers if obj.spec else obj is not obj.unwrapped:
            raise InvalidOptionError(
                f"{obj} is written in JAX, and its wrappers are not: give obj.unwrapped."
            )
        core = obj.unwrapped.func_env
        has_params = core.get_default_params() is not None
        capabilities = Capabilities.native(
            differentiable="not known of an environment of a third party.",
            has_env_params=has_params or "it has none.",
            renderable="rgb_array" in obj.metadata.get("render_modes", []) or "it draws nothing.",
        )
        return FunctionalEnvironment(core, obj.spec and obj.spec.max_episode_steps, capabilities)

    def _adopt_instances(
        self, name: str, obj: Any, construct: Callable[[], Any] | None
    ) -> Environment:
        if obj.spec and not construct:
            spec = _without_checks(obj.spec)
            spec.kwargs.pop("render_mode", None)
            create_env: Callable[[], Any] = functools.partial(_make, spec, {})
        else:
            create_env = first_then_others(obj, construct)
        create = functools.partial(GymnasiumInstance, create_env)
        try:
            first = create()
        except Exception as error:
            raise InvalidOptionError(
                f"{obj} cannot be made again from its spec: {error} Give a function that makes it: "
                "envhub.wrap(lambda: …)."
            ) from error
        if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(first.reset(0))):
            raise InvalidOptionError(
                f"{obj} is written in JAX, which deadlocks inside a callback: wrap what is inside."
            )
        same: Claim = True
        if obj.spec and obj.spec.nondeterministic:
            same = "its spec says that it is not deterministic."
        compared = ("reproducible", "vmap_safe", "isolated_reset", "multi_device")
        capabilities = host_capabilities(
            {},
            UNKNOWN_STATE,
            has_env_params="nothing of it can be changed while it lives.",
            renderable=first.env.render_mode == "rgb_array"
            or "it is not made with render_mode='rgb_array'.",
            **dict.fromkeys(compared, same),
        )
        options: dict[str, Any] = {}
        if not (obj.spec or construct):
            capabilities, options = of_one_instance(capabilities)
        return self._environment(name, create, first, capabilities, options)

    def _environment(
        self,
        name: str,
        create: Callable[[], GymnasiumInstance],
        first: GymnasiumInstance,
        capabilities: Capabilities,
        options: Mapping[str, Any],
    ) -> Environment:
        from envhub.host.environment import HostEnvironment

        fleet: Fleet | None = None
        if isinstance(first, CartPoleInstance) and not options.get("workers"):
            # Gymnasium can step them in one go.
            vectorised = self.load("envs.classic_control.cartpole").CartPoleVectorEnv
            fleet = CartPoleFleet(vectorised, first, saves=capabilities.forkable)
        return HostEnvironment(
            f"gymnasium::{name}",
            create,
            first,
            unwrapped=first.inner,
            observation_space=spaces.from_gymnasium(first.env.observation_space),
            action_space=spaces.from_gymnasium(first.env.action_space),
            capabilities=capabilities,
            default_params=first.default_params,
            options=options,
            version=self.require_installed(),
            fleet=fleet,
        )

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], GymnasiumInstance]:
        """What makes one instance, for the bridge and for suites that wrap Gymnasium's."""
        kind = {"mujoco": MujocoInstance, "box2d": Box2DInstance}.get(_family(name), PlainInstance)
        if name in ("CartPole-v0", "CartPole-v1"):
            kind = CartPoleInstance
        own = {key: value for key, value in options.items() if key not in BRIDGE_OPTIONS}
        return functools.partial(
            kind, functools.partial(_make, _without_checks(self._spec(name)), own)
        )

    def _make_functional(self, name: str, options: dict[str, Any]) -> Environment:
        limit = options.pop("max_episode_steps", None)
        if limit is None:
            limit = self._spec(name).max_episode_steps
        elif type(limit) is not int or (limit < 1 and limit != -1):
            raise InvalidOptionError(
                f"max_episode_steps is a positive integer, or -1 for none, got {limit!r}."
            )
        core = self._core(name)(**options)
        return FunctionalEnvironment(core, limit, self.capabilities(name, options))

    def _core(self, name: str) -> Any:
        module, kind = CORES[name.rpartition("-v")[0]]
        return getattr(self.load(module), kind)

    def _spec(self, name: str) -> Any:
        registration = self.load("envs.registration")
        module, _, own = name.rpartition(":")
        if module:
            import_named(f"gymnasium::{name}", module)
            own = self._resolve(own)
        return registration.spec(own)


def _can_be_made(spec: Any) -> bool:
    """Whether an id has an environment, and not only one of `gymnasium.make_vec`."""
    function = spec.entry_point if inspect.isfunction(spec.entry_point) else None
    # Under the names of what is gone Gymnasium registers functions of its own, which raise.
    is_gone = function is not None and function.__module__.startswith("gymnasium.")
    return spec.entry_point is not None and not is_gone


def _without_checks(spec: Any) -> Any:
    """The spec without the wrapper that insists on a reset: the bridge does."""
    spec = copy.deepcopy(spec)
    spec.order_enforce = False
    return spec


def _make(spec: Any, options: Mapping[str, Any]) -> Any:
    """A `gymnasium.Env`, which draws if it can."""
    import gymnasium

    modes = getattr(_creator(spec), "metadata", {}).get("render_modes", [])
    drawn = {"render_mode": "rgb_array"} if "rgb_array" in modes else {}
    return gymnasium.make(spec, disable_env_checker=True, **drawn, **options)


def _is_functional(env: Any) -> bool:
    """Whether it is one of Gymnasium's shells around a functional core in JAX."""
    return "FunctionalJaxEnv" in [kind.__name__ for kind in type(env).__mro__]


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
    families = {
        "classic": CLASSIC,
        "toy_text": f"{TOY_TEXT} {others}",
        "box2d": BOX2D,
        "functional": FUNCTIONAL,
    }
    for family, names in families.items():
        if base in [each.rpartition("-v")[0] for each in names.split()]:
            return family
    return ""


class GymnasiumInstance(Instance):
    """One `gymnasium.Env`, with its time limit; snapshots are those of its family."""

    def __init__(self, create: Callable[[], Any]) -> None:
        import gymnasium

        self.env: Any = create()
        self.step = self.env.step  # type: ignore[method-assign] # one call less in every step
        self.inner = self.env.unwrapped
        self.kind = type(self.inner).__name__
        self.limit = self._wrapper(gymnasium.wrappers.TimeLimit)
        self.default_params: Any = None
        self._is_new = True

    def reset(self, seed: int) -> Any:
        self._is_new = False
        return self.env.reset(seed=seed)[0]

    def reset_once(self) -> None:
        """What a step finds unset before the first reset, a restored state does not bring."""
        if self._is_new:
            self.reset(0)

    def step(self, action: Any) -> Any:
        return self.env.step(action)

    def render(self) -> Any:
        with no_sound():
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

    def __init__(self, create: Callable[[], Any]) -> None:
        super().__init__(create)
        self._attributes = ATTRIBUTES.get(self.kind, ())
        self._draws = self.kind in DRAWS_IN_STEP
        self._physics = PHYSICS.get(self.kind, ())
        self.exact = [float(getattr(self.inner, name)) for name in self._physics]
        if self._physics:
            self.default_params = named_params(self.kind, self._physics, self.exact)

    def save(self) -> bytes:
        # gymnasium 1.0's Taxi has no `fickle_step`.
        values = [self.elapsed, *[getattr(self.inner, name, None) for name in self._attributes]]
        saved = plain.dump(values)
        return plain.dump_generator(self.inner.np_random) + saved if self._draws else saved

    def restore(self, saved: bytes, obs: Any) -> None:
        self.reset_once()
        if self._draws:
            plain.load_generator(self.inner.np_random, saved[: plain.GENERATOR_SIZE])
            saved = saved[plain.GENERATOR_SIZE :]
        self.elapsed, *values = plain.load(saved)
        for name, value in zip(self._attributes, values, strict=True):
            setattr(self.inner, name, value)

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        for name, value, exact in zip(self._physics, values, self.exact, strict=True):
            # A param that was not changed is the double that Gymnasium has, and not its float32.
            setattr(self.inner, name, exact if value == np.float32(exact) else float(value))
        for name, compute in DERIVED.get(self.kind, {}).items():
            setattr(self.inner, name, compute(self.inner))


class CartPoleInstance(PlainInstance):
    """CartPole: its state is four numbers."""

    def save(self) -> bytes:
        return np.array([self.elapsed or 0, *self.inner.state]).tobytes()

    def restore(self, saved: bytes, obs: Any) -> None:
        self.reset_once()
        elapsed, *state = np.frombuffer(saved)
        self.elapsed, self.inner.state = int(elapsed), np.array(state)
        self.inner.steps_beyond_terminated = None  # what ended is not stepped


class CartPoleFleet(Fleet):
    """CartPoles as columns, which Gymnasium's own `CartPoleVectorEnv` steps all at once.

    It computes what `CartPoleEnv` does, in the same order and in doubles too once its state is one
    of doubles (gymnasium 1.0 to 1.3), so episodes are the same to the bit. It cannot reset one of
    many by a seed, nor be left alone where an episode ended: one `CartPoleEnv` starts the episodes,
    and the pool never steps those that ended.

    Args:
        vectorised: the class.
        one: draws the starts and the pictures.
        saves: whether steps and resets give snapshots, those of `CartPoleInstance`.
    """

    def __init__(self, vectorised: Any, one: CartPoleInstance, *, saves: bool) -> None:
        self._vectorised, self._one, self._saves = vectorised, one, saves
        self._rows = np.zeros((1, 1 + 4))  # the steps so far, and the state
        self._physics = np.array([one.exact])
        self._batches: dict[int, Any] = {}  # by size
        self._held: Sequence[int] = ()  # the instances that are in their batch, and not in the rows

    def grow(self, count: int) -> None:
        self._rows = np.concatenate([self._rows, np.zeros((count, 1 + 4))])
        self._physics = np.concatenate([self._physics, [self._one.exact] * count])

    def reset(self, numbers: Sequence[int], seeds: Sequence[int]) -> Outcomes:
        self._release()
        obs: list[Any] = []
        for number, seed in zip(numbers, seeds, strict=True):
            obs.append(self._one.reset(seed))
            self._rows[number] = [0, *self._one.inner.state]
        return Outcomes(obs, (), (), (), (), self._saved(self._rows[numbers]))

    def step(self, numbers: Sequence[int], actions: Sequence[Any]) -> Outcomes:
        if numbers != self._held:  # seldom: most calls continue the batch of the last one
            self._release()
            self._hold(numbers)
        batch = self._batches[len(numbers)]
        batch.prev_done = np.zeros(len(numbers), bool)  # or it would reset
        obs, rewards, terminated, truncated, info = batch.step(np.array(actions))
        saved = self._saved(_rows_of(batch)) if self._saves else ()
        return Outcomes(obs, rewards, terminated, truncated, [info] * len(numbers), saved)

    def restore(self, numbers: Sequence[int], saved: Sequence[bytes], obs: Sequence[Any]) -> None:
        self._release()
        self._rows[numbers] = np.frombuffer(b"".join(saved)).reshape(len(numbers), -1)

    def set_params(self, numbers: Sequence[int], values: np.ndarray[Any, Any]) -> None:
        self._release()
        exact = np.array(self._one.exact)
        self._physics[numbers] = np.where(values == exact.astype(np.float32), exact, values)

    def render(self, number: int) -> Any:
        self._release()
        self._one.restore(self._rows[number].tobytes(), None)
        self._one.set_params(self._physics[number].astype(np.float32))
        picture = self._one.render()
        self._one.set_params(np.array(self._one.exact, np.float32))
        return picture

    def replace(self, number: int) -> None:
        """Nothing has to be: a reset sets all that there is."""

    def close(self) -> None:
        self._one.close()

    def _hold(self, numbers: Sequence[int]) -> None:
        """Put instances into a batch."""
        size, limit = len(numbers), self._one.limit
        if size not in self._batches:
            self._batches[size] = self._vectorised(
                size,
                max_episode_steps=limit._max_episode_steps if limit else np.inf,
                sutton_barto_reward=self._one.inner._sutton_barto_reward,
            )
        batch, rows = self._batches[size], self._rows[numbers]
        batch.steps, batch.state = rows[:, 0], rows[:, 1:].T
        for name, column in zip(PHYSICS["CartPoleEnv"], self._physics[numbers].T, strict=True):
            setattr(batch, name, column)
        for name, formula in DERIVED["CartPoleEnv"].items():
            setattr(batch, name, formula(batch))
        self._held = numbers

    def _release(self) -> None:
        """Put what is held back into the rows."""
        if self._held:
            self._rows[self._held] = _rows_of(self._batches[len(self._held)])
        self._held = ()

    def _saved(self, rows: np.ndarray[Any, Any]) -> Sequence[bytes]:
        return [row.tobytes() for row in rows] if self._saves else ()


def _rows_of(batch: Any) -> np.ndarray[Any, Any]:
    return np.column_stack([batch.steps, *batch.state])


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

    def __init__(self, create: Callable[[], Any]) -> None:
        super().__init__(create)
        import mujoco

        self._mujoco, self._model, self._data = mujoco, self.inner.model, self.inner.data
        self._signature = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._size = mujoco.mj_stateSize(self._model, self._signature)
        self._lagged = (self._data.xpos, self._data.xipos)
        self._physics = (self._model.opt.gravity, self._model.body_mass, self._model.geom_friction)
        self._exact = [np.array(each) for each in self._physics]
        self.default_params = mujoco_params()(*[each.astype(np.float32) for each in self._exact])

    def save(self) -> bytes:
        state = np.empty(self._size)
        self._mujoco.mj_getState(self._model, self._data, state, self._signature)
        elapsed = plain.dump([self.elapsed])
        return b"".join([state.tobytes(), *[each.tobytes() for each in self._lagged], elapsed])

    def restore(self, saved: bytes, obs: Any) -> None:
        self.reset_once()
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


class FunctionalEnvironment(Environment):
    """A functional core of Gymnasium, called as its own `FunctionalJaxEnv` calls it.

    That is: every function of a call gets the call's key, which Gymnasium splits off its own.
    """

    def __init__(self, unwrapped: Any, limit: int | None, capabilities: Capabilities) -> None:
        super().__init__(unwrapped, unwrapped.get_default_params(), capabilities)
        self.max_episode_steps = None if limit == -1 else limit

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        core, given = self.unwrapped, _given(params)
        state = core.initial(key, **given)
        obs = core.observation(state, key, **given)
        if hasattr(state, "fallen"):
            # CliffWalking starts with a bool[] and goes on with a bool[1] (gymnasium 1.0 to 1.3).
            state = state._replace(fallen=jnp.zeros(1, bool))
        return obs, Counted(state, jnp.int32(0))

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> StepResult:
        core, given = self.unwrapped, _given(params)
        after = core.transition(state.env, action, key, **given)
        steps = state.steps + 1
        is_limited = self.max_episode_steps is not None
        return StepResult(
            obs=core.observation(after, key, **given),
            state=Counted(after, steps),
            reward=self._reward((state.env, action, after, key), params),
            terminated=core.terminal(after, key, **given),
            truncated=steps >= self.max_episode_steps if is_limited else jnp.bool_(False),
            info=core.transition_info(state.env, action, after, **given),
        )

    def observation_space(self, params: Any = None) -> spaces.Space:
        return spaces.from_gymnasium(self.unwrapped.observation_space)

    def action_space(self, params: Any = None) -> spaces.Space:
        return spaces.from_gymnasium(self.unwrapped.action_space)

    def render_env(self, state: Any, params: Any) -> Any:
        with no_sound():
            # Its `render_close` is left out: it ends pygame for everybody else in the process.
            screen = self.unwrapped.render_init(**_screen(params))
            return self.unwrapped.render_image(state.env, screen, **_given(params))[1]

    def _reward(self, transition: Sequence[Any], params: Any) -> Any:
        def reward(params: Any) -> Any:
            return self.unwrapped.reward(*transition, **_given(params))

        return _for_both(ASKED_BY_PYTHON.get(type(self.unwrapped).__name__, ()), reward, params)


def _given(params: Any) -> dict[str, Any]:
    """Params as a keyword; none for CliffWalking, where some functions take the key for them."""
    return {} if params is None else {"params": params}


def _for_both(flags: Sequence[str], function: Callable[[Any], Any], params: Any) -> Any:
    """The function under each value of these flags, of which those in force are chosen."""
    if not flags:
        return function(params)
    flag, *others = flags
    no, yes = (
        _for_both(others, function, params.replace(**{flag: value})) for value in (False, True)
    )
    return jnp.where(getattr(params, flag), yes, no)


def _screen(params: Any) -> dict[str, int]:
    """A screen as large as the picture: Pendulum's, 500x500, gets 600x400 (gymnasium 1.3)."""
    names = ("screen_width", "screen_height")
    if hasattr(params, "screen_dim"):
        return dict.fromkeys(names, int(params.screen_dim))
    return {name: int(getattr(params, name)) for name in names if hasattr(params, name)}


SUITE = GymnasiumSuite()
