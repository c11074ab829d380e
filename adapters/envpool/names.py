"""What EnvPool calls its environments, from `names.json`, which `scripts/envpool_names.py` writes.

Many environments have several names: `MyoSuite/…` beside the name without a folder, or an older
version that is made with the same keywords.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envhub import _versions


@functools.cache
def canonical(version: str | None) -> Mapping[str, str]:
    """Map every name of a version of EnvPool to the name that envhub uses first.

    Args:
        version: the installed one; `None` for the newest known.
    """
    data = _data()
    absent = set(data["absent"][_versions.closest([*data["absent"]], version)])  # the oldest first
    found: dict[str, str] = {}
    for lines in data["families"].values():
        for line in lines:
            names = [name for name in line.split() if name not in absent]
            found |= dict.fromkeys(names, next(iter(names), ""))
    return found


@functools.cache
def _families() -> Mapping[str, str]:
    families = _data()["families"]
    return {
        name: family
        for family, lines in families.items()
        for line in lines
        for name in line.split()
    }


def family_of(name: str) -> str:
    """The module of `envpool` that has an environment, such as `mujoco.gym`; empty if unknown."""
    return _families().get(name, "")


@functools.cache
def _data() -> dict[str, Any]:
    text = Path(__file__).with_name("names.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data
