"""Keywords of `make` whose values no spec, report or error shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SECRET_KEYWORDS = ("snapshot_key",)


class Secret(bytes):
    """Bytes whose text does not show them."""

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


def hide_secrets(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords with hidden values for those that are secret."""
    return {
        name: Secret(value) if name in SECRET_KEYWORDS and isinstance(value, bytes) else value
        for name, value in kwargs.items()
    }
