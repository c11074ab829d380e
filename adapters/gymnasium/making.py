"""From an environment of Gymnasium's interface to an instance of its family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from envhub.flags import Claim
from envhub.host.options import OF_EPISODES

from .facts import NOT_DETERMINISTIC, NOT_DRAWN, claims_of
from .identity import description_of, family_of, family_of_spec
from .instances import (
    AcrobotInstance,
    Box2DInstance,
    CartPoleInstance,
    GymnasiumInstance,
    PlainInstance,
)
from .mujoco import MujocoInstance
from .specs import DRAWN

KINDS: dict[str, type[GymnasiumInstance]] = {
    "": GymnasiumInstance,
    "classic": PlainInstance,
    "toy_text": PlainInstance,
    "mujoco": MujocoInstance,
    "box2d": Box2DInstance,
    "functional": GymnasiumInstance,  # which is refused
}
# Those whose snapshots have a form of their own.
KINDS_OF_CLASSIC: dict[str, type[GymnasiumInstance]] = {
    "AcrobotEnv": AcrobotInstance,
    "CartPoleEnv": CartPoleInstance,
}


def instance_of(
    create: Callable[[], Any], reset_options: dict[str, Any] | None = None
) -> GymnasiumInstance:
    """One instance, of the kind that its class asks for; its resets get these options."""
    env = create()
    family = family_of(env)
    kind = KINDS[family]
    if family == "classic":
        kind = KINDS_OF_CLASSIC.get(type(env.unwrapped).__name__, kind)
    instance = kind(env)
    instance.reset_options, instance.claims = reset_options, _claims(env, family)
    instance.identity = description_of(env)
    return instance


def is_by_the_book(env: Any) -> bool:
    """Whether Gymnasium's own class made it from keywords, so that all like it are the same."""
    return bool(env.spec and family_of(env) and family_of_spec(env.unwrapped.spec))


def _claims(env: Any, family: str) -> Mapping[str, Claim]:
    """What is known of it."""
    keywords = env.spec.kwargs if env.spec else {}
    claims = claims_of(family, keywords)
    could = DRAWN in (env.metadata.get("render_modes") or ())
    why = NOT_DRAWN if could else f"it has no render_mode={DRAWN!r}."
    claims["renderable"] = env.render_mode == DRAWN or why
    if not is_by_the_book(env):
        # A function makes it, and may make each otherwise.
        claims = {flag: claim for flag, claim in claims.items() if flag not in OF_EPISODES}
        inside = claims_of(family_of(env.unwrapped), keywords)
        claims |= {flag: inside[flag] for flag in OF_EPISODES if inside.get(flag, True) is not True}
    if env.spec and env.spec.nondeterministic:
        claims |= dict.fromkeys(OF_EPISODES, NOT_DETERMINISTIC)
    return claims
