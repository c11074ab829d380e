"""Instances of adopted environments, for workers too, which do without JAX."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from envhub.errors import UnavailableEnvError

from .instances import GymnasiumInstance
from .making import instance_of


def adopted_instance(create: Callable[[], Any]) -> GymnasiumInstance:
    """Return one instance.

    Raises:
        UnavailableEnvError: if it is written in JAX.
    """
    instance = instance_of(create)
    if "jax" not in sys.modules:  # as in a worker: what holds arrays of JAX has imported it
        return instance
    from .suite import is_in_jax

    if is_in_jax(instance):
        raise UnavailableEnvError(
            f"{instance.env} is written in JAX, which deadlocks inside a callback: wrap what is "
            "inside."
        )
    return instance
