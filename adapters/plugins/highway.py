"""highway-env: a row of the table, whose environments keep their numbers to themselves."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from envhub.environment import Environment
from envhub.errors import InvalidOptionError, did_you_mean
from envhub.flags import Claim
from envhub.host import Instance
from envhub.host.forking import STEPS
from envhub.suite import Gap

from ..gymnasium.specs import creator_of
from ..gymnasium.suite import SUITE as GYMNASIUM
from .suite import PluginSuite

# Their constructors take no `render_mode` (highway-env 1.10 to 1.12), so they draw for nobody.
UNSEEN = {"lane-keeping-v0", "parking-ActionRepeat-v0", "parking-parked-v0"}
DRAWN = ("length", "no_lanes")
PARTS = {
    "observation": ("highway_env.envs.common.observation", "observation_factory"),
    "action": ("highway_env.envs.common.action", "action_factory"),
}
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

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        self.load()
        with contextlib.suppress(TypeError, ValueError):  # of what is refused below
            config = {**default_config(name), **(options.get("config") or {})}
            steps = math.ceil(config.get("duration", 0) * config["policy_frequency"])
            if steps > STEPS and options.get("max_episode_steps", -1) == -1:
                options = {"replay_steps": steps, **options}
        return super().make(name, options)

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        self.load()
        of_resets = (options.get("reset_options") or {}).get("config")
        given = [config for config in (options.get("config"), of_resets) if config is not None]
        for config in given:
            check_entries(f"config of highway::{name}", config, default_config(name))
            if name.startswith("racetrack-oval") and 0 in map(config.get, DRAWN):
                raise InvalidOptionError(
                    f"highway::{name} draws {' and '.join(DRAWN)} of 0 from a generator that no "
                    "seed reaches (highway-env 1.10 to 1.12). Give a number above 0."
                )
        create = super().instances(name, options)
        return functools.partial(with_own_numbers, functools.partial(checked, create, name, given))


def default_config(name: str) -> Mapping[str, Any]:
    """Return the config of an environment of which nothing is changed."""
    spec = GYMNASIUM.load("envs.registration").registry[name]
    config: Mapping[str, Any] = creator_of(spec).default_config()
    return config


def check_entries(what: str, given: Any, known: Iterable[str]) -> None:
    """Refuse an entry that highway-env does not know: 1.10 to 1.12 keep it, and ignore it."""
    if not isinstance(given, Mapping) or not all(isinstance(entry, str) for entry in given):
        raise InvalidOptionError(f"{what} must be a dict with names, got {given!r}.")
    if unknown := sorted(set(given) - set(known)):
        raise InvalidOptionError(
            f"{what} has no entry {unknown[0]!r}.{did_you_mean(unknown[0], known)} "
            f"Its entries: {', '.join(sorted(known))}."
        )


def checked(create: Callable[[], Instance], name: str, given: Sequence[Any]) -> Instance:
    """Make an instance, and look at the parts of its configs, which their classes take."""
    instance = create()
    env: Any = instance.unwrapped
    for config in given:
        for part, (module, factory) in PARTS.items():
            if part in config:
                made = getattr(importlib.import_module(module), factory)(
                    env.unwrapped, config[part]
                )
                what = f"config[{part!r}] of highway::{name}"
                taken = {"type", *parameters_of(type(made))} - {"self", "env", "args", "kwargs"}
                check_entries(what, config[part], taken)
    return instance


def parameters_of(kind: type) -> Iterator[str]:
    """Yield what the constructor of a class takes, and those of its bases."""
    for each in kind.__mro__:
        yield from inspect.signature(vars(each).get("__init__", lambda: None)).parameters


class OwnNumbers:
    """The numbers by which other drivers drive, of one environment.

    One environment is stepped at a time, for the numbers are those of the process.

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
