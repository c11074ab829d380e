"""EnvPool as a suite: names and facts, what an option may be, pools, the fleet, the suite."""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from .suite import SUITE

__all__ = ["SUITE"]

__getattr__ = lazy(__name__, {f"{__name__}.suite": "SUITE"})
