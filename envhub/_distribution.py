"""What this project is called on the package index; `envhub` there is somebody else's.

Nothing of envhub is imported here: `_envhub_rl.py` runs this file when the package is overwritten.
"""

import os
import warnings

NAME = "envhub-rl"
# EnvHub 1.4, an SDK, installs a package `envhub` of two files, of which this one is not ours too.
_STRANGERS_FILE = "api.py"


def install_command(extra: str) -> str:
    """The command that installs this project with one of its extras."""
    return f'pip install "{NAME}[{extra}]"'


def stranger(folder: str = os.path.dirname(__file__)) -> str:
    """What to do if the files of the index's distribution `envhub` are in a folder; empty if not.

    Args:
        folder: of a package `envhub`; by default of this one.
    """
    if not os.path.exists(os.path.join(folder, _STRANGERS_FILE)):
        return ""
    return (
        f"the distribution 'envhub', which is another project's and has a package 'envhub' too, "
        f"has written files to {folder}. Run: pip uninstall envhub. That removes files of {NAME} "
        f"too, so install {NAME} again, with --force-reinstall --no-deps."
    )


def warn_of_stranger() -> None:
    """Warn if the stranger's files lie beside ours; overwritten, we would not be running."""
    if notice := stranger():
        warnings.warn(notice, stacklevel=3)
