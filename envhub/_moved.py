"""Keep moved public names in their old modules for one release, with a warning.

Each old module is in `sys.modules` from the start, so that importing it replaces no attribute. If
it were loaded from a file, `envhub.rollout` would become the module and hide the function.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
import warnings
from typing import Any

# The new module of each name, by old module.
MOVED = {
    "envhub.capabilities": {"Capabilities": "envhub", "FLAGS": "envhub.flags"},
    "envhub.fleet": {"make_multi": "envhub", "make_multi_vec": "envhub"},
    "envhub.probes": {
        "Finding": "envhub.testing.probes",
        "Subject": "envhub.testing.subject",
        "examine": "envhub.testing.probes",
    },
    "envhub.rollout": {"Trajectory": "envhub", "rollout": "envhub"},
    "envhub.second_process": {"SecondProcess": "envhub.testing.second_process"},
    "envhub.seeding": {"host_seed": "envhub"},
    "envhub.wrapper": {"Wrapper": "envhub"},
    "envhub.wrapping": {"wrap": "envhub"},
}


class _Moved(types.ModuleType):
    """An old module, whose names are in other modules now."""

    def __getattr__(self, name: str) -> Any:
        new = MOVED[self.__name__].get(name)
        if new is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        warnings.warn(
            f"{self.__name__}.{name} has moved: it is {new}.{name}.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(new), name)


def install() -> None:
    """Make the old modules importable."""
    package = vars(sys.modules["envhub"])
    for old in MOVED:
        module = sys.modules[old] = _Moved(old, f"What was {old} has moved.")
        module.__spec__ = importlib.machinery.ModuleSpec(old, None)  # `find_spec` needs it
        own = old.rpartition(".")[2]
        if own not in package["__all__"]:  # `envhub.rollout` is the function
            package.setdefault(own, module)
