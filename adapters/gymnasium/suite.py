"""Gymnasium's registry as a suite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from envhub import _versions, spaces
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, UnavailableEnvError
from envhub.flags import Capabilities, Claim
from envhub.host import BRIDGE_OPTIONS, host_capabilities, of_one_instance
from envhub.host.fleet import Fleet
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

from .cartpoles import CartPoleFleet
from .facts import (
    BOX2D,
    CLASSIC,
    CORES,
    FUNCTIONAL,
    MISFITS,
    MUJOCO,
    MUJOCO_V3,
    MUJOCO_VIEW,
    NOT_DRAWN,
    TOY_TEXT,
    UNKNOWN_STATE,
    family,
)
from .functional import FunctionalEnvironment
from .instances import (
    Box2DInstance,
    CartPoleInstance,
    GymnasiumInstance,
    PlainInstance,
    make_instance,
)
from .mujoco import MujocoInstance
from .specs import can_be_made, creator_of, is_functional, make_env, without_checks


class GymnasiumSuite(Suite):
    """Every id that Gymnasium's registry can make, each instance a `gymnasium.Env` of its own."""

    name = "gymnasium"
    title = "Gymnasium's environments, on the CPU"
    module = "gymnasium"
    distribution = "gymnasium"
    supported = ">=1.0,<1.5"
    example = "CartPole-v1"
    interface = "a gymnasium.Env"
    misfits = MISFITS
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
        return [name for name, spec in registry.items() if can_be_made(spec)]

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
        if family(name) == "functional":
            return ["max_episode_steps", *keywords(self._core(name))]
        spec = self._spec(name)
        creator = creator_of(spec)
        accepted = {"max_episode_steps", *BRIDGE_OPTIONS, *keywords(creator)}
        if not family(name) and takes_any_keyword(creator):
            accepted.add(ANY_KEYWORD)
        if family(name) == "mujoco" and takes_any_keyword(creator):
            base = self.load("envs.mujoco").MujocoEnv
            accepted |= {each for each in keywords(base) if each in MUJOCO_VIEW}
        return accepted | set(spec.kwargs) | {"render_mode", "reset_options"}

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        gap = self.gap(name, options)
        if gap:
            return Capabilities.none(gap.reason)
        own = family(name)
        if own == "functional":
            return Capabilities.native(
                differentiable=name == "phys2d/Pendulum-v0" or "actions are discrete.",
                has_env_params=name != "tabular/CliffWalking-v0" or "Gymnasium gives it none.",
            )
        forkable: Claim = own in ("classic", "toy_text", "mujoco") or (
            "Box2D's worlds cannot be saved." if own == "box2d" else UNKNOWN_STATE
        )
        unknown = "not known before it is made, for an environment of a third party."
        return host_capabilities(
            options,
            forkable,
            has_env_params=own in ("classic", "mujoco")
            or "nothing of it can be changed while it lives.",
            renderable=NOT_DRAWN if options.get("render_mode", 0) is None else bool(own) or unknown,
        )

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        base, _, version = name.rpartition("-")
        if base in MUJOCO.split() and version in ("v2", "v3"):
            return Gap("upstream", "it needs mujoco-py, which is not maintained; v4 and v5 do not.")
        if name == "Pusher-v4":
            return Gap("upstream", "Gymnasium's Pusher-v4 needs mujoco<3; Pusher-v5 does not.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        if family(name) == "functional":
            return self._make_functional(name, dict(options))
        create = self.instances(name, options)
        first = create()
        if is_functional(first.inner):
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
        if obj.spec and not obj.spec.additional_wrappers and not construct and family(name):
            env = self.make(name, self._options_of(obj.spec))
        elif is_functional(obj.unwrapped):
            env = self._adopt_functional(obj)
        else:
            env = self._adopt_instances(name, obj, construct)
        if not env.capabilities.jax_native:
            env.unwrapped = obj
        return name, env

    def maker(self, obj: Any) -> Callable[[], Any] | None:
        return functools.partial(self.load().make, obj.spec) if obj.spec else None

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
            spec = without_checks(obj.spec)
            spec.kwargs.pop("render_mode", None)
            create_env: Callable[[], Any] = functools.partial(make_env, spec, {})
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
        kind = {"mujoco": MujocoInstance, "box2d": Box2DInstance}.get(family(name), PlainInstance)
        if name in ("CartPole-v0", "CartPole-v1"):
            kind = CartPoleInstance
        own = {key: value for key, value in options.items() if key not in BRIDGE_OPTIONS}
        at_reset = own.pop("reset_options", None)
        if not isinstance(at_reset, dict | None):
            raise InvalidOptionError(f"reset_options is a dict, as of reset, got {at_reset!r}.")
        create = functools.partial(make_env, without_checks(self._spec(name)), own)
        return functools.partial(make_instance, kind, create, at_reset)

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


SUITE = GymnasiumSuite()
