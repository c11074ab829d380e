"""What needs a package that is not installed everywhere."""

import importlib
import importlib.util
from types import ModuleType

import pytest


def needed(module: str) -> ModuleType:
    """Import a module, or skip the test, or the file of tests, where its package is not installed.

    One that is installed and cannot be imported is a failure: `pytest.importorskip` skips it too,
    if what is missing is one of its dependencies.
    """
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(reason=f"{package} is not installed", allow_module_level=True)
    return importlib.import_module(module)
