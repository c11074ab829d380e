"""Pickle environments as the arguments from which they were made."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from envhub.errors import UnpicklableError

FIX = (
    "Functions and classes are pickled by name: define them at the top level of a module. In "
    "place of a live object, give a function that makes it"
)


def check(owner: Any, named: Mapping[str, Any], others: Sequence[Any] = ()) -> None:
    """Refuse arguments that cannot be pickled.

    Args:
        owner: the environment, for errors.
        named: its arguments by name.
        others: its positional arguments.

    Raises:
        UnpicklableError: if one cannot be pickled; the message names it and the remedy.
    """
    given = [(f"{name}=", value) for name, value in named.items()]
    for name, value in [*given, *(("", value) for value in others)]:
        try:
            pickle.dumps(value)
        except Exception as error:
            if _takes_code():
                continue
            if isinstance(error, UnpicklableError):  # a spec inside the value raised it
                raise
            raise UnpicklableError(
                f"{owner} cannot be pickled, because {name}{value!r} cannot: {error}. {FIX}."
            ) from error


def _takes_code() -> bool:
    """Tell whether the running pickler saves the code of functions, as cloudpickle does."""
    frame: Any = sys._getframe(2)
    while frame:
        pickler = frame.f_locals.get("self")
        if isinstance(pickler, (pickle.Pickler, pickle._Pickler)):
            return hasattr(pickler, "reducer_override")
        frame = frame.f_back
    return False


def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the result of a call; a pickled environment is restored by this function."""
    return function(*args, **kwargs)


def pack_sharding(sharding: Any) -> Any:
    """Return a `NamedSharding` with the ids of its devices, because JAX does not pickle devices."""
    if sharding is None:
        return None
    mesh = sharding.mesh
    devices = [(device.platform, device.id) for device in mesh.devices.flat]
    types = getattr(mesh, "axis_types", None)
    how = {"axis_types": types} if isinstance(types, tuple) else {}  # jax 0.4 has another form
    return devices, mesh.devices.shape, mesh.axis_names, how, tuple(sharding.spec)


def unpack_sharding(packed: Any) -> Any:
    """Return the sharding over the devices of this process with these ids.

    Raises:
        UnpicklableError: if a device does not exist here.
    """
    if packed is None:
        return None
    wanted, shape, names, how, spec = packed
    here = {(device.platform, device.id): device for device in jax.devices(wanted[0][0])}
    missing = [device for device in wanted if device not in here]
    if missing:
        raise UnpicklableError(
            f"this batch is split over devices that are not here: {missing}. The devices here are "
            f"{list(here)}."
        )
    devices = np.array([here[device] for device in wanted]).reshape(shape)
    made: Any = jax.sharding
    mesh = made.Mesh(devices, names, **how)
    return made.NamedSharding(mesh, made.PartitionSpec(*spec))
