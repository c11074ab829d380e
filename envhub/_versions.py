"""Find the installed version of a package, and whether a range admits it."""

import functools
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path


def installed_version(distribution: str) -> str | None:
    """Return the installed version of a distribution; `None` if it is absent."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def admits(supported: str, version: str) -> bool:
    """Tell whether a range such as `">=0.0.9,<2"` admits a version.

    Args:
        supported: a specifier as pip reads it. A pre-release counts as older than its release, so
            `">=1.0"` does not admit `"1.0rc1"`, and `">=0.9"` does.
        version: any version. No range admits a version that does not follow PEP 440.

    Raises:
        packaging.specifiers.InvalidSpecifier: if the range is not a specifier.
    """
    # The import is here, because importing envhub needs only jax and numpy.
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(supported).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def closest(known: Sequence[str], version: str | None) -> str:
    """Return the version whose facts hold for another one.

    Args:
        known: the versions of which there are facts, the oldest first.
        version: the other one; `None` for the newest that is known.

    Returns:
        The newest of `known` that is not newer than `version`; the oldest if all of them are.
    """
    there = [each for each in known if version is None or admits(f">={each}", version)]
    return (there or [known[0]])[-1]


def is_newer(version: str, other: str) -> bool:
    """Tell whether a version is newer than another; one that does not follow PEP 440 is not."""
    return admits(f">={other}", version) and not admits(f"=={other}", version)


def met(requirement: str) -> str | None:
    """Return the installed distribution that meets a requirement such as `"mujoco>=4"`.

    Returns:
        The distribution and its version, such as `"mujoco 4.0.0"`; `None` if it is absent or has
        another version.
    """
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    found = installed_version(wanted.name)
    return f"{wanted.name} {found}" if found and admits(str(wanted.specifier), found) else None


def unmet(distribution: str, prefix: str) -> list[str]:
    """Return the requirements of a distribution that no installed distribution meets.

    Args:
        distribution: the name of an installed distribution.
        prefix: what the names of the requirements begin with; others do not count.
    """
    requirements = importlib.metadata.requires(distribution) or ()
    return [each for each in requirements if each.startswith(prefix) and not met(each)]


@functools.cache  # an imported package does not change, and reading the files takes milliseconds
def overwriter(distribution: str, package: str) -> str | None:
    """Return the other installed distribution that overwrote files of this distribution.

    pip allows it: stable-gymnax 0.0.8 has a package `gymnax` too. After that, the metadata of
    gymnax show a version that is no longer there.

    Args:
        distribution: the name of an installed distribution.
        package: the import name of its package.

    Returns:
        The name and version of the other one; `None` if the files were not changed.
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
    """Return the sizes that the modules of a package had when it was installed."""
    return {
        str(file): file.size
        for file in distribution.files or ()
        if file.parts[0] == package and file.suffix == ".py" and file.size is not None
    }


def is_inside(module: str, package: str) -> bool:
    """Tell whether a module is the package or a module in it."""
    return f"{module}.".startswith(f"{package}.")


def _has_installed(distribution: importlib.metadata.Distribution, top: str) -> bool:
    """Tell whether a distribution installed the package that is imported under a name.

    The wheel of pgx 2.6.0 installs a package `tests` beside its own. An editable install lists no
    files of its package.
    """
    imported = getattr(sys.modules.get(top), "__file__", None)
    own = [file for file in distribution.files or () if file.parts[0].removesuffix(".py") == top]
    if imported is None or not own:
        return True
    return Path(imported).resolve() in {
        Path(str(distribution.locate_file(file))).resolve() for file in own
    }


@functools.cache
def package_of(module: str) -> tuple[str, str]:
    """Return the distribution of a module, and its version.

    For a package that is not installed, return its name and its `__version__`, which may be empty.
    """
    top = module.partition(".")[0]
    for name in importlib.metadata.packages_distributions().get(top, ()):
        distribution = importlib.metadata.distribution(name)
        if _has_installed(distribution, top):
            return name, distribution.version
    return top, str(getattr(sys.modules.get(top), "__version__", ""))
