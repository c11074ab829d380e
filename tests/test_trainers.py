"""The blocks of docs/trainers.md run, each with the program that its title names."""

from __future__ import annotations

import re

import pytest

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
TITLE = re.compile(r' title="([\w-]+) [\d.]+"')
FOUND = FENCE.findall(TRAINERS.read_text(encoding="utf-8"))
BLOCKS = {
    match[1]: code
    for language, rest, code in FOUND
    if language == "python" and (match := TITLE.fullmatch(rest))
}


def test_every_block_names_a_program() -> None:
    # `tasks.py extras` runs those that no set can hold.
    assert {name.lower() for name in set(BLOCKS) - set(MODULES)} == set(try_extras.clients())
    assert set(MODULES) <= set(BLOCKS)
    assert len(BLOCKS) == len([language for language, *_ in FOUND if language == "python"])


@pytest.mark.full
@pytest.mark.parametrize("name", MODULES)
def test_its_block_runs(name: str) -> None:
    needed(MODULES[name])
    exec(compile(BLOCKS[name], f"{TRAINERS.name}: {name}", "exec"), {})
