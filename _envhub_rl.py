"""Where the command `envhub` starts: outside the package, which others can overwrite."""

import importlib.util
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the command line; if a stranger's package is in its place, say so instead."""
    try:
        from envhub.cli import app
    except ImportError:
        package = importlib.util.find_spec("envhub")
        ours = Path(__file__).with_name("envhub") / "_distribution.py"
        stranger = runpy.run_path(str(ours))["stranger"]
        if package and package.origin and (notice := stranger(os.path.dirname(package.origin))):
            sys.exit(f"Error: {notice}")
        raise
    app()
