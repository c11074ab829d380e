"""Packages that register environments with Gymnasium, each as a suite: a table of facts.

`minigrid::Name` is short for `gymnasium::minigrid:Name`. `table` has a class for each package,
`suite` has what they share, and `scripts/plugin_names.py` writes the names.
"""

from .table import MINIGRID, POPGYM

__all__ = ["MINIGRID", "POPGYM"]
