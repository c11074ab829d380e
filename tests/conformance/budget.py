"""What the full run spends on each suite beyond its sample; the matrix examines every name.

The figures are CPU seconds of two cores with an empty compilation cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Budget(NamedTuple):
    """For one suite: what may be spent, and what one name costs.

    Attributes:
        examining: for names beyond the sample that are examined clause by clause.
        examined: what one of them costs.
        stepping: for variants that are only made, reset and stepped.
        stepped: what one of them costs.
    """

    examining: float
    examined: float
    stepping: float
    stepped: float


BUDGETS = {
    "ale": Budget(0, 10, 45, 0.7),
    "brax": Budget(50, 24, 45, 5.6),
    "bsuite": Budget(0, 8, 30, 0.3),
    "craftax": Budget(0, 40, 45, 14),
    "crafter": Budget(0, 30, 20, 3),
    "dm_control": Budget(0, 8, 45, 0.5),
    "envpool": Budget(0, 5, 45, 0.5),
    "gymnasium": Budget(60, 4, 45, 2),
    "gymnax": Budget(60, 5, 45, 2),
    "highway": Budget(0, 20, 30, 2),
    "jaxmarl": Budget(0, 30, 30, 5),
    "jumanji": Budget(80, 10, 45, 2),
    "kinetix": Budget(0, 90, 45, 15),
    "minigrid": Budget(0, 5, 30, 0.5),
    "navix": Budget(0, 13, 30, 1.3),
    "octax": Budget(0, 20, 30, 4),
    "ogbench": Budget(0, 40, 30, 5),
    "pgx": Budget(0, 20, 30, 4),
    "playground": Budget(0, 60, 30, 12),
    "popgym": Budget(0, 4, 20, 0.4),
    "pufferlib": Budget(0, 4, 30, 0.5),
    "xminigrid": Budget(0, 25, 30, 3),
}


def examined(suite: str, every: Sequence[T]) -> list[T]:
    """Those that the budget lets examine."""
    return _affordable(every, BUDGETS[suite].examining, BUDGETS[suite].examined)


def stepped(suite: str, every: Sequence[T]) -> list[T]:
    """Those that the budget lets step."""
    return _affordable(every, BUDGETS[suite].stepping, BUDGETS[suite].stepped)


def _affordable(every: Sequence[T], seconds: float, cost: float) -> list[T]:
    """As many as can be paid, at equal distances: names that are alike stand together."""
    number = min(len(every), int(seconds / cost))
    return [every[place * len(every) // number] for place in range(number)]
