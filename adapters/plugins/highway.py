"""highway-env: a row of the table, whose environments keep their numbers to themselves."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from envhub.errors import InvalidOptionError, did_you_mean
from envhub.flags import Claim
from envhub.host import Instance
from envhub.suite import Gap

from ..gymnasium.specs import creator_of
from ..gymnasium.suite import SUITE as GYMNASIUM
from .suite import PluginSuite

# Their constructors take no `render_mode` (highway-env 1.10 to 1.12), so they draw for nobody.
UNSEEN = {"lane-keeping-v0", "parking-ActionRepeat-v0", "parking-parked-v0"}
NUMBERS = ("DISTANCE_WANTED", "COMFORT_ACC_MAX", "COMFORT_ACC_MIN")
Numbers = Mapping[type, Mapping[str, Any]]


class HighwaySuite(PluginSuite):
    """highway-env: decisions of a driver."""

    name = "highway"
    title = "highway-env's traffic, on the CPU"
    module, distribution = "highway_env", "highway-env"
    supported = ">=1.10.1,<2"
    example = "highway-fast-v0"

    gaps: ClassVar[Mapping[str, Gap]] = {
        f"intersection-multi-agent-v{version}": Gap(
            "notimpl", "its rewards are a tuple, one for each of its vehicles; v0 has their mean."
        )
        for version in (1, 2)
    }

    @classmethod
    def family_of(cls, name: str, entry_point: str) -> str:
        return "roads"  # one simulation, on the roads that a class lays out

    def draws(self, name: str) -> Claim:
        return name not in UNSEEN or "highway-env gives its constructor no render_mode."

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        self.load()
        spec = GYMNASIUM.load("envs.registration").registry[name]
        given, known = options.get("config") or {}, creator_of(spec).default_config()
        # highway-env 1.10 to 1.12 keep an entry that they do not know, and ignore it.
        if unknown := sorted(set(given) - set(known)):
            raise InvalidOptionError(
                f"config of highway::{name} has no entry {unknown[0]!r}."
                f"{did_you_mean(unknown[0], known)} Its entries: {', '.join(sorted(known))}."
            )
        return functools.partial(with_own_numbers, super().instances(name, options))


class OwnNumbers:
    """The numbers by which other drivers drive, of one environment.

    highway-env 1.10 to 1.12: `intersection` sets three of `IDMVehicle`, or of the class that its
    config names, in the class. So from then on traffic is another in every environment of the
    process. Here an environment finds its own numbers in the classes, and leaves those of before.
    """

    _one_at_a_time = threading.RLock()

    def __init__(self) -> None:
        self._own: Numbers = {}

    def within(self, play: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function with these numbers."""
        with self._one_at_a_time:
            before = numbers()
            put(self._own)
            try:
                return play(*arguments)
            finally:
                self._own = numbers()
                put(before)


def numbers() -> Numbers:
    """Return what each class of driver says of `NUMBERS` itself."""
    from highway_env.vehicle.behavior import IDMVehicle

    found, classes = {}, [IDMVehicle]
    while classes:
        each = classes.pop()
        found[each] = {name: vars(each)[name] for name in NUMBERS if name in vars(each)}
        classes += each.__subclasses__()
    return found


def put(saved: Numbers) -> None:
    """Let these classes say that again, and no more."""
    for each, own in saved.items():
        for name in NUMBERS:
            if name in own:
                setattr(each, name, own[name])
            elif name in vars(each):
                delattr(each, name)


def with_own_numbers(create: Callable[[], Instance]) -> Instance:
    """Make an instance whose numbers are its own: highway-env resets what it makes."""
    own = OwnNumbers()
    instance: Instance = own.within(create)
    instance.reset = functools.partial(own.within, instance.reset)  # type: ignore[method-assign]
    instance.step = functools.partial(own.within, instance.step)  # type: ignore[method-assign]
    return instance


HIGHWAY = HighwaySuite()
