"""Find the package that a failed import lacked, and the command that installs it."""

import importlib.util
from collections.abc import Mapping
from typing import Any

# The distributions whose names differ from the names of their packages, by package.
_DISTRIBUTIONS = {
    "Box2D": "box2d",
    "OpenGL": "pyopengl",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
}


def remedy(error: BaseException, options: Mapping[str, Any]) -> str:
    """Return which package is absent, and the command that installs it.

    Args:
        error: the exception of an import, or one that has it as a cause.
        options: what the caller gave; a package that only they name may be misspelt.

    Returns:
        Two sentences; empty unless the cause is the import of a package that is absent.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package = cause.name.partition(".")[0]
            if importlib.util.find_spec(package) is None and package not in repr(options):
                distribution = _DISTRIBUTIONS.get(package, package)
                return f"It imports {package!r}, which is absent. Run: pip install {distribution}"
        cause = cause.__cause__
    return ""
