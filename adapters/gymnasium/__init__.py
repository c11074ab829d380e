"""gymnasium 1.0 and newer: the field's standard environments, on the CPU behind a callback.

Those that Gymnasium has written in JAX itself need no callback: `functional`.
"""

from .suite import SUITE

__all__ = ["SUITE"]
