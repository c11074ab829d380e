"""The suite: JaxMARL's environments, by their step that does not reset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from envhub._foreign import keep_streams
from envhub.environment import Environment
from envhub.errors import InvalidOptionError, UnavailableEnvError
from envhub.flags import Capabilities
from envhub.suite import Gap, Suite, in_x64_mode, keywords

from .environment import replaced, under_contract
from .facts import (
    BROKEN_IN_X64,
    CLASSES,
    FAMILY_OF,
    LEARNED,
    LIMITS,
    NO_ROBOTARIUM,
    NOT_OPTIONS,
    OF_MPE,
    ROBOTARIUM,
    WITHOUT_COLOURS,
    differentiable,
)
from .pictures import PICTURES


class JaxMarlSuite(Suite):
    """JaxMARL's environments."""

    name = "jaxmarl"
    title = "several agents in JAX"
    module = "jaxmarl"
    distribution = "jaxmarl"
    relies_on = ("brax", "flax")
    supported = ">=0.2.0,<0.3"
    example = "MPE_simple_spread_v3"
    interface = "a jaxmarl MultiAgentEnv"
    # fmt: off
    references = (("*", "https://github.com/FLAIROx/JaxMARL/blob/main/jaxmarl/registration.py"),)
    # fmt: on

    def known_names(self) -> Iterable[str]:
        return [*CLASSES, *ROBOTARIUM]

    def live_names(self) -> Iterable[str]:
        return list(self.load().registered_envs)

    def load(self, submodule: str = "") -> ModuleType:
        with keep_streams():
            return super().load(submodule)

    def options(self, name: str) -> Iterable[str]:
        if name in ROBOTARIUM:
            return []
        kind, family = self._class(name), FAMILY_OF[name]
        accepted = set(keywords(kind))
        if family == "MPE":
            accepted |= OF_MPE
        elif family == "SMAX":
            accepted |= set(keywords(self._class("SMAX")))
        elif family == "MABrax":
            brax = self.load("environments.mabrax.mabrax_env").envs
            accepted |= set(keywords(kind.__mro__[1], brax._envs[name.partition("_")[0]]))
        return accepted - NOT_OPTIONS

    def family(self, name: str) -> str:
        return FAMILY_OF.get(name, "JaxRobotarium" if name in ROBOTARIUM else "")

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return LIMITS.get(self.family(name))

    def without_limit(self, name: str, obs: Any) -> Any:
        # The last channel says that fewer than 40 steps are left.
        return obs[..., :-1] if name == "overcooked" else obs

    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        if name in ROBOTARIUM:
            return Capabilities.none(NO_ROBOTARIUM)
        is_drawn = self.family(name) in PICTURES and name != WITHOUT_COLOURS
        fixed = "JaxMARL has nothing there that can change from call to call."
        return Capabilities.native(
            differentiable=differentiable(name, options),
            has_env_params=self.family(name) in LIMITS or fixed,
            renderable=is_drawn or "JaxMARL draws no picture of it.",
        )

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if name in ROBOTARIUM:
            return Gap("upstream", NO_ROBOTARIUM)
        if name == "LearnedPolicyEnemySMAX" and not {"policy", "params"} <= options.keys():
            return Gap("never", LEARNED)
        if in_x64_mode() and name in BROKEN_IN_X64:
            return Gap("upstream", "JaxMARL 0.2.0 mixes dtypes there in x64 mode; switch that off.")
        return None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        if name in ROBOTARIUM:
            raise UnavailableEnvError(f"jaxmarl::{name} does not run here: {NO_ROBOTARIUM}")
        options = dict(options)
        if "scenario" in options:
            known = self.load("environments.smax.smax_env").MAP_NAME_TO_SCENARIO
            options["scenario"] = _by_name("scenario", options["scenario"], known)
        if "layout" in options:
            known = vars(self.load(f"environments.{name}"))[f"{name}_layouts"]
            options["layout"] = _by_name("layout", options["layout"], known)
        if FAMILY_OF[name] == "MABrax":
            options["auto_reset"] = False
        own = self.load().make(name, **options)
        return under_contract(own, FAMILY_OF[name], self.capabilities(name, options))

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load("environments.multi_agent_env").MultiAgentEnv):
            return None
        known = vars(self.load("registration"))  # without MABrax's, if brax is absent
        names = {known[kind]: name for name, kind in CLASSES.items() if kind in known}
        if type(obj) not in names:
            unknown = "not known of an environment of a third party."
            claims = dict.fromkeys(("differentiable", "has_env_params", "renderable"), unknown)
            return type(obj).__name__, under_contract(obj, "", Capabilities.native(**claims))
        name = names[type(obj)]
        if getattr(obj, "auto_reset", False):  # MABrax, which resets in brax's outermost wrapper
            obj = replaced(obj, env=obj.env.env, auto_reset=False)
        is_discrete = hasattr(obj.action_space(obj.agents[0]), "n")
        options = {"action_type": "Discrete" if is_discrete else "Continuous"}
        capabilities = self.capabilities(name, options)
        return name, under_contract(obj, FAMILY_OF[name], capabilities)

    def _class(self, name: str) -> Any:
        module = "environments.mabrax" if FAMILY_OF[name] == "MABrax" else "registration"
        return getattr(self.load(module), CLASSES[name])


def _by_name(keyword: str, given: Any, known: Mapping[str, Any]) -> Any:
    """Return what the suite has under a name, which specs can hold; anything else as it is."""
    if not isinstance(given, str):
        return given
    if given not in known:
        raise InvalidOptionError(f"{keyword} must be one of {', '.join(known)}; got {given!r}.")
    return known[given]


SUITE = JaxMarlSuite()
