"""Gymnasium's registry as a suite."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from envhub import _versions
from envhub.environment import Environment
from envhub.errors import EnvHubError, InvalidOptionError, UnavailableEnvError
from envhub.flags import Capabilities, Claim
from envhub.host import BRIDGE_OPTIONS, HostSuite, Instance
from envhub.host.options import OF_EPISODES, own_options
from envhub.suite import (
    ANY_KEYWORD,
    Gap,
    import_named,
    is_qualified,
    keywords,
    takes_any_keyword,
)

from .adopted import adopted_instance
from .cartpoles import CartPoleFleet
from .changes import changes
from .facts import (
    BOX2D,
    CLASSIC,
    CORES,
    FUNCTIONAL,
    MISFITS,
    MUJOCO,
    MUJOCO_V3,
    MUJOCO_VIEW,
    NOT_DETERMINISTIC,
    TITLE_OF,
    TOY_TEXT,
    claims_of,
)
from .functional import FunctionalEnvironment
from .identity import family_of, family_of_id, is_functional, registered
from .instances import CartPoleInstance, GymnasiumInstance
from .making import instance_of, is_by_the_book
from .specs import DRAWN, can_be_made, creator_of, make_env, without_checks

AS_FUNCTION = "Give a function that makes it: envhub.wrap(lambda: …)."


class GymnasiumSuite(HostSuite):
    """Every id that Gymnasium's registry can make, each instance a `gymnasium.Env` of its own."""

    name = "gymnasium"
    title = "Gymnasium's environments, on the CPU"
    module = "gymnasium"
    distribution = "gymnasium"
    relies_on = ("mujoco", "box2d")
    supported = ">=1.0,<1.5"
    example = "CartPole-v1"
    interface = "a gymnasium.Env"
    misfits = MISFITS
    enabling = ({"forkable": True},)
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
        if family_of_id(name) == "functional":
            return ["max_episode_steps", *keywords(self._core(name))]
        spec = self._spec(name)
        creator = creator_of(spec)
        accepted = {"max_episode_steps", *BRIDGE_OPTIONS, *keywords(creator)}
        ours = set() if family_of_id(name) else {"keep"}  # Gymnasium's own observe arrays
        if not family_of_id(name) and takes_any_keyword(creator):
            accepted.add(ANY_KEYWORD)
        if family_of_id(name) == "mujoco" and takes_any_keyword(creator):
            base = self.load("envs.mujoco").MujocoEnv
            accepted |= {each for each in keywords(base) if each in MUJOCO_VIEW}
        return accepted | set(spec.kwargs) | {"render_mode", "reset_options"} | ours

    def family(self, name: str) -> str:
        return TITLE_OF.get(family_of_id(name), "")

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        return [{}, {"forkable": True}] if family_of_id(name) == "box2d" else [{}]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps"

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        if family_of_id(name) != "functional":
            return super().capabilities(name, options)
        return Capabilities.native(
            differentiable=name == "phys2d/Pendulum-v0" or "actions are discrete.",
            has_env_params=name != "tabular/CliffWalking-v0" or "Gymnasium gives it none.",
        )

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        claims, spec = claims_of(family_of_id(name), options), registered(name)
        if spec and spec.nondeterministic:
            claims |= dict.fromkeys(OF_EPISODES, NOT_DETERMINISTIC)
        return claims

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        return True if family_of_id(name) else super().replays(name, options)

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        base, _, version = name.rpartition("-")
        if base in MUJOCO.split() and version in ("v2", "v3"):
            return Gap("upstream", "it needs mujoco-py, which is not maintained; v4 and v5 do not.")
        if name == "Pusher-v4":
            return Gap("upstream", "Gymnasium's Pusher-v4 needs mujoco<3; Pusher-v5 does not.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        if family_of_id(name) == "functional":
            return self._make_functional(name, dict(options))
        create = self.instances(name, own_options(options))
        first = self.trial(name, options).first(create)
        if is_in_jax(first):
            raise UnavailableEnvError(
                f"gymnasium::{name} is written in JAX, which deadlocks inside a callback; "
                "envhub.wrap takes its object if it is functional."
            )
        return self.environment(name, create, first, options)

    def adopt(
        self,
        obj: Any,
        construct: Callable[[], Any] | None,
        **options: Any,
    ) -> tuple[str, Environment] | None:
        # PufferLib's emulation is a `gymnasium.Env` by name, and has another step.
        if not isinstance(obj, self.load().Env) or hasattr(obj, "single_observation_space"):
            return None
        name = obj.spec.id if obj.spec else type(obj.unwrapped).__name__
        if is_functional(obj.unwrapped):
            env = self._adopt_functional(name, obj)
        elif obj.spec and not construct:
            env = self._adopt_spec(name, obj, options)
        else:
            env = self.adopted(name, obj, construct, adopted_instance, options)
        if not env.capabilities.jax_native:
            env.unwrapped = obj
        return name, env

    def maker(self, obj: Any) -> Callable[[], Any] | None:
        return functools.partial(self.load().make, obj.spec) if obj.spec else None

    def _adopt_functional(self, name: str, obj: Any) -> Environment:
        if obj.spec.additional_wrappers if obj.spec else obj is not obj.unwrapped:
            raise InvalidOptionError(
                f"{obj} is written in JAX, and its wrappers are not: give obj.unwrapped."
            )
        core, kind = obj.unwrapped.func_env, type(obj.unwrapped)
        shell = self.load("envs.functional_jax_env").FunctionalJaxEnv
        if (kind.reset, kind.step) != (shell.reset, shell.step):
            raise InvalidOptionError(
                f"{obj} has a reset or step of its own around its functional core, which deadlocks "
                "inside a callback: wrap what is inside."
            )
        if family_of_id(name) == "functional" and type(core) is self._core(name):
            capabilities = self.capabilities(name, {})
        else:
            has_params = core.get_default_params() is not None
            draws = "rgb_array" in obj.metadata.get("render_modes", [])
            capabilities = Capabilities.native(
                differentiable="not known of an environment of a third party.",
                has_env_params=has_params or "it has none.",
                renderable=draws or "it draws nothing.",
            )
        return FunctionalEnvironment(core, obj.spec and obj.spec.max_episode_steps, capabilities)

    def _adopt_spec(self, name: str, obj: Any, options: Mapping[str, Any]) -> Environment:
        spec = without_checks(obj.spec)
        drawing = {"render_mode": DRAWN} if spec.kwargs.pop("render_mode", None) == DRAWN else {}
        create = functools.partial(adopted_instance, functools.partial(make_env, spec, drawing))
        trial = self.trial(name, options)
        try:
            first = trial.first(create)
        except EnvHubError:
            raise
        except Exception as error:
            raise InvalidOptionError(
                f"{obj} cannot be made again from its spec: {error} {AS_FUNCTION}"
            ) from error
        changed = trial.first(lambda: changes(obj, first.env))
        if changed:
            first.close()
            raise InvalidOptionError(
                f"{obj} is not as its spec makes it: {'; '.join(changed[:3])}. {AS_FUNCTION}"
            )
        options = {**_options_of(obj.spec), **options}
        return self.environment(name, create, first, options, claims={})

    def environment(
        self,
        name: str,
        construct: Callable[[], Instance],
        first: Instance,
        options: Mapping[str, Any],
        **given: Any,
    ) -> Environment:
        # CartPoles can be stepped in one go.
        is_serial = not (options.get("workers") or options.get("timeout"))
        if is_serial and isinstance(first, CartPoleInstance) and is_by_the_book(first.env):
            saves = options.get("forkable", True) is not False
            given["fleet"] = CartPoleFleet(first, saves=saves)
        return super().environment(name, construct, first, options, **given)

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], GymnasiumInstance]:
        own = dict(options)
        at_reset = own.pop("reset_options", None)
        if not isinstance(at_reset, dict | None):
            raise InvalidOptionError(
                f"reset_options must be a dict, as for reset, got {at_reset!r}."
            )
        keep = own.pop("keep", None)
        create = functools.partial(make_env, without_checks(self._spec(name)), own)
        if keep is not None:
            create = functools.partial(_with_some, create, keep)
        return functools.partial(instance_of, create, at_reset)

    def _make_functional(self, name: str, options: dict[str, Any]) -> Environment:
        limit = options.pop("max_episode_steps", None)
        if limit is None:
            limit = self._spec(name).max_episode_steps
        elif type(limit) is not int or (limit < 1 and limit != -1):
            raise InvalidOptionError(
                f"max_episode_steps must be a positive integer, or -1 for none, got {limit!r}."
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


def _with_some(create: Callable[[], Any], keep: Any) -> Any:
    """Make an environment that shows some entries, before its observations are converted."""
    from gymnasium.wrappers import FilterObservation

    env = create()
    known = getattr(env.observation_space, "spaces", None)
    is_list = isinstance(keep, list | tuple) and len(keep) > 0
    if not (isinstance(known, Mapping) and is_list and set(keep) <= set(known)):
        env.close()
        there = sorted(known) if isinstance(known, Mapping) else env.observation_space
        raise InvalidOptionError(
            f"keep must be a list of entries of its observation, {there}, got {keep!r}."
        )
    return FilterObservation(env, keep)


def _options_of(spec: Any) -> dict[str, Any]:
    """What makes an environment of a spec another than that of its id, as keywords."""
    from gymnasium.envs.registration import registry

    options = {key: value for key, value in spec.kwargs.items() if key != "render_mode"}
    registered = registry.get(spec.id)
    if registered is None or spec.max_episode_steps != registered.max_episode_steps:
        options["max_episode_steps"] = spec.max_episode_steps or -1
    if spec.additional_wrappers:
        options["wrappers"] = spec.additional_wrappers
    return options


def is_in_jax(instance: GymnasiumInstance) -> bool:
    """Whether it holds arrays of JAX, before the first reset; what it calls is found out later."""
    if is_functional(instance.inner):
        return True
    if family_of(instance.env):
        return False
    if type(instance.inner).__module__.startswith("envhub.export."):
        return True
    seen: list[Any] = []
    layer = instance.env
    while layer is not instance.inner:
        seen += vars(layer).values()
        layer = layer.env
    seen += vars(layer).values()
    return any(_holds_arrays_of_jax(value) for value in seen)


def _holds_arrays_of_jax(value: Any) -> bool:
    try:
        return any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value))
    except (TypeError, ValueError):  # a dict whose keys cannot be sorted
        return False


SUITE = GymnasiumSuite()
