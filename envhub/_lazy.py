"""Public names that a package imports when they are first used, as PEP 562 has it.

Workers import the modules of instances, and with them the packages around these. JAX would cost
each of them a second and 150 MB.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package, which imports its submodules by name, too.

    Args:
        package: the name of the package.
        names: public names, separated by spaces, by the module that defines them.
    """
    module_of = {name: module for module, listed in names.items() for name in listed.split()}

    def __getattr__(name: str) -> Any:  # noqa: N807 (it becomes the package's)
        if name in module_of:
            value = getattr(importlib.import_module(module_of[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        own = f"{package}.{name}"
        is_module = name.isidentifier() and not name.startswith("__")
        if not is_module or importlib.util.find_spec(own) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        return importlib.import_module(own)

    return __getattr__
