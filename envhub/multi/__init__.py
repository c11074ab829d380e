"""Fleets: different environments driven together, by name (`MultiEnv`, `make_multi`)."""

import warnings
from typing import Any

from envhub.multi._environment import CompileSeconds, MultiEnv, MultiStepResult
from envhub.multi._make import make_multi, make_multi_vec
from envhub.multi._members import SpaceFacts

__all__ = [
    "CompileSeconds",
    "MultiEnv",
    "MultiStepResult",
    "SpaceFacts",
    "make_multi",
    "make_multi_vec",
]


def __getattr__(name: str) -> Any:
    if name != "Facts":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = "envhub.multi.Facts has another name: it is envhub.multi.SpaceFacts."
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return SpaceFacts


def __dir__() -> list[str]:
    return sorted(__all__)
