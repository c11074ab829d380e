"""setuptools as the build backend, with two additions.

Type checkers see editable installs. `adapters/` is installed as `envhub.adapters`, and setuptools
(to 84.2) makes an editable install of such a package by an import hook, which mypy and pyright do
not run. So a path file tells them the folder of the checkout.

The README renders on the package index, where a relative link leads nowhere.
"""

import base64
import hashlib
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 (the other hooks of a backend)

ROOT = Path(__file__).resolve().parent.parent
PATH_FILE = "envhub_checkout.pth"
RELATIVE_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https://|#)([^)]+)\)")


def readme_for_the_index(text: str, source: str | None) -> str:
    """The README with absolute links.

    Args:
        text: the README, in Markdown.
        source: the address of the repository. Without one, pictures are left out, and a link
            becomes its text and the name of the file.
    """

    def absolute(link: re.Match[str]) -> str:
        mark, label, path = link.groups()
        if source:
            return f"{mark}[{label}]({source}/{'raw' if mark else 'blob'}/HEAD/{path})"
        return "" if mark else f"{label} (`{path}`)"

    return RELATIVE_LINK.sub(absolute, text)


def _write_readme() -> None:
    """Write the file that `pyproject.toml` names as the readme; every hook needs it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    target = ROOT / "build" / "README.md"
    target.parent.mkdir(exist_ok=True)
    source = project.get("urls", {}).get("Source")
    target.write_text(readme_for_the_index(text, source), encoding="utf-8")


_write_readme()


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
