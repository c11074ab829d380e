"""What is importable of PufferLib as a suite."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from envhub import _versions, registry
from envhub.errors import (
    InvalidOptionError,
    UnavailableEnvError,
    UnknownEnvError,
    did_you_mean,
)
from envhub.flags import Claim
from envhub.host import BRIDGE_OPTIONS, HostSuite, Instance
from envhub.host.options import OF_EPISODES, UNKNOWN
from envhub.suite import Gap, import_named, is_qualified, keywords

from .facts import (
    BROKEN,
    DRAWS_NOTHING,
    EMULATED,
    KEPT,
    NO_OCEAN,
    NOT_REPRODUCIBLE,
    OCEAN,
    OF_ALL,
    SHARED,
    TOY_TEXT,
    UNEMULATED,
)
from .instances import EmulatedInstance, OceanInstance, PufferInstance, is_puffers
from .libc import has_own_generators

if TYPE_CHECKING:
    from envhub.environment import Environment


class PufferlibSuite(HostSuite):
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
    relies_on = ("gymnasium",)
    supported = ">=3.0.5,<3.0.8"  # newer ones need torch
    example = "CartPole-v1"
    interface = "a PufferEnv, a parallel environment of PettingZoo"
    also_takes = ("pettingzoo",)
    enabling = ({"forkable": True},)
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
        return [*EMULATED, *(OCEAN if has_ocean() else [])]

    def resolve(self, name: str) -> str:
        # With `env_creator=` any name is one, so it takes `capabilities` to refuse others.
        return name.removeprefix("puffer_")

    def options(self, name: str) -> Iterable[str]:
        if _is_gymnasiums(name):
            return _gymnasium().options(name)
        is_here = ":" in name or (name in OCEAN and not self.gap(name, {}))
        own = keywords(self._creator(name, {})) if is_here else []
        return {"env_creator", "env_kwargs", *BRIDGE_OPTIONS, *own} - {"buf"}

    def family(self, name: str) -> str:
        if name in OCEAN:
            return "Ocean"
        return _gymnasium().family(self._gymnasiums(name)) if _is_gymnasiums(name) else ""

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        return "max_episode_steps" if _is_gymnasiums(name) else None

    def claims(self, name: str, options: Mapping[str, Any]) -> Mapping[str, Claim]:
        if "env_creator" in options or is_qualified(f"pufferlib::{name}", name):
            return OF_ALL
        if name in OCEAN:
            drawn: Claim = name in DRAWS_NOTHING or has_own_generators() or SHARED
            same = NOT_REPRODUCIBLE.get(name, drawn)
            return {**OF_ALL, **dict.fromkeys(OF_EPISODES, same)}
        return _gymnasium().claims(self._gymnasiums(name), options)

    def replays(self, name: str, options: Mapping[str, Any]) -> Claim:
        if _is_gymnasiums(name) and "env_creator" not in options:
            return _gymnasium().replays(self._gymnasiums(name), options)
        return True if name in OCEAN and "env_creator" not in options else UNKNOWN

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        if "env_creator" in options:
            return None
        if name in OCEAN and not has_ocean():
            return Gap("upstream", NO_OCEAN)
        if name in BROKEN:
            return Gap("upstream", f"{BROKEN[name]} (pufferlib 3.0.0)")
        if name.rpartition("-v")[0] in TOY_TEXT:
            return Gap("upstream", f"{UNEMULATED} (pufferlib 3.0.0)")
        if name.startswith(("phys2d/", "tabular/")):
            return Gap("never", f"it is written in JAX: make gymnasium::{name}, which is native.")
        return _gymnasium().gap(name, options) if _is_gymnasiums(name) else None

    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        gap = self.gap(name, options)
        if gap:  # and do not try: one of them would not return
            raise UnavailableEnvError(f"pufferlib::{name} does not run here: {gap.reason}")
        return super().make(name, options)

    def adopt(
        self,
        obj: Any,
        construct: Callable[[], Any] | None,
        **options: Any,
    ) -> tuple[str, Environment] | None:
        if not (is_puffers(obj) or _is_parallel(obj)):
            return None
        self.load()
        name = type(obj).__name__
        return name, self.adopted(name, obj, construct, PufferInstance, options)

    def instances(self, name: str, options: Mapping[str, Any]) -> Callable[[], Instance]:
        self.load()
        if _is_gymnasiums(name) and "env_creator" not in options:
            return functools.partial(EmulatedInstance, _gymnasium().instances(name, options))
        creator = self._creator(name, options)
        given = {key: options[key] for key in options if key not in ("env_creator", "env_kwargs")}
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
                raise InvalidOptionError(
                    f"env_creator must be a function or class, got {creator!r}."
                )
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
            return _gymnasium().resolve(name)
        except UnknownEnvError as error:
            names = list(self.known_names())
            raise UnknownEnvError(
                f"pufferlib has no environment {name!r}.{did_you_mean(name, names)} There are "
                f"Ocean's names, Gymnasium's ids, 'module.path:Factory', and any name with "
                f"env_creator=. List {len(names)} with envhub.list_envs('pufferlib')."
            ) from error


def _gymnasium() -> HostSuite:
    """The suite that is emulated."""
    suite = registry.get("gymnasium")
    assert isinstance(suite, HostSuite)
    return suite


def _is_parallel(obj: Any) -> bool:
    """Whether it is a parallel environment of PettingZoo, which PufferLib emulates."""
    pettingzoo = sys.modules.get("pettingzoo")
    return pettingzoo is not None and isinstance(obj, pettingzoo.ParallelEnv)


def _is_gymnasiums(name: str) -> bool:
    return ":" not in name and "-v" in name


def has_ocean() -> bool:
    """Whether what is installed has Ocean; where nothing is, the newest known is meant."""
    found = importlib.util.find_spec("pufferlib")
    folders = (found and found.submodule_search_locations) or []
    return not found or any(Path(folder, "ocean").is_dir() for folder in folders)


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


SUITE = PufferlibSuite()
