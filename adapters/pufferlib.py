"""PufferLib 3: environments in C, batches of agents, and Gymnasium's under PufferLib's emulation.

`pufferlib-core` has the interfaces; the full `pufferlib` has Ocean too, PufferLib's own
environments. Both are imported as `pufferlib`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from envhub import _versions, registry, spaces
from envhub.environment import Environment
from envhub.errors import (
    InvalidOptionError,
    UnavailableEnvError,
    UnknownEnvError,
    did_you_mean,
)
from envhub.flags import Capabilities, Claim
from envhub.host import BRIDGE_OPTIONS, Instance, InstanceStep, host_capabilities, of_one_instance
from envhub.host.libc import OwnGenerator, has_own_generators
from envhub.suite import (
    Gap,
    Suite,
    first_then_others,
    import_named,
    is_qualified,
    keywords,
)

# The names that `pufferlib.ocean.env_creator` knows, in pufferlib 3.0.0.
OCEAN = """
    blastar boids breakout cartpole checkers connect4 convert cpr drone enduro freeway go gpudrive
    grid impulse_wars moba multiagent nmmo3 pacman pong pysquared rware school snake spaces squared
    tactical target template terraform tetris tower_climb trash_pickup tripletriad
""".split()
# Ids of Gymnasium's that are listed here; the others can be emulated as well.
EMULATED = "Acrobot-v1 CartPole-v1 MountainCar-v0 MountainCarContinuous-v0 Pendulum-v1".split()
TOY_TEXT = ("Blackjack", "CliffWalking", "CliffWalkingSlippery", "FrozenLake", "FrozenLake8x8",
            "Taxi")  # fmt: skip

BROKEN = {
    "gpudrive": "it needs maps that PufferLib does not ship.",
    "impulse_wars": "it needs Box2D, without which scripts/build_ocean.py builds Ocean.",
    "moba": "it needs PufferLib's `resources` in the working directory, and never frees the 250 MB "
    "of an instance.",
    "school": "its reset does not return.",
    "tactical": "its C code lacks a function, so that it cannot be imported.",
}
UNEMULATED = "PufferLib's emulation gives an observation of whole numbers no room."
NO_OCEAN = (
    "Ocean is part of the full pufferlib, and pufferlib-core is installed: scripts/build_ocean.py "
    "in envhub's repository builds it beside JAX."
)

# A reset of some leaves parts of the last episode (blastar, convert, enduro, nmmo3, pysquared,
# rware, snake, target, template, tower_climb), and making one anew takes a tenth of a millisecond:
# an episode gets a new one, but of these, which take longer or leak.
KEPT = ("grid", "nmmo3", "tower_climb")

CLOCKS = "it seeds C's generator from the clock."
NUMPYS = "it draws from NumPy's generator of the process, which is not seeded."
NOT_REPRODUCIBLE = {
    "checkers": CLOCKS,
    "grid": CLOCKS,
    "nmmo3": "a reset leaves parts of the last episode, and making a new one leaks 7 MB.",
    "pysquared": NUMPYS,
    "rware": CLOCKS,
    "spaces": NUMPYS,
    "terraform": CLOCKS,
    "tower_climb": CLOCKS,
}
# All others in C draw from C's `rand` in their steps, of which the process has one for all.
DRAWS_NOTHING = ("boids", "freeway", "multiagent")
SHARED = "it draws from C's generator, and this C library has one for all of the process."
UNKNOWN = "not known before it is made, for an environment of a third party."


class PufferlibSuite(Suite):
    """What is importable of PufferLib, whichever distribution it came from.

    `pufferlib::breakout` is of Ocean. `pufferlib::CartPole-v1`, or another id of Gymnasium's, is
    that one under PufferLib's emulation. `pufferlib::module.path:Factory` is what the factory
    makes, a `PufferEnv` or something that PufferLib can emulate; and so is any name at all with
    `env_creator=factory`.
    """

    name = "pufferlib"
    title = "PufferLib's Ocean, PufferEnvs, and Gymnasium's under emulation"
    module = "pufferlib"
    distribution = "pufferlib-core"
    supported = ">=3.0.5,<3.0.8"  # newer ones need torch
    example = "CartPole-v1"
    interface = "a PufferEnv"
    references = (("*", "https://github.com/PufferAI/PufferLib/tree/5bc65ad/pufferlib/ocean"),)

    def installed(self) -> str | None:
        return _versions.installed_version("pufferlib") or super().installed()

    def provider(self) -> str:
        return "pufferlib" if _versions.installed_version("pufferlib") else super().provider()

    def require_installed(self) -> str:
        # Who has another 3.x, with torch, can use that.
        found = self.installed()
        return found if found and _versions.admits(">=3,<4", found) else super().require_installed()

    def load(self, submodule: str = "") -> ModuleType:
        with _without_traces():
            return super().load(submodule)

    def known_names(self) -> Iterable[str]:
        return [*EMULATED, *(OCEAN if _has_ocean() else [])]

    def live_names(self) -> Iterable[str]:
        return self.known_names()

    def resolve(self, name: str) -> str:
        # With `env_creator=` any name is one, so it takes `capabilities` to refuse others.
        return name.removeprefix("puffer_")

    def options(self, name: str) -> Iterable[str]:
        if _is_gymnasiums(name):
            return registry.get("gymnasium").options(name)
        is_here = ":" in name or (name in OCEAN and not self.gap(name, {}))
        own = keywords(self._creator(name, {})) if is_here else []
        return {"env_creator", "env_kwargs", *BRIDGE_OPTIONS, *own} - {"buf"}

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps" if _is_gymnasiums(name) else None

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        gap = self.gap(name, options)
        if gap:
            return Capabilities.none(gap.reason)
        if "env_creator" in options or is_qualified(f"pufferlib::{name}", name):
            return _of_a_puffer_env(options, reproducible=UNKNOWN)
        if name in OCEAN:
            drawn: Claim = name in DRAWS_NOTHING or has_own_generators() or SHARED
            same = NOT_REPRODUCIBLE.get(name, drawn)
            compared = ("reproducible", "vmap_safe", "isolated_reset", "multi_device")
            return _of_a_puffer_env(options, **dict.fromkeys(compared, same))
        return registry.get("gymnasium").capabilities(self._gymnasiums(name), options)

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if "env_creator" in options:
            return None
        if name in OCEAN and not _has_ocean():
            return Gap("upstream", NO_OCEAN)
        if name in BROKEN:
            return Gap("upstream", f"{BROKEN[name]} (pufferlib 3.0.0)")
        if name.rpartition("-v")[0] in TOY_TEXT:
            return Gap("upstream", f"{UNEMULATED} (pufferlib 3.0.0)")
        if name.startswith(("phys2d/", "tabular/")):
            return Gap("never", f"it is written in JAX: make gymnasium::{name}, which is native.")
        return registry.get("gymnasium").gap(name, options) if _is_gymnasiums(name) else None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        gap = self.gap(name, options)
        if gap:  # and do not try: one of them would not return
            raise UnavailableEnvError(f"pufferlib::{name} does not run here: {gap.reason}")
        construct = self._construction(name, options)
        return self._environment(name, construct, self.capabilities(name, options), options)

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not _is_puffers(obj):
            return None
        create = functools.partial(PufferInstance, first_then_others(obj, construct), {})
        capabilities = _of_a_puffer_env({}, reproducible=UNKNOWN)
        options: dict[str, Any] = {}
        if construct is None:
            capabilities, options = of_one_instance(capabilities)
        name = type(obj).__name__
        return name, self._environment(name, create, capabilities, options)

    def _environment(
        self,
        name: str,
        construct: Callable[[], PufferInstance],
        capabilities: Capabilities,
        options: Mapping[str, Any],
    ) -> Environment:
        from envhub.host.environment import HostEnvironment

        first = construct()
        return HostEnvironment(
            f"pufferlib::{name}",
            construct,
            first,
            unwrapped=first.env,
            observation_space=first.observation_space,
            action_space=first.action_space,
            capabilities=capabilities,
            default_params=first.default_params,
            options=options,
            version=self.require_installed(),
            num_agents=first.num_agents if first.num_agents > 1 else None,
        )

    def _construction(self, name: str, options: Mapping[str, Any]) -> Callable[[], PufferInstance]:
        self.load()
        if _is_gymnasiums(name) and "env_creator" not in options:
            inner = registry.get("gymnasium").instances(name, options)  # type: ignore[attr-defined]
            return functools.partial(EmulatedInstance, inner)
        creator = self._creator(name, options)
        taken = {*BRIDGE_OPTIONS, "env_creator", "env_kwargs"}
        given = {key: value for key, value in options.items() if key not in taken}
        given |= options.get("env_kwargs") or {}
        if "num_envs" in keywords(creator):
            given.setdefault("num_envs", 1)
        if name not in OCEAN or "env_creator" in options:
            return functools.partial(PufferInstance, creator, given)
        if name == "enduro":
            given.setdefault("seed", 0)  # otherwise one that Python draws
        if name == "connect4":
            # Otherwise a KeyError, where no game ended between two reports (pufferlib 3.0.0).
            given.setdefault("report_interval", np.iinfo(np.int32).max)
        return functools.partial(OceanInstance, creator, given, is_kept=name in KEPT)

    def _creator(self, name: str, options: Mapping[str, Any]) -> Callable[..., Any]:
        """The function or class that makes the environment."""
        if "env_creator" in options:
            creator = options["env_creator"]
            if not callable(creator):
                raise InvalidOptionError(f"env_creator is a function or class, got {creator!r}.")
        elif ":" in name:
            creator = self._factory(*name.rsplit(":", 1))
        else:
            creator = self.load("ocean").env_creator(f"puffer_{name}")
        made: Callable[..., Any] = creator
        return made

    def _factory(self, module: str, attribute: str) -> Any:
        self.load()  # first, because the module may import it
        try:
            return getattr(import_named(f"pufferlib::{module}:{attribute}", module), attribute)
        except AttributeError as error:
            raise UnknownEnvError(f"the module {module!r} has no {attribute!r}.") from error

    def _gymnasiums(self, name: str) -> str:
        """The name if Gymnasium knows it too.

        Raises:
            UnknownEnvError: if neither does.
        """
        if name in EMULATED:
            return name  # quickly
        try:
            return registry.get("gymnasium").resolve(name)
        except UnknownEnvError as error:
            names = list(self.known_names())
            raise UnknownEnvError(
                f"pufferlib has no environment {name!r}.{did_you_mean(name, names)} There are "
                f"Ocean's names, Gymnasium's ids, 'module.path:Factory', and any name with "
                f"env_creator=. List {len(names)} with envhub.list_envs('pufferlib')."
            ) from error


def _is_gymnasiums(name: str) -> bool:
    return ":" not in name and "-v" in name


def _has_ocean() -> bool:
    """Whether what is installed has Ocean; where nothing is, the newest known is meant."""
    found = importlib.util.find_spec("pufferlib")
    folders = (found and found.submodule_search_locations) or []
    return not found or any(Path(folder, "ocean").is_dir() for folder in folders)


def _of_a_puffer_env(options: Mapping[str, Any], **claims: Claim) -> Capabilities:
    return host_capabilities(
        options,
        "what it is made of cannot be saved.",
        has_env_params="nothing of it can be changed while it lives.",
        renderable="what PufferLib draws appears in a window.",
        **claims,
    )


@contextlib.contextmanager
def _without_traces() -> Iterator[None]:
    """Import pufferlib 3.0.0 without what that does to the process.

    It links its `resources` into the working directory, which only its drawings need (and which
    may not be writable), and takes it well if something of that name is there. `gym`, which it
    imports, complains of its own age on the error output. `Suite.load` does the rest.
    """
    link = os.symlink

    def all_but_resources(source: Any, target: Any, *options: Any, **named: Any) -> None:
        if target == "resources":
            raise FileExistsError(target)
        link(source, target, *options, **named)

    os.symlink = all_but_resources  # type: ignore[assignment]
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        os.symlink = link


class PufferInstance(Instance):
    """One environment of PufferLib, of one agent or more.

    It writes what the agents see into arrays of its own, again and again, and resets what ended by
    itself, within the step: the observation there is the first of the next episode.
    """

    default_params: Any = None

    def __init__(self, creator: Callable[..., Any], given: Mapping[str, Any]) -> None:
        self._creator, self._given = creator, dict(given)
        self._generator = OwnGenerator()
        self.env: Any
        self._make()
        self.num_agents = int(self.env.num_agents)
        self._is_batch = self.num_agents > 1
        single = self.env.single_action_space
        self._dtype = single.dtype if single.dtype.kind == "f" else np.dtype(np.int32)
        # PufferLib's emulation takes an action without the axis of the agents if there is one.
        is_bare = _is_emulation(self.env) and not self._is_batch
        self._form = (single.shape or (1,)) if is_bare else (self.num_agents, *single.shape)

    @property
    def observation_space(self) -> spaces.Space:
        """Of all agents, or of the one."""
        return self._of_all(self.env.single_observation_space)

    @property
    def action_space(self) -> spaces.Space:
        """Of all agents, or of the one."""
        return self._of_all(self.env.single_action_space)

    def reset(self, seed: int) -> Any:
        with self._generator:
            self.env.reset(seed=seed)
        return self._shown(self.env.observations)

    def step(self, action: Any) -> InstanceStep:
        env, shown = self.env, self._shown
        given = np.asarray(action, self._dtype).reshape(self._form)
        with self._generator:
            told = env.step(given)[-1]
        return InstanceStep(
            shown(env.observations),
            shown(env.rewards),
            shown(env.terminals),
            shown(env.truncations),
            # Natives tell something now and then, in a list.
            told if isinstance(told, dict) and not self._is_batch else {},
        )

    def close(self) -> None:
        self._close()

    def _make(self) -> None:
        with self._generator:
            self.env = _playable(self._creator(**self._given))
        # Nobody else frees what is in C.
        self._close = weakref.finalize(self, _close, self.env)
        self._close.atexit = False

    def _shown(self, array: Any) -> Any:
        """What all agents see, or the one: a copy."""
        return array.copy() if self._is_batch else array[0].copy()

    def _of_all(self, single: Any) -> spaces.Space:
        space = spaces.from_gymnasium(single)
        return spaces.batch(space, self.num_agents) if self._is_batch else space


class OceanInstance(PufferInstance):
    """One of Ocean's."""

    def __init__(
        self, creator: Callable[..., Any], given: Mapping[str, Any], *, is_kept: bool
    ) -> None:
        super().__init__(creator, given)
        self._is_kept, self._is_new = is_kept, True

    @property
    def observation_space(self) -> spaces.Space:
        space: Any = super().observation_space
        if _is_emulation(self.env):
            return space  # type: ignore[no-any-return]
        # Two thirds of them show values outside of the bounds that they give (pufferlib 3.0.0).
        whole = space.dtype.kind in "iu" and np.iinfo(space.dtype)
        low, high = (whole.min, whole.max) if whole else (-np.inf, np.inf)
        return spaces.Box(low, high, space.shape, space.dtype)

    def reset(self, seed: int) -> Any:
        if not (self._is_new or self._is_kept):
            self.close()
            self._make()
        self._is_new = False
        return super().reset(seed)


class EmulatedInstance(PufferInstance):
    """An environment of Gymnasium's under PufferLib's emulation.

    Its state is Gymnasium's, and whether it was reset and is done, which a restored one was and is
    not.
    """

    def __init__(self, inner: Callable[[], Any]) -> None:
        self.inner = inner()
        emulation = SUITE.load("emulation")
        super().__init__(emulation.GymnasiumPufferEnv, {"env": Emulated(self.inner)})
        self.default_params = self.inner.default_params

    def save(self) -> bytes:
        saved: bytes = self.inner.save()
        return saved

    def restore(self, saved: bytes, obs: Any) -> None:
        self.inner.restore(saved, obs)
        self.env.initialized, self.env.done = True, False

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        self.inner.set_params(values)

    def render(self) -> Any:
        return self.inner.render()


class Emulated:
    """What PufferLib's emulation asks of an environment, answered by an instance."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.observation_space = inner.env.observation_space
        self.action_space = inner.env.action_space

    def reset(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """As the instance does, without `info`."""
        return self.inner.reset(seed), {}

    def step(self, action: Any) -> Any:
        """As the instance does."""
        return self.inner.step(action)

    def close(self) -> None:
        """As the instance does."""
        self.inner.close()


def _is_emulation(env: Any) -> bool:
    return bool(getattr(env, "emulated", False))


def _is_puffers(made: Any) -> bool:
    return hasattr(made, "single_observation_space") and hasattr(made, "terminals")


def _playable(made: Any) -> Any:
    """What a factory made, under PufferLib's emulation if it is not PufferLib's.

    Raises:
        InvalidOptionError: if it is nothing of the kind.
    """
    emulation = SUITE.load("emulation")
    if _is_puffers(made):
        env = made
    elif hasattr(made, "possible_agents"):
        env = emulation.PettingZooPufferEnv(env=made)
    elif hasattr(made, "observation_space"):
        env = emulation.GymnasiumPufferEnv(env=made)
    else:
        raise InvalidOptionError(
            f"the factory made a {type(made).__name__}, which is neither a PufferEnv nor an "
            "environment of Gymnasium or PettingZoo."
        )
    if 0 in env.single_observation_space.shape:
        raise UnavailableEnvError(f"{type(made).__name__} cannot be emulated: {UNEMULATED}")
    return env


def _close(env: Any) -> None:
    with contextlib.suppress(NotImplementedError):
        env.close()


SUITE = PufferlibSuite()
