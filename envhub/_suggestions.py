"""Suggest ids of all suites for a name that is not an id."""

from __future__ import annotations

import contextlib
import difflib
import re

from envhub import registry

SHORTEST = 4
"""The least letters of a known name with which a given name may begin: `PongNoFrameskip`."""


def nearest_ids(name: str, how_many: int = 4) -> list[str]:
    """Return the full ids whose names are similar, the best first; this imports no suite."""
    ranked = []
    for suite in registry.suites():
        with contextlib.suppress(Exception):  # a broken suite has nothing to suggest
            for known in registry.get(suite).known_names():
                rank = _rank(name, known)
                if rank is not None:
                    ranked.append((rank, f"{suite}::{known}"))
    return [env_id for _, env_id in sorted(ranked)[:how_many]]


def _rank(name: str, known: str) -> float | None:
    """Return the distance of two names; `None` if they are not similar."""
    if known == name:
        return 0
    word, other = _letters(name), _letters(known)
    if word == other:
        return 1
    if len(other) >= SHORTEST and word.startswith(other):
        return 2
    ratio = difflib.SequenceMatcher(None, word, other).ratio()
    return 3 - ratio if ratio > 0.75 else None


def _letters(name: str) -> str:
    """Return the letters and digits of a name in lower case, without namespace and version."""
    own = name.rpartition("/")[2].rpartition(":")[2]
    return re.sub(r"[\W_]", "", re.sub(r"-v\d+$", "", own)).lower()
