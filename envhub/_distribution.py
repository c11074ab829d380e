"""The name of this project on the package index, where `envhub` is another project.

This module imports nothing of envhub, because `_envhub_rl.py` runs it when the package is
overwritten.
"""

import os
import warnings

NAME = "envhub-rl"
# EnvHub 1.4, an SDK, installs a package `envhub` of two files. This project has no file `api.py`.
_STRANGERS_FILE = "api.py"


def install_command(extra: str) -> str:
    """Return the command that installs this project with one of its extras."""
    # pip before 23.3 finds no extra that is written with an underscore.
    return f'pip install "{NAME}[{extra.replace("_", "-")}]"'


def stranger(folder: str = os.path.dirname(__file__)) -> str:
    """Return what to do if the distribution `envhub` has written files to a folder; else empty.

    Args:
        folder: the folder of a package `envhub`; by default the folder of this one.
    """
    if not os.path.exists(os.path.join(folder, _STRANGERS_FILE)):
        return ""
    return (
        f"the distribution 'envhub', which is another project's and has a package 'envhub' too, "
        f"has written files to {folder}. Run: pip uninstall envhub. That removes files of {NAME} "
        f"too, so install {NAME} again, with --force-reinstall --no-deps."
    )


def warn_of_stranger() -> None:
    """Warn if the files of the other project are in this package.

    If they have overwritten `__init__.py`, this code does not run; see `_envhub_rl.py`.
    """
    if notice := stranger():
        warnings.warn(notice, stacklevel=3)
