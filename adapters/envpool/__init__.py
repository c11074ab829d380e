"""EnvPool as a suite: names and facts, what an option may be, pools, the fleet, the suite."""

from .suite import SUITE

__all__ = ["SUITE"]
