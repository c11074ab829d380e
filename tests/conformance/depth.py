"""How deeply the matrix examines an environment on a set of versions.

Every name is examined on one set: the newest of the default Python, or, of a suite which that set
lacks, the first set that has it. On the other sets the sample of each suite is examined, which is
that of `cases.py`, and it stands for the names in between. Where a suite declares families, the
sample of a family is examined whole; of each other member it is examined whether it is made, reset
and stepped to its end or `LONGEST_OF_A_MEMBER` steps, and the claims in which the members differ.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import envhub
import tasks
from envhub import registry
from envhub.flags import FLAGS
from envhub.matrix import staleness, timing
from envhub.matrix.results import COLUMNS

from . import cases
from .cases import Case

EVERY_NAME = timing.EVERY_NAME
OF_A_MEMBER = ("makes", "resets", "observations", "ends")
# Some of Atari's episodes last for 27,000 steps.
LONGEST, LONGEST_OF_A_MEMBER = 3_000, 1_000


class Depth(NamedTuple):
    """What is examined of a case.

    Attributes:
        columns: these columns.
        longest: how many steps an episode may have.
        sample: what stands for it in the other columns, in words.
    """

    columns: tuple[str, ...]
    longest: int = LONGEST
    sample: str = ""


def depth_of(case: Case, set_name: str) -> Depth:
    """Return how deeply a case is examined on a set."""
    family = families(case.suite).get(case.name, "")
    standing = samples(case.suite)[family]
    alike = [each for each in standing if each.options == case.options] or standing
    sample = f"as {', '.join(map(str, alike))}"
    if case in standing or case in cases.sample_cases():
        return Depth(COLUMNS)
    if set_name != set_of_every_name(case.suite):
        return Depth((), LONGEST, sample)
    if not family or case.name in {each.name for each in standing}:
        return Depth(COLUMNS)
    own = claims_that_differ(case.suite, family, case.options)
    return Depth((*OF_A_MEMBER, *own), LONGEST_OF_A_MEMBER, sample)


@functools.cache
def families(suite: str) -> Mapping[str, str]:
    return registry.get(suite).families()


@functools.cache
def samples(suite: str) -> Mapping[str, list[Case]]:
    """Return what stands for each family, and under "" for all that has none."""
    every = [case for case in cases.sample_cases() if case.suite == suite]
    found: dict[str, list[Case]] = {"": every}
    for family in sorted(set(families(suite).values())):
        own = [case for case in every if families(suite).get(case.name) == family]
        found[family] = own or cases.variants(suite, _standing(suite, family))
    return found


def _standing(suite: str, family: str) -> str:
    """Return the name that stands for a family: its binding's, or the first one without a gap."""
    names = sorted(name for name, other in families(suite).items() if other == family)
    running = [name for name in names if not registry.get(suite).gap(name, {})]
    return cases.BINDINGS[suite].of_families.get(family) or [*running, *names][0]


@functools.cache
def claims_that_differ(
    suite: str, family: str, options: tuple[tuple[str, object], ...]
) -> list[str]:
    """Return the flags that not all members of a family claim alike, of those that run."""
    gap = registry.get(suite).gap
    members = [
        name
        for name, other in families(suite).items()
        if other == family and not gap(name, dict(options))
    ]
    claims = [envhub.capabilities(f"{suite}::{name}", **dict(options)) for name in members]
    return [flag for flag in FLAGS if len({getattr(each, flag) for each in claims}) > 1]


@functools.cache
def set_of_every_name(suite: str) -> str:
    """Return the set on which every name of a suite is examined."""
    names = {registry.get(suite).distribution, suite}
    sets = [EVERY_NAME, *tasks.set_names()]
    pins = {name: staleness.read_pins(staleness.CONSTRAINTS / f"{name}.txt") for name in sets}
    return next((name for name in sets if names & set(pins[name])), EVERY_NAME)
