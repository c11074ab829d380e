"""Split the leading axis of a batch over devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax

from envhub.environment import Environment
from envhub.errors import InvalidOptionError, MissingCapabilityError

_sharding: Any = jax.sharding  # its names differ between versions of JAX
Spec: Any = _sharding.PartitionSpec


def shard_map(function: Callable[..., Any], *, mesh: Any, in_specs: Any, out_specs: Any) -> Any:
    """Return `jax.shard_map(…)`; jax 0.4 has this function in `jax.experimental`.

    JAX does not check which results are equal on all devices, because callbacks lack the rule.
    """
    how = {"mesh": mesh, "in_specs": in_specs, "out_specs": out_specs}
    if hasattr(jax, "shard_map"):
        return jax.shard_map(function, check_vma=False, **how)
    from jax.experimental.shard_map import shard_map as older

    return older(function, check_rep=False, **how)


def over_all_axes(mesh: Any) -> Any:
    """Return the sharding that splits a leading axis over all axes of a mesh."""
    if not isinstance(mesh, _sharding.Mesh):
        raise InvalidOptionError(f"mesh= must be a jax.sharding.Mesh, got {mesh!r}.")
    return _sharding.NamedSharding(mesh, Spec(mesh.axis_names))


class Shards:
    """The split of a batch of environments.

    Args:
        sharding: a `NamedSharding`, whose first entry names the mesh axes that split the batch.
        env: one of the environments.
        num_envs: the number of environments.

    Attributes:
        sharding: the sharding of all arrays of the batch.

    Raises:
        InvalidOptionError: if the batch cannot be split in this way.
        MissingCapabilityError: if the environment does not work on several devices.
    """

    def __init__(self, sharding: Any, env: Environment, num_envs: int) -> None:
        if not isinstance(getattr(sharding, "mesh", None), _sharding.Mesh):
            raise InvalidOptionError(
                f"sharding= must be a jax.sharding.NamedSharding of devices, got {sharding!r}."
            )
        first, *others = [*tuple(sharding.spec), None]
        if any(axes is not None for axes in others):
            raise InvalidOptionError(
                f"sharding= must split the leading axis only, because other axes "
                f"differ from array to array; got {sharding.spec}."
            )
        self._mesh, self._num_envs = sharding.mesh, num_envs
        self._axes = first if isinstance(first, tuple) else () if first is None else (first,)
        self._spec = Spec(first)
        self._num_shards = math.prod(self._mesh.shape[axis] for axis in self._axes)
        self.sharding = _sharding.NamedSharding(self._mesh, self._spec)
        if num_envs % self._num_shards:
            raise InvalidOptionError(
                f"num_envs={num_envs} cannot be split evenly over {self._num_shards} shards, which "
                f"the axes {self._axes} of {dict(self._mesh.shape)} make."
            )
        capabilities = env.capabilities
        if self._mesh.size > 1 and not capabilities.multi_device:
            raise MissingCapabilityError(
                f"{env} cannot be split over devices: {capabilities.why('multi_device')}"
            )
        if not capabilities.jax_native and self._num_shards != self._mesh.size:
            raise InvalidOptionError(
                f"{env} is a callback environment, whose state is in one place. Split the batch "
                "over "
                f"all axes of the mesh {dict(self._mesh.shape)}, not only over {self._axes}."
            )
        devices = self._mesh.devices.flat
        here = sum(each.process_index == jax.process_index() for each in devices)
        env.expect(num_envs * here // len(devices))

    def split(self, mapped: Callable[..., Any], axes: Sequence[int | None]) -> Callable[..., Any]:
        """Split a function of a batch, `mapped(keys, *arguments)`.

        Args:
            mapped: the function of each device for its part.
            axes: 0 for each argument that has the leading axis, `None` for others.

        Returns:
            A compiled function of one key, which is split among all environments, and arguments.
        """
        size = self._num_envs // self._num_shards

        def one_shard(key: jax.Array, *arguments: Any) -> Any:
            # Each device splits the whole key. Otherwise XLA (0.4.35) lets the devices exchange
            # parts of the keys, and they wait for each other in threads that callbacks block.
            keys = jax.random.split(key, self._num_envs)
            first = lax.axis_index(self._axes) * size if self._axes else 0
            return mapped(lax.dynamic_slice_in_dim(keys, first, size), *arguments)

        specs = (Spec(), *(Spec() if axis is None else self._spec for axis in axes))
        over_shards = shard_map(one_shard, mesh=self._mesh, in_specs=specs, out_specs=self._spec)

        def call(*arguments: Any) -> Any:
            return over_shards(*map(self._place, arguments, specs))

        return jax.jit(call)

    def replicate(self, tree: Any) -> Any:
        """Gather split arrays on each device, if XLA does not do so itself."""
        return self._place(tree, Spec())

    def _place(self, tree: Any, spec: Any) -> Any:
        """Place an argument on its devices; XLA does so unless the mesh has explicit axes.

        The axes of `jax.make_mesh` are explicit in versions of JAX that have explicit axes.
        """
        explicit = getattr(_sharding, "AxisType", None) and _sharding.AxisType.Explicit
        if explicit is None or explicit not in self._mesh.axis_types:
            return tree
        reshard = getattr(jax, "reshard", None) or _sharding.reshard
        return reshard(tree, _sharding.NamedSharding(self._mesh, spec))
