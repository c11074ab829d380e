"""Build PufferLib's Ocean beside JAX: without torch, and with no download but the sdist.

    python scripts/build_ocean.py                    write a wheel, and say how to install it
    python scripts/build_ocean.py --install          and install it in the place of pufferlib-core
    python scripts/build_ocean.py --sdist FILE       of this, and not of pip's package index

The wheel is for the Python that runs this, which needs pip, setuptools, NumPy and a C compiler.
pufferlib 3.0.0, the only version with Ocean that an index has, cannot be built beside JAX as it is:
its build imports torch, downloads raylib for the web and Box2D, and it pins NumPy below 2. What is
built here lacks `impulse_wars`, the one environment that uses Box2D, and the training code.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

VERSION = "3.0.0"
SHA256 = "7df3a3e3f5f894d78d2a1f5374097890aec01473183e748abefe4f3faa10eaa9"
# What Ocean imports, beside gymnasium. `gym` is for `pufferlib.spaces`, which names its classes.
RUN_TIME = ("gymnasium", "gym==0.23", "pettingzoo", "psutil")

# A folder that is there is not downloaded.
NOT_DOWNLOADED = ("raylib-5.5_webassembly", "box2d-web", "box2d-linux-amd64")
# `impulse_wars` needs Box2D; the rest would be installed as packages of their own.
LEFT_OUT = ("pufferlib/ocean/impulse_wars", "resources", "examples")

# What the build imports of torch, to compile an extension that NO_TRAIN leaves out.
TORCH = """
from setuptools.command.build_ext import build_ext as BuildExtension
CUDA_HOME = CppExtension = CUDAExtension = None
"""
# A build backend that knows the name: pip runs one on all that it downloads.
BACKEND = f"""
import os

def get_requires_for_build_wheel(settings=None):
    return []

def prepare_metadata_for_build_wheel(directory, settings=None):
    folder = "pufferlib-{VERSION}.dist-info"
    os.mkdir(os.path.join(directory, folder))
    with open(os.path.join(directory, folder, "METADATA"), "w", encoding="utf-8") as file:
        file.write("Metadata-Version: 2.1\\nName: pufferlib\\nVersion: {VERSION}\\n")
    return folder
"""


class BuildError(Exception):
    """Why there is no wheel, and what to do about it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build the wheel, and install it or say how."""
    options = _parser().parse_args(argv)
    try:
        wheel = build(options.sdist, options.out)
        print(f"Built {wheel}.")
        commands = installation(wheel, options.constraint)
        if not options.install:
            print("Install it in the place of pufferlib-core with\n")
        for command in commands:
            if options.install:
                _run(command, "it cannot be installed")
            else:
                print("    " + shlex.join(command))
    except BuildError as error:
        print(f"build_ocean.py: {error}", file=sys.stderr)
        return 1
    return 0


def installation(wheel: Path, constraint: Path | None) -> list[list[str]]:
    """The commands that install it in the place of pufferlib-core.

    Without what the wheel asks for: NumPy below 2, and a Gymnasium as old.
    """
    limits = ["--constraint", str(constraint)] if constraint else []
    return [
        [*_pip("install"), *limits, *RUN_TIME],
        [*_pip("uninstall"), "--yes", "pufferlib-core"],
        [*_pip("install"), "--no-deps", "--force-reinstall", str(wheel)],
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sdist", type=Path, help=f"pufferlib-{VERSION}.tar.gz")
    parser.add_argument("--install", action="store_true", help="install the wheel too")
    parser.add_argument("--constraint", type=Path, help="pip's constraints, for what Ocean imports")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="default: %(default)s")
    return parser


def build(sdist: Path | None, out: Path) -> Path:
    """Build a wheel of Ocean for the running Python.

    Args:
        sdist: of pufferlib; `None` to download it.
        out: the folder for the wheel.

    Returns:
        The wheel.

    Raises:
        BuildError: with what is missing, or how the build failed.
    """
    check_tools()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tree = unpack(sdist or download(folder), folder)
        stubs = folder / "stubs"
        write_module(stubs, "torch/utils/cpp_extension.py", TORCH)
        pip_wheel = [*_pip("wheel"), "--no-deps", "--no-build-isolation"]
        command = [*pip_wheel, "--wheel-dir", str(folder / "wheel"), str(tree)]
        _run(command, "the build failed", PYTHONPATH=str(stubs), NO_TRAIN="1")
        (built,) = (folder / "wheel").glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(built, out)).resolve()


def check_tools() -> None:
    """Refuse to begin without what a build needs."""
    if not sys.platform.startswith("linux"):
        raise BuildError("the sdist holds raylib for Linux only, so Ocean is built on Linux.")
    missing = [name for name in ("setuptools", "numpy") if not importlib.util.find_spec(name)]
    if missing:
        raise BuildError(f"run this first: {sys.executable} -m pip install {' '.join(missing)}")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise BuildError(f"there is no C compiler {compiler!r}: install one, or name it in CC.")


def download(folder: Path) -> Path:
    """Get the sdist from the index that pip is configured for, without running what is in it."""
    stubs = folder / "backend"
    write_module(stubs, "setuptools/build_meta.py", BACKEND)
    pip_download = [*_pip("download"), "--no-deps", "--no-build-isolation", "--use-pep517"]
    command = [*pip_download, "--no-binary=pufferlib", f"--dest={folder}", f"pufferlib=={VERSION}"]
    problem = f"pip cannot download pufferlib {VERSION}; give a copy with --sdist"
    _run(command, problem, PYTHONPATH=str(stubs))
    return folder / f"pufferlib-{VERSION}.tar.gz"


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack the sdist, and change it into what can be built."""
    if not sdist.is_file():
        raise BuildError(f"there is no file {sdist}.")
    digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
    if digest != SHA256:
        raise BuildError(f"{sdist} is not the sdist of pufferlib {VERSION}: its SHA-256 differs.")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "tree", filter="data")
    tree = folder / "tree" / f"pufferlib-{VERSION}"
    for name in NOT_DOWNLOADED:
        (tree / name).mkdir()
    for name in LEFT_OUT:
        shutil.rmtree(tree / name)
    return tree


def write_module(folder: Path, name: str, text: str) -> None:
    """Write one module of a stand-in for a package, and the packages around it."""
    path = folder / name
    path.parent.mkdir(parents=True)
    for parent in path.relative_to(folder).parents[:-1]:
        (folder / parent / "__init__.py").touch()
    path.write_text(text, encoding="utf-8")


def _pip(command: str) -> list[str]:
    return [sys.executable, "-m", "pip", command, "--no-input", "--disable-pip-version-check"]


def _run(command: Sequence[str], problem: str, **environment: str) -> None:
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **environment},
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-30:]), file=sys.stderr)
        raise BuildError(f"{problem} (exit status {done.returncode}; its last lines are above).")


if __name__ == "__main__":
    sys.exit(main())
