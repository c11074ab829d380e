"""crafter 1.8.3: survival in a world seen from above, with the interface of an old Gym."""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from .suite import SUITE

__all__ = ["SUITE"]

__getattr__ = lazy(__name__, {f"{__name__}.suite": "SUITE"})
