"""How far the matrix has got: what is installed, against the newest version that it ran on."""

from __future__ import annotations

from envhub import _versions
from envhub.matrix.results import Results


def newest(results: Results) -> dict[str, str]:
    """The newest version of each package that any row was found on."""
    found: dict[str, str] = {}
    for run in {id(row.run): row.run for row in results.rows if row.run}.values():
        for name, version in run.versions.items():
            if name not in found or _versions.is_newer(version, found[name]):
                found[name] = version
    return found


def newer_than_tested(results: Results) -> dict[str, tuple[str, str]]:
    """Packages that are installed in a version newer than any that a row was found on.

    Returns:
        From a package that decides what a suite does, to its version here and the newest tested.
    """
    return {
        name: (installed, tested)
        for name, tested in sorted(newest(results).items())
        if (installed := _versions.installed_version(name))
        and _versions.is_newer(installed, tested)
    }
