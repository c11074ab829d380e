"""What an import lacked, and the command that installs it."""

import importlib.util

# Distributions that are called otherwise than what they are imported as.
_DISTRIBUTIONS = {
    "Box2D": "box2d",
    "OpenGL": "pyopengl",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
}


def remedy(error: BaseException) -> str:
    """Which package is absent, and the command that installs it.

    Args:
        error: what an import raised, or what was raised from that.

    Returns:
        Two sentences; empty if the error is no import of a package that is absent altogether.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package = cause.name.partition(".")[0]
            if importlib.util.find_spec(package) is None:
                distribution = _DISTRIBUTIONS.get(package, package)
                return f"It imports {package!r}, which is absent. Run: pip install {distribution}"
        cause = cause.__cause__
    return ""
