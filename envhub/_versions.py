"""Which version of a package is installed, and whether a range admits it.

`packaging` would do the same; importing envhub needs jax and numpy only.
"""

import importlib.metadata
import importlib.util
import operator
import re

_COMPARE = {">=": operator.ge, "<": operator.lt, "==": operator.eq, "!=": operator.ne}


def installed_version(distribution: str) -> str | None:
    """The installed version of a distribution, or `None` if it is absent."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def release(version: str) -> tuple[int, ...]:
    """The release part of a version: `"1.0.1rc2"` gives `(1, 0, 1)`."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match.group().split("."))) if match else (0,)


def admits(supported: str, version: str) -> bool:
    """Whether a range such as `">=0.0.9,<2"` admits a version.

    Args:
        supported: clauses of `>=`, `<`, `==` or `!=`, separated by commas.
        version: any version; pre-release parts are ignored.
    """
    return all(_clause(clause.strip(), release(version)) for clause in supported.split(","))


def _clause(clause: str, version: tuple[int, ...]) -> bool:
    sign = clause[: 2 if clause[1] == "=" else 1]
    bound = release(clause[len(sign) :])
    width = max(len(bound), len(version))

    def pad(parts: tuple[int, ...]) -> tuple[int, ...]:
        return parts + (0,) * (width - len(parts))

    return bool(_COMPARE[sign](pad(version), pad(bound)))
