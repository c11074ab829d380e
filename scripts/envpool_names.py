"""Writes `adapters/envpool/names.json`: what EnvPool calls its environments, by family and version.

    python scripts/envpool_names.py

adds what the installed EnvPool has to what the file knows of other versions. Each line of the file
is one environment under all of its names, the one that envhub uses first.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

PLACE = Path(__file__).parent.parent / "adapters" / "envpool" / "names.json"


def preferred(name: str) -> tuple[Any, ...]:
    """The order of the names of one environment: without a prefix, the newest, as it is spelt."""
    base, _, version = name.rpartition("-v")
    number = int(version) if re.fullmatch(r"\d+", version) else -1
    return "/" in name, -number, not base[:1].isupper(), name


def groups() -> dict[str, list[list[str]]]:
    """The names of each environment of the installed version, by family, alphabetically."""
    from envpool.registration import registry  # type: ignore[import-not-found,unused-ignore]

    alike: dict[tuple[str, ...], list[str]] = {}
    for name, (module, spec, keywords) in registry.specs.items():
        told = json.dumps(keywords, sort_keys=True, default=str)
        alike.setdefault((module.removeprefix("envpool."), spec, told), []).append(name)
    found: dict[str, list[list[str]]] = {}
    for (family, *_), names in alike.items():
        found.setdefault(family, []).append(sorted(names, key=preferred))
    return {family: sorted(found[family]) for family in sorted(found)}


def main() -> None:
    """Write the file anew."""
    version = importlib.metadata.version("envpool")
    known = {"families": {}, "absent": {}}
    if PLACE.exists():
        known = json.loads(PLACE.read_text(encoding="utf-8"))
    families = {
        family: [line.split() for line in lines] for family, lines in known["families"].items()
    }
    before = {name for lines in families.values() for line in lines for name in line}
    here = groups()
    for family, lines in here.items():
        there = families.setdefault(family, [])
        for line in lines:
            same = [other for other in there if set(other) & set(line)]
            names = sorted({*line, *(name for other in same for name in other)}, key=preferred)
            there[:] = sorted([*(other for other in there if other not in same), names])
    every = {name for lines in families.values() for line in lines for name in line}
    now = {name for lines in here.values() for line in lines for name in line}
    absent = {
        other: sorted({*names, *(every - before)}) for other, names in known["absent"].items()
    }
    absent[version] = sorted(every - now)
    text = {family: [" ".join(line) for line in families[family]] for family in sorted(families)}
    oldest_first = sorted(absent, key=lambda each: [int(part) for part in each.split(".")])
    written = {"families": text, "absent": {each: absent[each] for each in oldest_first}}
    PLACE.write_text(json.dumps(written, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
