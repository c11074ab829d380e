"""Packages that register environments with Gymnasium, each as a suite: a table of facts.

`minigrid::Name` makes what `gymnasium::minigrid:Name` makes, with what is known of it. `table` has
a class for each package, `ogbench` the one of which there is more to mend, and `suite` what they
share. `scripts/plugin_names.py` writes the names.
"""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from .highway import HIGHWAY
    from .ogbench import OGBENCH
    from .table import MINIGRID, POPGYM

__all__ = ["HIGHWAY", "MINIGRID", "OGBENCH", "POPGYM"]

__getattr__ = lazy(
    __name__,
    {
        f"{__name__}.highway": "HIGHWAY",
        f"{__name__}.ogbench": "OGBENCH",
        f"{__name__}.table": "MINIGRID POPGYM",
    },
)
