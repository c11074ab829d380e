"""ale-py 0.12 and newer: Atari 2600 games, each instance an emulator of its own."""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from .suite import SUITE

__all__ = ["SUITE"]

__getattr__ = lazy(__name__, {f"{__name__}.suite": "SUITE"})
