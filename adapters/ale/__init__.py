"""ale-py 0.12 and newer: Atari 2600 games, each instance an emulator of its own."""

from .suite import SUITE

__all__ = ["SUITE"]
