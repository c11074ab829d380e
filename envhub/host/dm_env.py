"""Environments with the interface of dm_env, as instances; `envhub.wrap` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from envhub import spaces
from envhub.errors import UnknownEnvError
from envhub.host.instance import Instance, InstanceStep
from envhub.host.suite import HostSuite

if TYPE_CHECKING:
    from envhub.environment import Environment


class DmEnvInstance(Instance):
    """One `dm_env.Environment`.

    The interface has no seeds, so `reset` ignores the seed. `info["discount"]` is the discount of
    the time step.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        self.env = create()
        self._action_spec = self.env.action_spec()
        self._dtype = getattr(self._action_spec, "dtype", None)  # None of a nest of specs
        self.action_space = space_of(self._action_spec)
        self.observation_space = space_of(self.env.observation_spec())

    @property
    def unwrapped(self) -> Any:
        return self.env

    def reset(self, seed: int) -> Any:
        return _checked("reset", self.env.reset(), is_first=True).observation

    def step(self, action: Any) -> InstanceStep:
        if self._dtype is not None:
            given = np.asarray(action, self._dtype)[()]
        else:
            given = _conformed(self._action_spec, action)
        returned = self.env.step(given)
        step = _checked("step", returned, is_first=False)
        discount = float(step.discount)
        is_end, has_future = step.last(), discount != 0
        return InstanceStep(
            step.observation,
            step.reward,
            terminated=is_end and not has_future,
            truncated=is_end and has_future,
            info={"discount": discount},
        )

    def close(self) -> None:
        self.env.close()


def _checked(hook: str, returned: Any, *, is_first: bool) -> Any:
    """Return what a reset or a step returned, if it is such a time step.

    Raises:
        TypeError: if it is something else.
    """
    import dm_env

    if not isinstance(returned, dm_env.TimeStep) or returned.first() != is_first:
        wanted = (
            "the first dm_env.TimeStep of an episode" if is_first else "a later dm_env.TimeStep"
        )
        raise TypeError(f"its {hook} must return {wanted}, and returned {returned!r}")
    return returned


def space_of(spec: Any) -> spaces.Space:
    """Convert a spec, or a nest of specs, to a space.

    Raises:
        TypeError: if a spec is not of numbers.
    """
    from dm_env import specs

    if isinstance(spec, Mapping):
        return spaces.Dict({name: space_of(child) for name, child in spec.items()})
    if isinstance(spec, (list, tuple)):
        return spaces.Tuple(map(space_of, spec))
    kind = np.dtype(spec.dtype).kind if isinstance(spec, specs.Array) else ""
    if kind not in ("b", "i", "u", "f"):
        raise TypeError(f"cannot convert {spec!r}: JAX holds arrays of numbers alone")
    if isinstance(spec, specs.DiscreteArray):
        return spaces.Discrete(spec.num_values, dtype=spec.dtype)
    if isinstance(spec, specs.BoundedArray):
        low, high = spec.minimum, spec.maximum
    elif kind in ("i", "u"):
        low, high = np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max
    else:
        low, high = (-np.inf, np.inf) if kind == "f" else (False, True)
    return spaces.Box(low, high, spec.shape, spec.dtype)


def _conformed(spec: Any, action: Any) -> Any:
    """Return an action with the containers and dtypes of its spec."""
    if isinstance(spec, Mapping):
        return {name: _conformed(child, action[name]) for name, child in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [_conformed(child, part) for child, part in zip(spec, action, strict=True)]
    return np.asarray(action, spec.dtype)[()]


class DmEnvInterface(HostSuite):
    """What `envhub.wrap` asks for an environment of dm_env, which is no suite: it has no names."""

    name = module = "dm_env"
    distribution = "dm-env"
    title = "environments with the interface of dm_env"
    supported = ">=1.5"
    example = ""
    interface = "a dm_env.Environment"

    def known_names(self) -> Iterable[str]:
        return []

    def resolve(self, name: str) -> str:
        raise UnknownEnvError(
            "dm_env is an interface without names. Give envhub.wrap the environment, or a function "
            "that makes it."
        )

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        raise UnknownEnvError(f"dm_env has no environment {name!r}: envhub.wrap takes one.")

    def adopt(
        self,
        obj: Any,
        construct: Callable[[], Any] | None,
        **options: Any,
    ) -> tuple[str, Environment] | None:
        if not isinstance(obj, self.load().Environment):
            return None
        name = type(obj).__name__
        return name, self.adopted(name, obj, construct, DmEnvInstance, options)


INTERFACE = DmEnvInterface()
