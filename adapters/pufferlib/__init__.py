"""PufferLib 3: environments in C, batches of agents, and Gymnasium's under PufferLib's emulation.

`pufferlib-core` has the interfaces; the full `pufferlib` has Ocean too, PufferLib's own
environments. Both are imported as `pufferlib`.
"""

from .suite import SUITE

__all__ = ["SUITE"]
