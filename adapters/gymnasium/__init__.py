"""gymnasium 1.0 and newer: the field's standard environments, on the CPU behind a callback.

Those that Gymnasium has written in JAX itself need no callback: `functional`.
"""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from .suite import SUITE

__all__ = ["SUITE"]

__getattr__ = lazy(__name__, {f"{__name__}.suite": "SUITE"})
