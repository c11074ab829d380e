"""Which version of a package is installed, and whether a range admits it."""

import functools
import importlib.metadata


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
