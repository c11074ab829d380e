"""Keywords of `make` that are kept, and never shown: not by a spec, a report or an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SECRET_KEYWORDS = ("snapshot_key",)


class Secret(bytes):
    """Bytes that do not show what they are."""

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


def hide_secrets(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The same keywords; those that are secret show nothing."""
    return {
        name: Secret(value) if name in SECRET_KEYWORDS and isinstance(value, bytes) else value
        for name, value in kwargs.items()
    }
