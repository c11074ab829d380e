"""Writes `envhub/catalogue.json`: what is seen and done in each environment, made here and now.

`python -m tests.catalogue` describes what is installed, and keeps what the file knows of the rest.
`python -m tests.catalogue gymnax` does so for one suite.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import envhub
from envhub import _catalogue, registry
from envhub.errors import EnvHubError


def described(suite: str) -> dict[str, Any]:
    """The entries of one suite, by name; what cannot be made here has none."""
    found = {}
    for name in sorted(registry.get(suite).known_names()):
        try:
            env, params = envhub.make(f"{suite}::{name}")
        except EnvHubError as error:
            print(f"{suite}::{name}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        found[name] = _catalogue.describe(env, params)
        if hasattr(env, "close"):
            env.close()
        print(f"{suite}::{name} {found[name]}", file=sys.stderr, flush=True)
    return found


def main(suites: list[str]) -> None:
    """Write the file anew for these suites."""
    known = (
        json.loads(_catalogue.PLACE.read_text(encoding="utf-8"))
        if _catalogue.PLACE.exists()
        else {}
    )
    for suite in suites:
        entries = {**known.get(suite, {}).get("environments", {}), **described(suite)}
        version = registry.get(suite).installed()
        known[suite] = {"version": version, "environments": dict(sorted(entries.items()))}
        _catalogue.PLACE.write_text(_catalogue.dump(known), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1:] or sorted(registry.BUILTIN))
