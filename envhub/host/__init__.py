"""Callback environments: CPU libraries under the contract, without the usual limits of callbacks.

An adapter describes one instance of its suite (`Instance`), and how its suite makes instances
(`HostSuite`). This package owns everything else: the environment that callers see (`environment`),
the calls from compiled programs (`transport`) and their arrays (`protocol`), the states of a batch
(`states`), the calls on it (`pool`) and its instances (`slots`), steps that reset at the end of an
episode (`autoresets`), the fleets that run instances (`fleet` and `parallel`), their values
(`values`), and snapshots (`snapshot`). What is found out when an environment is made is in
`trials`, `repeats`, `proof` and `walks`. What cannot be saved is replayed: `forking` finds out how,
`replay` restores from the `logs` of episodes, and `copies` is a cache in front of it. Calls outside
`jit` go to the pool without a program (`direct`), the episode that began last is stepped by itself
(`alone`), and an export steps one instance without the pool (`detached`). `hushing` keeps what a
suite prints off the terminal.
"""

from typing import TYPE_CHECKING

from envhub._lazy import lazy

if TYPE_CHECKING:
    from envhub.host.environment import HostEnvironment
    from envhub.host.instance import Instance, InstanceStep, unrounded
    from envhub.host.options import BRIDGE_OPTIONS, host_capabilities, of_one_instance
    from envhub.host.suite import HostSuite

__all__ = [
    "BRIDGE_OPTIONS",
    "HostEnvironment",
    "HostSuite",
    "Instance",
    "InstanceStep",
    "host_capabilities",
    "of_one_instance",
    "unrounded",
]

__getattr__ = lazy(
    __name__,
    {
        "envhub.host.environment": "HostEnvironment",
        "envhub.host.instance": "Instance InstanceStep unrounded",
        "envhub.host.options": "BRIDGE_OPTIONS host_capabilities of_one_instance",
        "envhub.host.suite": "HostSuite",
    },
)
