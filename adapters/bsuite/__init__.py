"""bsuite 0.3.6: DeepMind's Behaviour Suite, small experiments with the interface of dm_env."""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from .suite import SUITE

__all__ = ["SUITE"]

__getattr__ = lazy(__name__, {f"{__name__}.suite": "SUITE"})
