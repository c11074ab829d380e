"""The programs of other libraries in docs/coming_from.md run, in the versions that it names."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

import tasks

from .conftest import REPOSITORY
from .processes import fresh
from .test_documents import COMING_FROM, FENCE, blocks

LIBRARIES = {"Memorax": "memorax", "Envrax": "envrax", "Stoa": "stoa-env"}
INSTALLED = Path(sys.prefix) / tasks.OTHERS_FOLDER
TITLE = re.compile(r' title="(\w+) ([\d.]+)"')


@pytest.mark.skipif(not INSTALLED.exists(), reason=f"it runs with the set {tasks.WITH_OTHERS}")
@pytest.mark.parametrize("library", LIBRARIES)
def test_its_program_and_ours_run(library: str) -> None:
    section = (
        COMING_FROM.read_text(encoding="utf-8").split(f"\n## {library}\n")[1].split("\n## ")[0]
    )
    setup, *_ = blocks(COMING_FROM, "python")
    program = "\n".join([setup, *(code for _, _, code in FENCE.findall(section))])
    path = os.pathsep.join([str(INSTALLED), os.environ["PYTHONPATH"]])
    fresh(program, timeout=300, env={**os.environ, "PYTHONPATH": path})


def test_the_page_names_the_versions_that_run() -> None:
    pins = dict(
        re.findall(
            r"^(\S+)==(\S+)$", (REPOSITORY / tasks.OTHERS).read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    titles = [rest for _, rest, _ in FENCE.findall(COMING_FROM.read_text(encoding="utf-8")) if rest]
    named = {match.groups() for match in map(TITLE.fullmatch, titles) if match}
    assert all(map(TITLE.fullmatch, titles))
    assert named == {(title, pins[name]) for title, name in LIBRARIES.items()}
