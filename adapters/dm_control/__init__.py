"""dm_control 1.0.25 and newer: DeepMind's Control Suite, in MuJoCo behind a callback."""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from .suite import SUITE

__all__ = ["SUITE"]

__getattr__ = lazy(__name__, {f"{__name__}.suite": "SUITE"})
