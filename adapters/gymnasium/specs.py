"""From a spec of Gymnasium's registry to an environment."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Mapping
from typing import Any

from envhub.errors import InvalidOptionError, UnavailableEnvError
from envhub.suite import keywords, takes_any_keyword

DRAWN = "rgb_array"


def can_be_made(spec: Any) -> bool:
    """Whether an id has an environment, and not only one of `gymnasium.make_vec`."""
    function = spec.entry_point if inspect.isfunction(spec.entry_point) else None
    # Under the names of what is gone Gymnasium registers functions of its own, which raise.
    is_gone = function is not None and function.__module__.startswith("gymnasium.")
    return spec.entry_point is not None and not is_gone


def without_checks(spec: Any) -> Any:
    """The spec without the wrapper that insists on a reset: the bridge does."""
    spec = copy.deepcopy(spec)
    spec.order_enforce = False
    return spec


def make_env(spec: Any, options: Mapping[str, Any]) -> Any:
    """A `gymnasium.Env`, which draws if it can and `render_mode=None` does not forbid it.

    Raises:
        InvalidOptionError: if there is no such `render_mode`.
        UnavailableEnvError: if it can be constructed, but not so that it draws.
    """
    import gymnasium

    others = {key: value for key, value in options.items() if key != "render_mode"}
    create = functools.partial(gymnasium.make, spec, disable_env_checker=True, **others)
    mode = options.get("render_mode", DRAWN)
    if mode not in (DRAWN, None):
        raise InvalidOptionError(
            f"render_mode is {DRAWN!r}, or None to leave pictures out, got {mode!r}."
        )
    # What a function makes is not known before: there it draws if it is asked to.
    if mode is None or not _can_draw(creator_of(spec), is_asked="render_mode" in options):
        return create()
    try:
        return create(render_mode=DRAWN)
    except Exception as error:
        try:
            create().close()
        except Exception:
            raise error from None  # it is not for the pictures
        raise UnavailableEnvError(
            f"{spec.id} cannot be constructed with render_mode={DRAWN!r}, and can without: "
            f"make(…, render_mode=None) leaves its pictures out. [{type(error).__name__}: {error}]"
        ) from error


def _can_draw(creator: Any, *, is_asked: bool) -> bool:
    """Whether it says so, or is asked to, and takes the keyword."""
    modes = (getattr(creator, "metadata", None) or {}).get("render_modes") or ()
    takes = "render_mode" in keywords(creator) or takes_any_keyword(creator)
    return takes and (DRAWN in modes or is_asked)


def creator_of(spec: Any) -> Any:
    """The class of an environment, or the function that makes one."""
    from gymnasium.envs.registration import load_env_creator

    named = isinstance(spec.entry_point, str)
    return load_env_creator(spec.entry_point) if named else spec.entry_point


def is_functional(env: Any) -> bool:
    """Whether it is one of Gymnasium's shells around a functional core in JAX."""
    return "FunctionalJaxEnv" in [kind.__name__ for kind in type(env).__mro__]
