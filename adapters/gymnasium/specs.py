"""From a spec of Gymnasium's registry to an environment."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any


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
    """A `gymnasium.Env`, which draws if it can."""
    import gymnasium

    modes = getattr(creator_of(spec), "metadata", {}).get("render_modes", [])
    drawn = {"render_mode": "rgb_array"} if "rgb_array" in modes else {}
    return gymnasium.make(spec, disable_env_checker=True, **drawn, **options)


def creator_of(spec: Any) -> Any:
    """The class of an environment, or the function that makes one."""
    from gymnasium.envs.registration import load_env_creator

    named = isinstance(spec.entry_point, str)
    return load_env_creator(spec.entry_point) if named else spec.entry_point


def is_functional(env: Any) -> bool:
    """Whether it is one of Gymnasium's shells around a functional core in JAX."""
    return "FunctionalJaxEnv" in [kind.__name__ for kind in type(env).__mro__]
