"""Writes `adapters/plugins/SUITE.json`: the names of a package's environments, by family.

    python scripts/plugin_names.py minigrid

adds what the installed version has to what the file knows of other versions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from envhub.adapters.gymnasium import SUITE as GYMNASIUM
from packaging.version import Version

from envhub import registry

FOLDER = Path(__file__).parent.parent / "adapters" / "plugins"


def main(name: str) -> None:
    """Write the file of a suite anew."""
    suite: Any = registry.get(name)
    version, place = suite.require_installed(), FOLDER / f"{name}.json"
    known: dict[str, Any] = {"families": {}, "absent": {}}
    if place.exists():
        known = json.loads(place.read_text(encoding="utf-8"))
    families = {family: set(names.split()) for family, names in known["families"].items()}
    before = set().union(*families.values())
    here = set(suite.live_names())
    live = GYMNASIUM.load("envs.registration").registry
    for each in sorted(here):
        family = suite.family_of(each, live[each].entry_point)
        families.setdefault(family, set()).add(each)
    absent = {other: sorted({*names, *(here - before)}) for other, names in known["absent"].items()}
    absent[version] = sorted(before - here)
    written = {
        "families": {family: " ".join(sorted(families[family])) for family in sorted(families)},
        "absent": {each: absent[each] for each in sorted(absent, key=Version)},
    }
    place.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(argument)
