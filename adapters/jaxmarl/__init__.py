"""JaxMARL 0.2: MPE, SMAX, Overcooked, Hanabi, STORM and more, of several agents, in JAX."""

from .suite import SUITE

__all__ = ["SUITE"]
