"""The blocks of docs/trainers.md run, each with the program that its title names."""

from __future__ import annotations

import re

import pytest

import tasks
from scripts import try_extras

from .packages import needed
from .test_documents import FENCE, TRAINERS

MODULES = {
    "Gymnasium": "gymnasium",
    "JaxMARL": "jaxmarl",
    "PettingZoo": "pettingzoo",
    "Stable-Baselines3": "stable_baselines3",
    "Stoa": "stoa",
    "TorchRL": "torchrl",
    "evosax": "evosax",
    "flashbax": "flashbax",
    "gymnax": "gymnax",
    "rejax": "rejax",
}
PACKAGES = {"Stoa": "stoa-env"}  # where it is not the name in small letters
TITLE = re.compile(r' title="([\w-]+) ([\d.]+)"')
FOUND = FENCE.findall(TRAINERS.read_text(encoding="utf-8"))
MATCHED = [
    (*match.groups(), code)
    for language, rest, code in FOUND
    if language == "python" and (match := TITLE.fullmatch(rest))
]
BLOCKS = {name: code for name, _, code in MATCHED}
ROW = re.compile(r"^\| ([\w-]+)[^|]*\| ([\d.]+) \|", re.M)
# The set that has the trainers.
PINS = (tasks.ROOT / "constraints" / "newest-py3.11.txt").read_text(encoding="utf-8").splitlines()


def test_every_block_names_a_program() -> None:
    # `tasks.py extras` runs those that no set can hold.
    assert {name.lower() for name in set(BLOCKS) - set(MODULES)} == set(try_extras.clients())
    assert set(MODULES) <= set(BLOCKS)
    assert len(BLOCKS) == len([language for language, *_ in FOUND if language == "python"])


def test_the_versions_are_those_that_are_tested() -> None:
    titles = {name: version for name, version, _ in MATCHED}
    rows = ROW.findall(TRAINERS.read_text(encoding="utf-8"))
    assert {name for name, _ in rows} == set(titles) - {"gymnax"} | {"mctx"}
    for name, version in [*rows, *titles.items()]:
        assert titles.get(name, version) == version
        if name.lower() not in try_extras.clients():
            assert f"{PACKAGES.get(name, name.lower())}=={version}" in PINS


@pytest.mark.full
@pytest.mark.parametrize("name", MODULES)
def test_its_block_runs(name: str) -> None:
    needed(MODULES[name])
    exec(compile(BLOCKS[name], f"{TRAINERS.name}: {name}", "exec"), {})
