"""setuptools as the build backend, and editable installs that type checkers see too.

`adapters/` is installed as `envhub.adapters`. Of packages that lie elsewhere than their names say,
setuptools (to 84.2) makes an editable install by an import hook, which mypy and pyright do not run.
So a path file names the folder of the checkout to them.
"""

import base64
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 (the other hooks of a backend)

ROOT = Path(__file__).resolve().parent.parent
PATH_FILE = "envhub_checkout.pth"


def build_editable(wheel_directory: str, *given: Any, **named: Any) -> str:
    """Build the wheel of an editable install (PEP 660), with the path file in it."""
    name: str = build_meta.build_editable(wheel_directory, *given, **named)
    wheel = Path(wheel_directory, name)
    with zipfile.ZipFile(wheel) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    (record,) = (each for each in files if each.endswith(".dist-info/RECORD"))
    content = f"{ROOT}\n".encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    files[PATH_FILE] = content
    files[record] += f"{PATH_FILE},sha256={digest},{len(content)}\n".encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, data in files.items():
            archive.writestr(each, data)
    return name
