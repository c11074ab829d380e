"""Which version of a package is installed, and whether a range admits it."""

import functools
import importlib.metadata
import sys
from pathlib import Path


def installed_version(distribution: str) -> str | None:
    """The installed version of a distribution, or `None` if it is absent."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def admits(supported: str, version: str) -> bool:
    """Whether a range such as `">=0.0.9,<2"` admits a version.

    Args:
        supported: a specifier as pip reads it. A pre-release counts as older than its release, so
            `">=1.0"` does not admit `"1.0rc1"`, and `">=0.9"` does.
        version: any version. One that is not written as PEP 440 demands is admitted by no range.

    Raises:
        packaging.specifiers.InvalidSpecifier: if the range is none.
    """
    # Here, because importing envhub needs jax and numpy only.
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(supported).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def is_newer(version: str, other: str) -> bool:
    """Whether a version is newer than another; one that PEP 440 does not know is not."""
    return admits(f">={other}", version) and not admits(f"=={other}", version)


def met(requirement: str) -> str | None:
    """What of a requirement such as `"mujoco>=4"` is installed.

    Returns:
        The distribution and its version, such as `"mujoco 4.0.0"`; `None` if it is absent, or of
        another version.
    """
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    found = installed_version(wanted.name)
    return f"{wanted.name} {found}" if found and admits(str(wanted.specifier), found) else None


@functools.cache  # a package that is imported does not change, and reading takes milliseconds
def overwriter(distribution: str, package: str) -> str | None:
    """The other installed distribution that wrote its files over those of this one.

    pip lets it: stable-gymnax 0.0.8 puts a package `gymnax` where gymnax has its own, and the
    metadata go on to tell of a version that is no longer there.

    Args:
        distribution: an installed one.
        package: the import name of its package.

    Returns:
        Its name and version; `None` if the files are those that were installed.
    """
    try:
        own = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    changed = {path for path, size in _sizes(own, package).items() if _size_now(own, path) != size}
    for other in importlib.metadata.distributions() if changed else ():
        name = other.metadata["Name"]
        if name != distribution and changed & set(_sizes(other, package)):
            return f"{name} {other.version}"
    return None


def _size_now(distribution: importlib.metadata.Distribution, path: str) -> int:
    file = Path(str(distribution.locate_file(path)))
    return file.stat().st_size if file.is_file() else -1


def _sizes(distribution: importlib.metadata.Distribution, package: str) -> dict[str, int]:
    """The sizes of the modules of a package, as they were when it was installed."""
    return {
        str(file): file.size
        for file in distribution.files or ()
        if file.parts[0] == package and file.suffix == ".py" and file.size is not None
    }


def is_inside(module: str, package: str) -> bool:
    """Whether a module is a package, or in it."""
    return f"{module}.".startswith(f"{package}.")


@functools.cache
def package_of(module: str) -> tuple[str, str]:
    """The distribution that a module is of, and its version.

    Of what nobody has installed it is the name of the module's own package, and the version that it
    says, if it says one.
    """
    top = module.partition(".")[0]
    found = importlib.metadata.packages_distributions().get(top)
    if found:
        return found[0], importlib.metadata.version(found[0])
    return top, str(getattr(sys.modules.get(top), "__version__", ""))
