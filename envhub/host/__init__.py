"""Callback environments: CPU libraries under the contract, without the usual limits of callbacks.

An adapter describes one live instance of its suite (`Instance`), and its suite by what makes one
(`HostSuite`); the bridge owns everything else: the environment that callers see (`environment`),
the calls from compiled programs (`transport`), with which arrays (`protocol`), what each state of a
batch is (`states`), the instances (`pool`), steps that reset where episodes end (`autoresets`), who
runs the instances (`fleet`, or `parallel`), what they give (`values`), and snapshots (`snapshot`).
"""

# Not `environment`, which makes JAX load its callbacks: an adapter imports it where it makes one.
from envhub.host.instance import Instance, InstanceStep, unrounded
from envhub.host.options import BRIDGE_OPTIONS, host_capabilities, of_one_instance
from envhub.host.suite import HostSuite

__all__ = [
    "BRIDGE_OPTIONS",
    "HostSuite",
    "Instance",
    "InstanceStep",
    "host_capabilities",
    "of_one_instance",
    "unrounded",
]
