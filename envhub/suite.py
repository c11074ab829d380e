"""The base class of adapters: a `Suite` describes one suite."""

from __future__ import annotations

import abc
import dataclasses
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from envhub import _distribution, _versions
from envhub._foreign import blaming, quiet
from envhub.errors import (
    MissingDependencyError,
    UnknownEnvError,
    UnsupportedVersionError,
    did_you_mean,
)
from envhub.flags import Capabilities

if TYPE_CHECKING:
    from envhub.environment import Environment

ANY_KEYWORD = "**kwargs"


@dataclasses.dataclass(frozen=True)
class Gap:
    """Something that does not work, with its kind and its reason.

    Attributes:
        kind: `"notimpl"` (not implemented here yet), `"upstream"` (a defect of the suite),
            `"needs_network"` (something must be fetched first; the reason has the command, and
            `make` refuses as long as the suite declares it) or `"never"`.
        reason: what fails, on which versions, and what to do instead.

    Examples:
        >>> Gap("upstream", "its model file is not in the wheel.").kind
        'upstream'
    """

    kind: Literal["notimpl", "upstream", "needs_network", "never"]
    reason: str


class Suite(abc.ABC):
    """The facts of one suite, and how to make its environments.

    An adapter subclasses this, and exposes an instance as `SUITE`. Nothing but `live_names`,
    `options`, `make` and `adopt` may import the suite.

    Attributes:
        name: the suite's name everywhere: id prefix, adapter module, pip extra, test marker.
        title: one line that says what the suite is.
        module: the import name of the suite's package.
        distribution: the package on the index, as pip knows it.
        supported: the versions that the adapter knows, such as `">=0.0.9,<2"`.
        example: the name of one typical environment that is quick to compile.
        limit_counts: how many units of the suite's episode limit one step counts for.
        finds_out: whether some capabilities are known only once an environment is made; the
            environment then states them itself.
        interface: the objects that `adopt` takes, in a few words; empty if it takes none.
        also_takes: the import names of other packages whose environments `adopt` takes.
        misfits: pairs of requirements, such as `"mujoco>=4"`, that are known not to work together,
            each with what fails; `envhub doctor` shows them.
        instead: keywords of the suite's own that `make` does not take, each with what to give
            instead, for errors.
        enabling: sets of keywords of `make`, such as `{"forkable": True}`. Each set by itself gives
            some environments a capability that they lack by default.
        references: links to the suite's issues or source about the defects behind gaps of the kind
            `upstream`, by name; `"*"` stands for all other names.
        data: what the names of the packages begin with, as pip knows them, that hold the suite's
            files and without which it ends the process; empty if there are none. The suite's
            package requires these packages itself, and `load` refuses it without them.
        relies_on: other packages, as pip knows them, whose versions decide what the environments
            do. The matrix runs a suite again when one of them changes; it always counts the suite,
            JAX and NumPy.

    Examples:
        >>> from envhub import registry
        >>> suite = registry.get("gymnax")
        >>> isinstance(suite, Suite), suite.distribution, suite.limit("CartPole-v1", {})
        (True, 'gymnax', 'max_steps_in_episode')
    """

    name: ClassVar[str]
    title: ClassVar[str]
    module: ClassVar[str]
    distribution: ClassVar[str]
    supported: ClassVar[str]
    example: ClassVar[str]
    limit_counts: ClassVar[int] = 1
    finds_out: ClassVar[bool] = False
    interface: ClassVar[str] = ""
    also_takes: ClassVar[tuple[str, ...]] = ()
    misfits: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    instead: ClassVar[Mapping[str, str]] = MappingProxyType({})
    enabling: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    references: ClassVar[tuple[tuple[str, str], ...]] = ()
    data: ClassVar[str] = ""
    relies_on: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def known_names(self) -> Iterable[str]:
        """Return the names in the installed version, from facts; if absent, in the newest."""

    def live_names(self) -> Iterable[str]:
        """Return the names that the suite itself lists now; by default the known names."""
        return self.known_names()

    @abc.abstractmethod
    def capabilities(self, name: str, options: Mapping[str, Any]) -> Capabilities:
        """Return the capabilities under these options, without importing the suite."""

    @abc.abstractmethod
    def options(self, name: str) -> Iterable[str]:
        """Return the keywords that the suite's constructor of this environment accepts.

        `ANY_KEYWORD` in the result means that the constructor takes any keyword.
        """

    @abc.abstractmethod
    def make(self, name: str, options: Mapping[str, Any]) -> Environment:
        """Construct the environment; the only place that builds anything of the suite."""

    def adopt(
        self, obj: Any, construct: Callable[[], Any] | None
    ) -> tuple[str, Environment] | None:
        """Adopt an environment of the suite's interface that was made elsewhere; `wrap` calls this.

        `wrap` calls it only if the suite's package, or one of `also_takes`, is already imported.

        Args:
            obj: any object.
            construct: a function that makes objects like `obj`; `None` if there is none.

        Returns:
            The suite's name for it, and the environment; `None` if `obj` has another interface.

        Raises:
            InvalidOptionError: if `obj` has the suite's interface but cannot be adopted.
        """
        return None

    def maker(self, obj: Any) -> Callable[[], Any] | None:
        """Return a function that makes objects like this one; `adopt` makes instances with it.

        If the object knows how it was made, the function can be pickled.
        """
        return None

    def gap(self, name: str, options: Mapping[str, Any]) -> Gap | None:
        """Return the known reason why this environment does not run, if there is one."""
        return None

    def reference(self, name: str) -> str:
        """Return the link in `references` for a name; empty if there is none."""
        links = dict(self.references)
        return links.get(name) or links.get("*", "")

    def family(self, name: str) -> str:
        """Return the family, such as `"classic control"`; empty if it is not known."""
        return ""

    def families(self) -> Mapping[str, str]:
        """Map names to the family of environments that share their implementation.

        A game of ALE and another one run in the same emulator. The matrix examines the sample of a
        family whole. Of every other member it examines whether it is made, reset and stepped, and
        the claims in which the members differ. By default no environment has a family.
        """
        return {}

    def needs(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Map flags that are false by default to the keywords of `make` that make them true."""
        default, found = self.capabilities(name, {}).as_dict(), dict[str, Mapping[str, Any]]()
        for options in self.enabling:
            given = self.capabilities(name, options).as_dict()
            if not all(given.get(option, True) for option in options):
                continue  # `forkable=True` of what cannot be forked is refused
            for flag in given:
                if given[flag] and not default[flag] and (flag in options or flag not in found):
                    found[flag] = options
        return found

    def variants(self, name: str) -> Iterable[Mapping[str, Any]]:
        """Return sets of options that each make a distinct environment; the default comes first."""
        return [{}]

    def limit(self, name: str, options: Mapping[str, Any]) -> str | None:
        """Return the keyword of `make` that limits an episode; it may be a field of the params."""
        return None

    def without_limit(self, name: str, obs: Any) -> Any:
        """Return the part of an observation that does not depend on the episode limit.

        By default this is the whole observation. If an environment deliberately shows how much time
        is left, return the other parts: the checks of `envhub.testing` compare only these between
        an episode with a short limit and an episode without a limit.
        """
        return obs

    @property
    def install_command(self) -> str:
        """Return the command that installs a supported version of the suite."""
        is_shipped = type(self).__module__.startswith("envhub.adapters.")
        if is_shipped:
            return _distribution.install_command(self.name)
        return f'pip install "{self.distribution}{self.supported}"'

    def installed(self) -> str | None:
        """Return the installed version, without importing the suite; `None` if it is absent."""
        return _versions.installed_version(self.distribution)

    def provider(self) -> str:
        """Return the distribution that provides the suite here; some suites have several."""
        return self.distribution

    def origin(self, name: str, unwrapped: Any) -> tuple[str, str]:
        """Return the distribution that an environment comes from, and its version.

        This is the suite's own distribution, unless another package registered the name.

        Args:
            name: the name of the environment.
            unwrapped: the suite's own object.
        """
        module = type(getattr(unwrapped, "unwrapped", unwrapped)).__module__
        if name in self.known_names() or _versions.is_inside(module, self.module):
            return self.provider(), self.require_installed()
        return _versions.package_of(module)

    def at_least(self, version: str) -> bool:
        """Tell whether the installed version is at least this; an absent suite counts as newest."""
        found = self.installed()
        return found is None or _versions.admits(f">={version}", found)

    def require_installed(self) -> str:
        """Refuse an absent or unsupported package.

        Returns:
            The installed version.

        Raises:
            MissingDependencyError: if the package is absent.
            UnsupportedVersionError: if its version lies outside `supported`.
        """
        found = self.installed()
        if found is None:
            raise MissingDependencyError(
                f"the suite {self.name!r} needs the package {self.distribution!r}, which is not "
                f"installed. Run: {self.install_command}"
            )
        with blaming(f"reading {self.supported!r}, the range of {self.name},"):
            is_supported = _versions.admits(self.supported, found)
        if not is_supported:
            raise UnsupportedVersionError(
                f"{self.distribution} {found} is installed; envhub supports "
                f"{self.distribution}{self.supported}. Run: {self.install_command}"
            )
        return found

    def require_own_files(self) -> None:
        """Refuse a package whose files another distribution has overwritten, or are not there.

        Raises:
            UnsupportedVersionError: if another distribution has overwritten files; the message
                names it.
            MissingDependencyError: if a package of the suite's `data` is absent, or has a version
                that does not fit.
        """
        culprit = _versions.overwriter(self.provider(), self.module)
        if culprit:
            raise UnsupportedVersionError(
                f"{self.provider()} {self.installed()} is installed, and {culprit} has overwritten "
                f"files of its package {self.module!r}. Uninstall both, then run: "
                f"{self.install_command}"
            )
        absent = _versions.unmet(self.provider(), self.data) if self.data else []
        if absent:
            raise MissingDependencyError(
                f"{self.provider()} {self.installed()} is installed without {', '.join(absent)}, "
                f"and ends the process where it finds no files. Run: {self.install_command}"
            )

    def load(self, submodule: str = "") -> ModuleType:
        """Import the suite's package or one of its modules, and silence its output.

        Args:
            submodule: a dotted path below `module`.

        Raises:
            MissingDependencyError: if the package or its `data` is absent, or if importing it
                fails; then the original error is chained. If another package is absent, the message
                has the command that installs it.
            UnsupportedVersionError: if another distribution has overwritten the package's files.
        """
        version = self.require_installed()
        self.require_own_files()
        path = f"{self.module}.{submodule}" if submodule else self.module
        misfit = (
            "It may not fit the versions of its own dependencies. "
            f"Run: {self.install_command} --upgrade"
        )
        importing = f"{self.distribution} {version} is installed, but importing {path!r}"
        with blaming(importing, misfit), quiet():
            return importlib.import_module(path)

    def resolve(self, name: str) -> str:
        """Check a name. Known names are checked against facts, which imports nothing.

        Raises:
            UnknownEnvError: if there is no such name; the message has the nearest names.
        """
        if name in self.known_names():
            return name
        with blaming(f"the list of the names of {self.name}"):
            names = list(self.live_names() if self.installed() else self.known_names())
        if name in names:
            return name
        raise UnknownEnvError(
            f"{self.name} has no environment {name!r}.{did_you_mean(name, names)} "
            f"List all {len(names)} with envhub.list_envs({self.name!r})."
        )


def is_qualified(env_id: str, name: str) -> bool:
    """Tell whether a name has the form `module.path:Name`; `make` imports the module of such names.

    Raises:
        UnknownEnvError: if the name has a colon but not this form.
    """
    module, separator, own = name.rpartition(":")
    if separator and not (own.strip() and all(map(str.isidentifier, module.split(".")))):
        raise UnknownEnvError(
            f"there is no environment {env_id!r}. A name with a colon must consist of a module and "
            "a name: 'module.path:Name'."
        )
    return bool(separator)


def import_named(env_id: str, module: str) -> ModuleType:
    """Import the module that an id names. This runs the module's code.

    Raises:
        MissingDependencyError: if there is no such module, or if it raises; then the original error
            is chained.
    """
    with blaming(f"{env_id} needs the module {module!r}, and importing it"), quiet():
        return importlib.import_module(module)


def takes_any_keyword(constructor: Callable[..., Any]) -> bool:
    """Tell whether this callable accepts keywords that it does not name."""
    parameters = inspect.signature(constructor).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def is_accepted(keyword: str, options: Collection[str]) -> bool:
    """Tell whether a keyword is one of a suite's `options`."""
    return keyword in options or ANY_KEYWORD in options


def in_x64_mode() -> bool:
    """Tell whether JAX's x64 mode is on; several suites fail in this mode."""
    import jax

    return jax.dtypes.canonicalize_dtype(np.float64) == np.float64


def keywords(*constructors: Callable[..., Any]) -> list[str]:
    """Return the keywords that any of these callables accepts by name, without `self`."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return sorted(
        {
            parameter.name
            for constructor in constructors
            for parameter in inspect.signature(constructor).parameters.values()
            if parameter.kind in named and parameter.name != "self"
        }
    )
