"""Compare the installed versions with the newest versions in the matrix."""

from __future__ import annotations

from envhub import _versions
from envhub.matrix.results import Results


def newest(results: Results) -> dict[str, str]:
    """Return the newest version of each package in any row."""
    found: dict[str, str] = {}
    for run in {id(row.run): row.run for row in results.rows if row.run}.values():
        for name, version in run.versions.items():
            if name not in found or _versions.is_newer(version, found[name]):
                found[name] = version
    return found


def newer_than_tested(results: Results) -> dict[str, tuple[str, str]]:
    """Return packages that are installed in a newer version than any row has.

    Returns:
        The version here and the newest tested version, by package that a suite depends on.
    """
    return {
        name: (installed, tested)
        for name, tested in sorted(newest(results).items())
        if (installed := _versions.installed_version(name))
        and _versions.is_newer(installed, tested)
    }
